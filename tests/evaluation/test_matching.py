"""Which face a prediction goes to, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from featherface import boxes
from featherface.evaluation.matching import ScoredBoxes, Truth, match, overlap


def truth_of(*pictures: list[list[float]]) -> Truth:
    return Truth(
        tuple(f"event/{at}" for at in range(len(pictures))),
        tuple(np.array(each, np.float64).reshape(-1, 4) for each in pictures),
        tuple(np.ones(len(each), np.int64) for each in pictures),
    )


def scored(found: list[list[float]], scores: list[float]) -> ScoredBoxes:
    return ScoredBoxes(np.array(found, np.float64).reshape(-1, 4), np.array(scores, np.float64))


@pytest.mark.parametrize("border", [0, 1])
def test_overlap_is_the_iou_of_boxes_with_the_border(
    rng: np.random.Generator, border: float
) -> None:
    corner = rng.uniform(0, 50, (2, 40, 2))
    a, b = np.concatenate([corner, corner + rng.uniform(0, 40, (2, 40, 2))], axis=2)
    wider = np.array([0, 0, border, border])
    np.testing.assert_allclose(overlap(a, b, border), boxes.iou(a + wider, b + wider), rtol=1e-9)


def test_boxes_without_area_overlap_nothing_and_divide_by_nothing() -> None:
    point = np.array([[5.0, 5.0, 5.0, 5.0]])
    assert overlap(point, point, 0).tolist() == [[0.0]]
    assert overlap(point, point, 1).tolist() == [[1.0]]


def test_border_decides_small_boxes() -> None:
    found, faces = [scored([[0, 0, 2, 2]], [1])], truth_of([[0, 1, 2, 3]])
    assert match(found, faces, border=0).faces.tolist() == [-1]  # 2 of 6
    assert match(found, faces, border=1).faces.tolist() == [0]  # 6 of 12


def test_each_prediction_has_one_face_and_the_best_score_comes_first() -> None:
    faces = truth_of([], [[0, 0, 10, 10], [8, 0, 18, 10]])
    found = scored([[0, 0, 10, 11], [6, 0, 16, 10], [0, 0, 10, 10]], [0.2, 0.5, 0.9])
    matches = match([scored([[0, 0, 9, 9]], [0.7]), found], faces, border=0)
    assert matches.pictures.tolist() == [0, 1, 1, 1]
    assert matches.rows.tolist() == [0, 3, 2, 1]
    assert matches.scores.tolist() == [0.7, 0.9, 0.5, 0.2]
    assert matches.faces.tolist() == [-1, 0, 1, 0]
    assert matches.first.tolist() == [False, True, True, False]
    assert matches.heights.tolist() == [9, 10, 10, 11]


def test_no_pictures_at_all() -> None:
    matches = match([], truth_of(), border=0)
    assert (matches.count, len(matches.faces), len(matches.face_lists)) == (0, 0, 0)


def test_refuses_what_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="for 1 pictures, wanted 2"):
        match([scored([], [])], truth_of([], []), border=0)
    with pytest.raises(ValueError, match=r"event/1: .* not a finite"):
        match([scored([], []), scored([[0, 0, 1, 1]], [np.nan])], truth_of([], []), border=0)
