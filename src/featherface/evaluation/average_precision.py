"""Average precision: how many of the faces are found, at which price in false alarms.

The area under the precision envelope, as in PASCAL VOC 2010 and WIDER FACE: precision at a recall
is the best one reached at that recall or a higher one. Everything is a count over pictures, so a
bootstrap over pictures only has to weigh them (`bootstrap`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from featherface.evaluation.matching import Doubles, Matches
from featherface.types import Bools, Integers

PRECISION = 0.9
"""Recall is told at this precision: one box in ten is wrong."""

Band = tuple[float, float]  # heights in pixels, the lower end included, the upper one not

BANDS: dict[str, Band] = {
    "<16": (0, 16),
    "16-32": (16, 32),
    "<32": (0, 32),
    "32-96": (32, 96),
    ">96": (96, np.inf),
}
"""Face heights in pixels of the stored picture, whatever size the detector looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """The predictions and faces that one figure counts.

    Attributes:
        pictures: (N,) the picture of each prediction, best score of the run first.
        hits: (N,) the prediction finds a face; else it is a false alarm.
        scores: (S,) the score steps of the curve, falling.
        ends: (S,) how many predictions reach each step.
        faces: (pictures,) the faces of each picture.
    """

    pictures: Integers
    hits: Bools
    scores: Doubles
    ends: Integers
    faces: Integers


class Curve(NamedTuple):
    """Precision and recall (S,) at the steps of a tally."""

    precision: Doubles
    recall: Doubles


@dataclass(frozen=True, slots=True)
class Measure:
    """What is told of one list or size band; NaN where there are no faces at all.

    Attributes:
        faces: the faces that count.
        ap: average precision, 0 to 1.
        recall: the share found at precision 0.9; 0 where that precision is never reached.
    """

    faces: int
    ap: float
    recall: float


def tally(
    matches: Matches, counted: Bools, band: Band = (0, np.inf), *, thresholds: Doubles | None = None
) -> Tally:
    """Pick out what counts.

    A prediction that meets a face that does not count is left out. One that meets a counted face
    is a hit if it is the best to do so, else a false alarm. One that meets nothing is a false
    alarm if its own height is in the band; with no band, always.

    Args:
        matches: the run.
        counted: (F,) the faces that count, all of them in `band`.
        band: heights.
        thresholds: (S,) falling scores to take the curve at; None for every score there is.
    """
    low, high = band
    meets = matches.faces >= 0
    alarm = (matches.heights >= low) & (matches.heights < high)
    if meets.any():
        alarm = np.where(meets, counted[matches.faces], alarm)
    kept = np.flatnonzero(alarm)
    kept = kept[np.argsort(-matches.scores[kept], kind="stable")]
    scores = matches.scores[kept]
    if thresholds is None:
        last = np.ones(len(scores), np.bool_)  # of those with the same score
        last[:-1] = scores[1:] != scores[:-1]
        ends = np.flatnonzero(last) + 1
        thresholds = scores[last]
    else:
        ends = np.searchsorted(-scores, -thresholds, side="right")
    return Tally(
        pictures=matches.pictures[kept],
        hits=(matches.faces >= 0)[kept] & matches.first[kept],
        scores=thresholds,
        ends=ends,
        faces=np.bincount(matches.face_pictures[counted], minlength=matches.count),
    )


def curve(counts: Tally, weights: Integers | None = None) -> Curve:
    """Precision and recall at every step, each picture taken `weights` (pictures,) times.

    Precision is 0 where nothing is predicted, recall where there is no face.
    """
    if weights is None:
        weights = np.ones(len(counts.faces), np.int64)
    each = weights[counts.pictures]
    predicted = _running(each)[counts.ends]
    found = _running(np.where(counts.hits, each, 0))[counts.ends]
    return Curve(found / np.maximum(predicted, 1), found / max(1, int(weights @ counts.faces)))


def _running(values: Integers) -> Integers:
    """(N,) -> (N + 1,) the sums of the first 0 to N."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def average_precision(points: Curve) -> float:
    """The area under the precision envelope, between recall 0 and the highest one reached."""
    recall = np.concatenate([[0.0], points.recall])
    envelope = np.maximum.accumulate(points.precision[::-1])[::-1]
    grows = np.flatnonzero(recall[1:] != recall[:-1])  # adding zeros would round otherwise
    return float(np.sum((recall[grows + 1] - recall[grows]) * envelope[grows]))


def recall_at(points: Curve, precision: float = PRECISION) -> float:
    """The highest recall at which at least this precision holds, else 0."""
    return float(np.max(points.recall, where=points.precision >= precision, initial=0.0))


def measure(counts: Tally, weights: Integers | None = None) -> Measure:
    """The figures of a tally, each picture taken `weights` (pictures,) times."""
    faces = int(counts.faces.sum() if weights is None else weights @ counts.faces)
    if not faces:
        return Measure(0, float("nan"), float("nan"))
    points = curve(counts, weights)
    return Measure(faces, average_precision(points), recall_at(points))
