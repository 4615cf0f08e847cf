"""Scores that mean what they say: among faces scored 0.7, seven in ten are faces.

Platt, "Probabilistic outputs for support vector machines", 1999: a line through the logits, fitted
by logistic regression. It keeps the order of the scores, so no AP changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from featherface.evaluation.matching import Matches
from featherface.types import Bools, Floats

STEPS = 50  # Newton's method needs five to ten


class Calibration(NamedTuple):
    """A new logit of the score is `scale` times the old one, plus `shift`."""

    scale: float
    shift: float


def outcomes(matches: Matches) -> tuple[Floats, Bools]:
    """Scores (N,) of all predictions that count, and which of them found a face (N,).

    Predictions of boxes that are in no list (ignore regions) do not count; the second and later
    ones that meet a face found none.
    """
    listed = np.append(matches.face_lists != 0, True)[matches.faces]  # -1: met nothing
    found = matches.first & (matches.faces >= 0)
    return matches.scores[listed].astype(np.float32), found[listed]


def calibrate(scores: Floats, found: Bools) -> Calibration:
    """Fit the line.

    Args:
        scores: (N,) above 0 and below 1.
        found: (N,) whether each was a face.

    Raises:
        ValueError: when there are not both faces and others to learn from.
    """
    if not found.any() or found.all():
        raise ValueError(
            f"{found.sum()} of {len(found)} predictions are faces; calibration needs both kinds"
        )
    scores = scores.astype(float).clip(1e-6, 1 - 1e-6)
    inputs = np.stack([np.log(scores / (1 - scores)), np.ones(len(scores))], axis=1)  # (N, 2)
    line = np.array([1.0, 0.0])
    for _ in range(STEPS):
        probability = 1 / (1 + np.exp(-inputs @ line))
        gradient = inputs.T @ (found - probability) - 1e-3 * line
        spread = probability * (1 - probability)
        step = np.linalg.solve((inputs.T * spread) @ inputs + 1e-3 * np.eye(2), gradient)
        line += step / max(1.0, np.abs(step).max())  # full steps overshoot far from the goal
    if line[0] <= 0:
        raise ValueError("higher scores are not more often faces; these weights know nothing")
    return Calibration(float(line[0]), float(line[1]))
