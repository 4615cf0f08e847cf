"""Scores that mean what they say: among faces scored 0.7, seven in ten are faces.

Platt, "Probabilistic outputs for support vector machines", 1999: a line through the logits, fitted
by logistic regression; here with a shift of its own for each size of anchor, since networks are too
modest about the smallest faces. It keeps the order of the scores of one size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from featherface.boxes import area
from featherface.evaluation.matching import Doubles, Matches
from featherface.types import Bools, Floats, Integers

STEPS = 50  # Newton's method needs five to ten
OWN = 1.0  # how strongly a group's shift is drawn to the common one: a standard deviation of 1


class Calibration(NamedTuple):
    """A new logit of the score is `scale` times the old one, plus its group's of `shifts` (G,)."""

    scale: float
    shifts: Doubles


class Outcomes(NamedTuple):
    """Predictions that count.

    Attributes:
        scores: (N,) 0 to 1.
        found: (N,) whether each found a face.
        rows: (N,) where it stood when all predictions are laid end to end.
    """

    scores: Floats
    found: Bools
    rows: Integers


def outcomes(matches: Matches) -> Outcomes:
    """What became of the predictions.

    Predictions of boxes that are in no list (ignore regions) do not count; the second and later
    ones that meet a face found none.
    """
    listed = np.append(matches.face_lists != 0, True)[matches.faces]  # -1: met nothing
    found = matches.first & (matches.faces >= 0)
    scores = matches.scores.astype(np.float32)
    return Outcomes(scores[listed], found[listed], matches.rows[listed])


def nearest_size(boxes: Floats, sizes: Sequence[float]) -> Integers:
    """Which of the sizes (G,) of anchors in pixels is most like each box (N, 4) xyxy."""
    sides = np.sqrt(area(boxes).clip(1e-3))  # (N,)
    distance = np.abs(np.log(sides[:, None] / np.asarray(sizes, np.float32)))
    nearest: Integers = distance.argmin(axis=1)
    return nearest


def calibrate(scores: Floats, found: Bools, group: Integers, *, groups: int) -> Calibration:
    """Fit the line and its shifts.

    Args:
        scores: (N,) above 0 and below 1.
        found: (N,) whether each was a face.
        group: (N,) 0 to groups - 1.
        groups: how many there are. One with little to learn from gets about the common shift.

    Raises:
        ValueError: when there are not both faces and others to learn from.
    """
    if not found.any() or found.all():
        raise ValueError(
            f"{found.sum()} of {len(found)} predictions are faces; calibration needs both kinds"
        )
    scores = scores.astype(float).clip(1e-6, 1 - 1e-6)
    logits = np.log(scores / (1 - scores))
    inputs = np.column_stack([logits, np.ones(len(scores)), np.eye(groups)[group]])  # (N, 2 + G)
    line = np.append([1.0, 0.0], np.zeros(groups))
    pull = np.append([1e-3, 1e-3], np.full(groups, OWN))
    for _ in range(STEPS):
        probability = 1 / (1 + np.exp(-inputs @ line))
        gradient = inputs.T @ (found - probability) - pull * line
        spread = probability * (1 - probability)
        step = np.linalg.solve((inputs.T * spread) @ inputs + np.diag(pull), gradient)
        line += step / max(1.0, np.abs(step).max())  # full steps overshoot far from the goal
    if line[0] <= 0:
        raise ValueError("higher scores are not more often faces; these weights know nothing")
    return Calibration(float(line[0]), line[1] + line[2:])
