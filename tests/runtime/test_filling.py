"""A face is covered in every frame, found there or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featherface.runtime.filling import Areas, Plan, follow
from featherface.runtime.tracks import Found

SIZE = (480, 640)
RATE = 25
NOBODY = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


def walk(
    count: int, *, start: tuple[float, float], step: tuple[float, float], side: float = 40
) -> np.ndarray:
    """The box of a face in each frame (F, 4)."""
    at = np.array(start) + np.arange(count)[:, None] * np.array(step)
    return np.concatenate([at, at + side], axis=1).astype(np.float32)


def detect(*faces: np.ndarray, missed: set[int] = frozenset(), score: float = 0.9) -> list[Found]:
    """What a detector finds that misses all faces in some frames."""
    boxes = np.stack(faces, axis=1)  # (F, N, 4)
    scores = np.full(len(faces), score, np.float32)
    return [NOBODY if frame in missed else Found(each, scores) for frame, each in enumerate(boxes)]


def plan(found: list[Found], *, cuts: tuple[int, ...] = (), rate: float = RATE) -> Plan:
    return follow(found, times=[i / rate for i in range(len(found))], cuts=cuts, size=SIZE)


def is_covered(face: np.ndarray, areas: Areas) -> bool:
    """Whether one area holds a face wholly."""
    holds = (areas.boxes[:, :2] <= face[:2] + 0.5) & (areas.boxes[:, 2:] >= face[2:] - 0.5)
    return bool(holds.all(axis=1).any())


def uncovered(faces: np.ndarray, result: Plan) -> list[int]:
    return [i for i, face in enumerate(faces) if not is_covered(face, result.areas[i])]


def test_an_empty_film() -> None:
    assert plan([]) == Plan([], [])
    result = plan([NOBODY] * 5)
    assert [len(each.boxes) for each in result.areas] == [0] * 5
    assert result.doubts == []


def test_what_is_found_is_covered_as_it_is_and_without_doubt() -> None:
    face = walk(30, start=(50, 60), step=(4, 1))
    result = plan(detect(face))
    for box, areas in zip(face, result.areas, strict=True):
        np.testing.assert_allclose(areas.boxes, [box], atol=1e-3)
        assert areas.is_found.all()
    assert result.doubts == []


@settings(max_examples=60)
@given(
    missed=st.sets(st.integers(0, 59), max_size=20),
    step=st.tuples(st.floats(-5, 5), st.floats(-4, 4)),
    other=st.tuples(st.floats(-5, 5), st.floats(-4, 4)),
)
def test_whatever_third_of_the_frames_is_missed(
    missed: set[int], step: tuple[float, float], other: tuple[float, float]
) -> None:
    first = walk(60, start=(300, 100), step=step)
    second = walk(60, start=(300, 300), step=other, side=60)
    found = detect(first, second, missed=missed)
    result = plan(found)
    runs = "".join("x" if i in missed else "." for i in range(60))
    ends = max(len(runs) - len(runs.lstrip("x")), len(runs) - len(runs.rstrip("x")))
    if ends <= 0.5 * RATE:  # that long, a track is prolonged at its ends
        assert uncovered(first, result) == []
        assert uncovered(second, result) == []
    tracked = [not areas.is_found.all() for areas in result.areas]
    assert {i for i, is_tracked in enumerate(tracked) if is_tracked} >= missed or ends > 12


def test_wrong_or_right_tracks_never_take_away_what_was_found(rng: np.random.Generator) -> None:
    found = []
    for _ in range(80):
        corner = rng.uniform(0, 400, (6, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(10, 90, (6, 1))], axis=1)
        found.append(Found(boxes.astype(np.float32), rng.uniform(0.2, 1, 6).astype(np.float32)))
    result = plan(found, cuts=(17, 40))
    for each, areas in zip(found, result.areas, strict=True):
        assert all(is_covered(box, areas) for box in each.boxes)


def test_areas_grow_with_the_distance_to_a_detection() -> None:
    face = walk(40, start=(50, 60), step=(6, 0))
    result = plan(detect(face, missed=set(range(15, 24))))
    widths = [areas.boxes[0, 2] - areas.boxes[0, 0] for areas in result.areas]
    assert widths[14] == pytest.approx(40, abs=1e-2)
    assert widths[14] < widths[15] < widths[17] < widths[19]
    assert widths[19] > widths[21] > widths[23] > widths[24]
    assert max(widths) <= 40 * 2 + 25
    assert uncovered(face, result) == []


def test_a_face_that_turns_around_in_a_gap_stays_covered() -> None:
    there = walk(20, start=(100, 100), step=(5, 0))
    back = walk(20, start=(190, 100), step=(-5, 0))
    face = np.concatenate([there, back])
    result = plan(detect(face, missed=set(range(17, 24))))
    assert uncovered(face, result) == []


def test_faces_that_cross_while_they_are_missed() -> None:
    left = walk(40, start=(100, 100), step=(6, 0))
    right = walk(40, start=(334, 110), step=(-6, 0))
    result = plan(detect(left, right, missed=set(range(17, 23)) | {3, 9, 30, 33}))
    assert uncovered(left, result) == []
    assert uncovered(right, result) == []


def test_a_box_too_small_for_a_frame_is_mended_by_its_neighbours() -> None:
    face = walk(30, start=(100, 100), step=(3, 2))
    found = detect(face)
    half = face[12].copy()
    half[2] -= 15
    found[12] = Found(half[None], found[12].scores)
    assert uncovered(face, plan(found)) == []


def test_a_track_begins_before_its_first_detection_and_ends_after_its_last() -> None:
    face = walk(80, start=(100, 100), step=(2, 1))
    seen = range(30, 50)
    result = plan(detect(face, missed=set(range(80)) - set(seen)))
    held = [i for i, areas in enumerate(result.areas) if len(areas.boxes)]
    assert held == list(range(30 - 12, 50 + 12))
    assert set(uncovered(face, result)) == set(range(80)) - set(held)


def test_a_weak_track_is_prolonged_and_bridges_less() -> None:
    face = walk(60, start=(100, 100), step=(0, 0))
    glimpse = plan(detect(face, missed=set(range(60)) - {30}, score=0.3))
    assert [i for i, each in enumerate(glimpse.areas) if len(each.boxes)] == list(range(27, 34))
    assert glimpse.doubts == []
    for score, covered in ((0.3, 40), (0.6, 60)):
        gap = plan(detect(face, missed=set(range(17, 43)), score=score))
        assert sum(len(each.boxes) > 0 for each in gap.areas) == covered
    short = plan(detect(face, missed=set(range(20, 31)), score=0.3))
    assert uncovered(face, short) == []
    sure = plan(detect(face, missed=set(range(60)) - {30}, score=0.6))
    assert sum(len(each.boxes) for each in sure.areas) == 25


def test_a_slow_film_is_held_by_frames_not_seconds() -> None:
    face = walk(20, start=(100, 100), step=(1, 0))
    result = plan(detect(face, missed=set(range(20)) - {8, 9, 10}), rate=1)
    assert [i for i, each in enumerate(result.areas) if len(each.boxes)] == list(range(5, 14))


def test_no_track_goes_over_a_cut() -> None:
    face = walk(40, start=(300, 200), step=(1, 0))
    result = plan(detect(face, missed=set(range(18, 40))), cuts=(20,))
    assert [len(each.boxes) for each in result.areas] == [1] * 20 + [0] * 20
    both = plan(detect(face, missed={18, 19, 20, 21}), cuts=(20,))
    assert uncovered(face, both) == []  # from both sides, each within its shot


def test_times_count_where_the_rate_varies() -> None:
    times = np.cumsum([0.04] * 20 + [0.4] + [0.04] * 20)
    boxes = np.stack([times * 100, times * 0 + 50, times * 100 + 40, times * 0 + 90], axis=1)
    face = boxes.astype(np.float32)
    found = detect(face, missed={18, 19, 21, 22})
    result = follow(found, times=times.tolist(), cuts=(), size=SIZE)
    assert uncovered(face, result) == []


def test_long_gaps_are_doubtful() -> None:
    face = walk(80, start=(100, 100), step=(1, 0))
    (doubt,) = plan(detect(face, missed=set(range(30, 50)))).doubts
    assert (doubt.first, doubt.last) == (30, 49)
    assert "by a guess of its track for 0.8 s" in doubt.reason
    assert plan(detect(face, missed=set(range(30, 40)))).doubts == []


@pytest.mark.parametrize("is_backwards", [False, True])
def test_faces_that_vanish_are_doubtful_unless_they_walk_out(is_backwards: bool) -> None:
    def doubts(step: tuple[float, float]) -> list[str]:
        face = walk(60, start=(560, 200), step=step)
        found = detect(face, missed=set(range(20, 60)))
        return [each.reason for each in plan(found[::-1] if is_backwards else found).doubts]

    word = "appears" if is_backwards else "is lost"
    assert doubts((0, 0)) == [f"a face {word}, not at the picture's edge"]
    assert doubts((2.5, 0)) == []


def test_a_face_lost_by_one_track_and_found_by_another_is_not_doubtful() -> None:
    face = walk(60, start=(300, 200), step=(0, 0))
    face[30:] += np.float32([-25, -25, 25, 25])  # too different to be associated
    assert plan(detect(face)).doubts == []


def test_overlapping_doubts_are_told_once() -> None:
    first = walk(90, start=(300, 200), step=(0, 0))
    second = walk(90, start=(100, 200), step=(0, 0))
    found = detect(first, second, missed=set(range(30, 90)))
    found[30:35] = [Found(each[None], np.ones(1, np.float32)) for each in first[30:35]]
    (doubt,) = plan(found).doubts
    assert (doubt.first, doubt.last) == (29, 34 + 12)
