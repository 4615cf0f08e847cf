"""Scores become probabilities, and their order stays."""

from __future__ import annotations

import numpy as np
import pytest

from featherface.evaluation.calibration import calibrate, outcomes
from featherface.evaluation.matching import Truth, match
from featherface.types import Detections


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (3.0, 1.5), (0.4, -2.0)])
def test_finds_the_line_that_made_the_outcomes(
    scale: float, shift: float, rng: np.random.Generator
) -> None:
    logits = rng.normal(-shift / scale, 2 / scale, 20_000)
    found = rng.random(len(logits)) < sigmoid(scale * logits + shift)
    line = calibrate(sigmoid(logits).astype(np.float32), found)
    assert line.scale == pytest.approx(scale, rel=0.1)
    assert line.shift == pytest.approx(shift, abs=0.15)


@pytest.mark.parametrize("found", [np.zeros(5, np.bool_), np.ones(5, np.bool_), np.zeros(0, bool)])
def test_needs_faces_and_others(found: np.ndarray) -> None:
    with pytest.raises(ValueError, match="needs both kinds"):
        calibrate(np.full(len(found), 0.5, np.float32), found)


def test_worthless_scores_are_refused() -> None:
    scores = np.linspace(0.1, 0.9, 100).astype(np.float32)
    with pytest.raises(ValueError, match="know nothing"):
        calibrate(scores, scores < 0.4)


def test_outcomes_leave_out_ignored_boxes_and_count_duplicates_as_alarms() -> None:
    face, region = [0, 0, 20, 20], [100, 0, 140, 40]
    truth = Truth(("a/1",), (np.array([face, region], float),), (np.array([1, 0]),))
    boxes = np.array([face, [1, 0, 21, 20], region, [50, 50, 60, 60]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    predictions = [Detections(boxes, scores, np.zeros((4, 5, 2), np.float32))]
    kept, found = outcomes(match(predictions, truth, border=0))
    np.testing.assert_allclose(kept, [0.9, 0.8, 0.6])
    assert found.tolist() == [True, False, False]
