"""Scores become probabilities, those of each group for themselves."""

from __future__ import annotations

import numpy as np
import pytest

from featherface.evaluation.calibration import calibrate, nearest_size, outcomes
from featherface.evaluation.matching import Truth, match
from featherface.types import Detections


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (3.0, 1.5), (0.4, -2.0)])
def test_finds_the_line_that_made_the_outcomes(
    scale: float, shift: float, rng: np.random.Generator
) -> None:
    logits = rng.normal(-shift / scale, 2 / scale, 20_000)
    group = rng.integers(0, 3, len(logits))
    shifts = shift + np.array([-1.0, 0.0, 0.5])
    found = rng.random(len(logits)) < sigmoid(scale * logits + shifts[group])
    line = calibrate(sigmoid(logits).astype(np.float32), found, group, groups=3)
    assert line.scale == pytest.approx(scale, rel=0.1)
    assert line.shifts == pytest.approx(shifts, abs=0.2)


def test_a_group_without_predictions_gets_about_the_shift_of_the_others(
    rng: np.random.Generator,
) -> None:
    logits = rng.normal(0, 2, 5_000)
    found = rng.random(len(logits)) < sigmoid(logits - 1)
    group = rng.integers(0, 2, len(logits))
    line = calibrate(sigmoid(logits).astype(np.float32), found, group, groups=3)
    assert line.shifts[2] == pytest.approx(line.shifts[:2].mean(), abs=0.05)


def test_boxes_go_with_the_anchor_of_their_size() -> None:
    boxes = np.array([[0, 0, 9, 12], [5, 5, 25, 25], [0, 0, 0, 0], [-9, 0, 900, 900]], np.float32)
    assert nearest_size(boxes, (10, 16, 32, 512)).tolist() == [0, 1, 0, 3]


@pytest.mark.parametrize("found", [np.zeros(5, np.bool_), np.ones(5, np.bool_), np.zeros(0, bool)])
def test_needs_faces_and_others(found: np.ndarray) -> None:
    with pytest.raises(ValueError, match="needs both kinds"):
        calibrate(np.full(len(found), 0.5, np.float32), found, np.zeros(len(found), int), groups=1)


def test_worthless_scores_are_refused() -> None:
    scores = np.linspace(0.1, 0.9, 100).astype(np.float32)
    with pytest.raises(ValueError, match="know nothing"):
        calibrate(scores, scores < 0.4, np.zeros(100, int), groups=1)


def test_outcomes_leave_out_ignored_boxes_and_count_duplicates_as_alarms() -> None:
    face, region = [0, 0, 20, 20], [100, 0, 140, 40]
    truth = Truth(("a/1",), (np.array([face, region], float),), (np.array([1, 0]),))
    boxes = np.array([face, [1, 0, 21, 20], region, [50, 50, 60, 60]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    predictions = [Detections(boxes, scores, np.zeros((4, 5, 2), np.float32))]
    kept, found, rows = outcomes(match(predictions, truth, border=0))
    np.testing.assert_allclose(kept, [0.9, 0.8, 0.6])
    assert found.tolist() == [True, False, False]
    assert rows.tolist() == [0, 1, 3]
