"""Pairs of anchors and faces against their definition, worked out one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featherface.anchors import NANO_B, make_anchors
from featherface.boxes import area, intersection, iou, to_xyxy
from featherface.data.crops import Faces
from featherface.data.targets import (
    IGNORED,
    REACH,
    REACH_FACE,
    SIZES,
    SMALLER,
    AnchorGrid,
    make_target,
)
from featherface.types import Floats

SIDE = 160
GRID = AnchorGrid(NANO_B, SIDE)
STRIDES = np.concatenate(
    [
        np.full((SIDE // stride) ** 2 * per_cell, stride)
        for stride, per_cell in zip(NANO_B.strides, NANO_B.per_cell, strict=True)
    ]
)


def faces_of(rng: np.random.Generator, count: int, *, low: float, high: float) -> Floats:
    """(N, 4) xyxy around centres within the crop, of heights low to high."""
    height = np.exp(rng.uniform(np.log(low), np.log(high), count))
    half = np.stack([height * rng.uniform(0.6, 1.1, count), height], axis=1) / 2
    centre = rng.uniform(0, SIDE, (count, 2))
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def naive_pairs(boxes: Floats) -> set[tuple[int, int]]:
    """Every anchor against every face."""
    anchors = make_anchors(NANO_B, (SIDE, SIDE))
    sizes = sorted({float(side) for side in anchors[:, 2]})
    found = set()
    for face, (x1, y1, x2, y2) in enumerate(boxes.astype(np.float64)):
        side = np.sqrt((x2 - x1) * (y2 - y1))
        fitting = [size for size in sizes if SIZES[0] * side <= size <= SIZES[1] * side]
        fitting = fitting or [min(sizes, key=lambda size: abs(np.log(size / side)))]
        for anchor, (x, y, size, _) in enumerate(anchors):
            reach = max(REACH * STRIDES[anchor], REACH_FACE * side)
            away = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2))
            if away <= reach and size in fitting:
                found.add((anchor, face))
    return found


@pytest.mark.parametrize(("low", "high"), [(2, 12), (8, 64), (50, 300)])
def test_pairs_equal_their_definition(low: float, high: float, rng: np.random.Generator) -> None:
    boxes = faces_of(rng, 12, low=low, high=high)
    pairs = GRID.pairs(boxes)
    found = list(zip(pairs.anchor.tolist(), pairs.face.tolist(), strict=True))
    assert len(set(found)) == len(found)
    assert set(found) == naive_pairs(boxes)
    table = iou(GRID.corners, boxes)
    np.testing.assert_allclose(pairs.overlap, table[pairs.anchor, pairs.face], atol=1e-5)
    assert pairs.overlap.dtype == np.float32


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 20))
def test_no_face_is_without_a_pair(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = faces_of(rng, count, low=0.1, high=9000)
    if count:  # one whose centre is beyond the grid
        boxes[0] += np.float32(5 * SIDE)
    pairs = GRID.pairs(boxes)
    assert set(pairs.face.tolist()) == set(range(count))
    assert ((pairs.anchor >= 0) & (pairs.anchor < len(GRID.anchors))).all()


def test_the_best_anchor_of_every_face_is_among_its_pairs(rng: np.random.Generator) -> None:
    boxes = faces_of(rng, 300, low=6, high=150)
    pairs = GRID.pairs(boxes)
    best = np.zeros(len(boxes), np.float32)
    np.maximum.at(best, pairs.face, pairs.overlap)
    np.testing.assert_allclose(best, iou(GRID.corners, boxes).max(0), atol=1e-5)


def test_no_faces_no_pairs() -> None:
    pairs = GRID.pairs(np.zeros((0, 4), np.float32))
    assert [part.shape for part in pairs] == [(0,)] * 3
    assert pairs.anchor.dtype == pairs.face.dtype == np.int64


@pytest.mark.parametrize("count", [1, 2, 30])
def test_covered_equals_its_definition(count: int, rng: np.random.Generator) -> None:
    regions = faces_of(rng, count, low=3, high=200)
    anchors = to_xyxy(make_anchors(NANO_B, (SIDE, SIDE)))
    whole, region = area(anchors)[:, None], area(regions)[None]
    is_near = np.sqrt(whole) <= SMALLER * np.sqrt(region)
    whole = np.where(is_near, np.minimum(whole, region), whole)
    expected = (intersection(anchors, regions) / whole).max(1)
    np.testing.assert_allclose(GRID.covered(regions), expected, atol=1e-5)


def test_nothing_covers_nothing() -> None:
    covered = GRID.covered(np.zeros((0, 4), np.float32))
    assert covered.shape == (len(GRID.anchors),)
    assert not covered.any()


@pytest.fixture
def faces(rng: np.random.Generator) -> Faces:
    """Four faces: whole, ignored, without landmarks, with four landmarks of five."""
    landmarks = rng.uniform(0, SIDE, (4, 5, 2)).astype(np.float32)
    landmarks[2] = np.nan
    landmarks[3, 4] = np.nan
    return Faces(
        faces_of(rng, 4, low=20, high=80),
        landmarks,
        np.array([1, 0, 0.7, 0.4], np.float32),
        np.array([False, True, False, False]),
    )


def test_a_target_holds_what_counts(faces: Faces) -> None:
    target = make_target(GRID, faces)
    np.testing.assert_array_equal(target.boxes, faces.boxes[[0, 2, 3]])
    np.testing.assert_array_equal(target.probability, faces.probability[[0, 2, 3]])
    assert target.has_landmarks.tolist() == [True, False, False]
    np.testing.assert_array_equal(target.landmarks[0], faces.landmarks[0])
    assert not target.landmarks[1:].any()  # no NaN may reach a loss
    assert set(target.face.tolist()) == {0, 1, 2}
    pairs = GRID.pairs(target.boxes)
    np.testing.assert_array_equal(target.anchor, pairs.anchor)
    np.testing.assert_array_equal(target.ignore, GRID.covered(faces.boxes[1:2]) > IGNORED)
    assert 0 < target.ignore.sum() < len(target.ignore)


def test_a_picture_without_faces(faces: Faces) -> None:
    nothing = make_target(GRID, faces.rows(np.zeros(4, np.bool_)))
    assert len(nothing.boxes) == len(nothing.anchor) == nothing.ignore.sum() == 0
    all_ignored = make_target(GRID, faces._replace(ignore=np.ones(4, np.bool_)))
    assert len(all_ignored.boxes) == len(all_ignored.anchor) == 0
    assert all_ignored.ignore.any()


def test_pairs_of_small_faces_hold_every_anchor_that_a_fixed_matching_needs(
    rng: np.random.Generator,
) -> None:
    boxes = faces_of(rng, 300, low=5, high=16)
    pairs = GRID.pairs(boxes)
    is_pair = np.zeros((len(GRID.anchors), len(boxes)), np.bool_)
    is_pair[pairs.anchor, pairs.face] = True
    assert is_pair[iou(GRID.corners, boxes) >= 0.35].all()
