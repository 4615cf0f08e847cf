"""The fast protocol against the plain one, to the last bit, and against known figures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_wider_face import disturb, plain_average_precision

from featherface.evaluation.matching import ScoredBoxes, Truth
from featherface.evaluation.wider_face import (
    LISTS,
    evaluate,
    find_ground_truth,
    normalise,
    read_ground_truth,
)


def crowd(rng: np.random.Generator, pictures: int) -> Truth:
    """Whole-pixel boxes in nested lists, like the official ones; some of no width."""
    boxes, lists = [], []
    for _ in range(pictures):
        count = int(rng.integers(1, 30))
        corner = rng.integers(0, 900, (count, 2)).astype(np.float64)
        side = np.maximum(rng.lognormal(3, 1, (count, 2)).round() - 2, 0)
        boxes.append(np.concatenate([corner, corner + side], axis=1))
        lists.append(rng.choice([0, 4, 6, 7], count))
    return Truth(tuple(f"event/{at}" for at in range(pictures)), tuple(boxes), tuple(lists))


def check_same(predictions: list[ScoredBoxes], truth: Truth) -> dict[str, float]:
    measures = evaluate(predictions, truth).measures
    fast = {name: measures[name].ap for name in LISTS}
    plain = {name: plain_average_precision(predictions, truth, bit) for name, bit in LISTS.items()}
    assert [value.hex() for value in fast.values()] == [value.hex() for value in plain.values()]
    return fast


@pytest.mark.parametrize("decimals", [1, 2, 12], ids=["many ties", "ties", "hardly a tie"])
def test_fast_is_plain_on_disturbed_boxes(rng: np.random.Generator, decimals: int) -> None:
    truth = crowd(rng, 40)
    figures = check_same(disturb(truth, rng, alarms=3, decimals=decimals), truth)
    assert all(0.1 < value < 0.9 for value in figures.values())


coordinates = st.integers(0, 4)
small_boxes = st.lists(
    st.tuples(coordinates, coordinates, coordinates, coordinates), min_size=1, max_size=5
).map(lambda rows: np.array([(x, y, x + w, y + h) for x, y, w, h in rows], np.float64))


@st.composite
def tiny_runs(draw: st.DrawFn) -> tuple[list[ScoredBoxes], Truth]:
    """Boxes on a grid: overlaps of exactly one half, doubles, equal scores."""
    count = draw(st.integers(1, 3))
    boxes = [draw(small_boxes) for _ in range(count)]
    lists = [
        np.array(draw(st.lists(st.sampled_from([0, 4, 6, 7]), min_size=len(b), max_size=len(b))))
        for b in boxes
    ]
    found = [draw(small_boxes | st.just(np.zeros((0, 4)))) for _ in range(count)]
    scores = [
        np.array(draw(st.lists(st.integers(0, 3), min_size=len(f), max_size=len(f))), np.float64)
        for f in found
    ]
    truth = Truth(tuple(map(str, range(count))), tuple(boxes), tuple(lists))
    return [ScoredBoxes(f, s) for f, s in zip(found, scores, strict=True)], truth


@given(tiny_runs())
def test_fast_is_plain_where_everything_is_close(
    run: tuple[list[ScoredBoxes], Truth],
) -> None:
    check_same(*run)


def test_scores_all_equal_and_no_predictions_are_no_nan(rng: np.random.Generator) -> None:
    truth = crowd(rng, 5)
    same = [ScoredBoxes(boxes, np.full(len(boxes), 0.3)) for boxes in truth.boxes]
    assert all(value > 0.9 for value in check_same(same, truth).values())
    nothing = [ScoredBoxes(np.zeros((0, 4)), np.zeros(0))] * 5
    assert check_same(nothing, truth) == {"easy": 0, "medium": 0, "hard": 0}


def test_an_empty_list_has_no_precision(rng: np.random.Generator) -> None:
    truth = crowd(rng, 2)
    only_hard = Truth(truth.names, truth.boxes, tuple(lists & 4 for lists in truth.lists))
    predictions = [ScoredBoxes(boxes, rng.random(len(boxes))) for boxes in truth.boxes]
    measures = evaluate(predictions, only_hard).measures
    assert math.isnan(measures["easy"].ap)
    assert measures["easy"].faces == 0
    assert measures["hard"].ap > 0.9


def test_scores_are_normalised_over_the_run(rng: np.random.Generator) -> None:
    assert normalise(np.array([4.0, 2.0, 3.0])).tolist() == [1, 0, 0.5]
    truth = crowd(rng, 20)
    found = disturb(truth, rng, alarms=1, decimals=3)
    # Powers of two and whole numbers, so that nothing is rounded.
    coarse = [ScoredBoxes(each.boxes, np.round(each.scores * 64)) for each in found]
    logits = [ScoredBoxes(each.boxes, each.scores * 8 - 256) for each in coarse]
    first, second = evaluate(coarse, truth).measures, evaluate(logits, truth).measures
    assert first == second


def test_bands_of_the_hard_list(rng: np.random.Generator) -> None:
    measures = evaluate(disturb(truth := crowd(rng, 20), rng, alarms=1, decimals=3), truth).measures
    parts = ["hard <32", "hard 32-96", "hard >96"]
    assert sum(measures[name].faces for name in parts) == measures["hard"].faces
    smaller = ["hard <16", "hard 16-32"]
    assert sum(measures[name].faces for name in smaller) == measures["hard <32"].faces


@pytest.fixture
def official(shared: Path) -> Truth:
    return read_ground_truth(shared / "data" / "wider_gt")


def test_official_ground_truth_is_read_whole(official: Truth) -> None:
    assert len(official.names) == 3226
    assert len({name.split("/")[0] for name in official.names}) == 61
    assert official.names[0] == "0--Parade/0_Parade_marchingband_1_465"
    assert official.boxes[0][0].tolist() == [345, 211, 349, 215]
    lists = np.concatenate(official.lists)
    assert len(lists) == 39_708
    faces = {name: np.count_nonzero(lists & bit) for name, bit in LISTS.items()}
    assert faces == {"easy": 7_211, "medium": 13_319, "hard": 31_958}


def test_ground_truth_as_predictions(official: Truth) -> None:
    predictions = [ScoredBoxes(b, np.linspace(1, 0.01, len(b))) for b in official.boxes]
    measures = evaluate(predictions, official).measures
    figures = {name: f"{measures[name].ap:.4f}" for name in LISTS}
    assert figures == {"easy": "0.9999", "medium": "1.0000", "hard": "0.9999"}


def test_fast_is_plain_on_official_boxes(official: Truth, rng: np.random.Generator) -> None:
    part = slice(None, None, 16)  # the plain one takes a minute for all
    truth = Truth(official.names[part], official.boxes[part], official.lists[part])
    figures = check_same(disturb(truth, rng, alarms=4, decimals=4), truth)
    assert all(0.4 < value < 0.8 for value in figures.values())


def test_ground_truth_is_found_where_people_keep_it(tmp_path: Path) -> None:
    assert find_ground_truth(tmp_path) is None
    folder = tmp_path / "ground_truth"
    folder.mkdir()
    (folder / "wider_face_val.mat").touch()
    assert find_ground_truth(tmp_path) == folder
    with pytest.raises(ValueError, match=r"wider_face_val\.mat: is not that ground truth"):
        read_ground_truth(folder)
    with pytest.raises(FileNotFoundError, match=r"the four \.mat files"):
        read_ground_truth(tmp_path)
