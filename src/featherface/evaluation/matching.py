"""Which annotated face each predicted box meets, for all pictures of a run at once.

The rule is that of the WIDER FACE tool (Yang et al., 2016), and serves labelled folders too: each
prediction goes to the one annotated box that it overlaps most, whether that box counts or not,
and meets it when IoU >= 0.5. Which of the faces count is decided later (`average_precision`), so
one pass over the pictures answers all lists and size bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from featherface.types import Bools, Integers

Doubles = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]

OVERLAP = 0.5
"""IoU from which on a prediction meets a face."""


CACHED = 32_768
"""Pairs of boxes that are compared at a time; more would not stay in the processor's cache."""


class Scored(Protocol):
    """What is needed of the predictions of one picture: `Detections` have it."""

    @property
    def boxes(self) -> Reals:
        """(N, 4) xyxy pixels, in any order."""

    @property
    def scores(self) -> Reals:
        """(N,)."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredBoxes:
    """Predictions that came without landmarks, in full precision.

    Attributes:
        boxes: (N, 4) float64 xyxy.
        scores: (N,) float64, of any range.
    """

    boxes: Doubles
    scores: Doubles


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is known of the pictures of a run.

    Attributes:
        names: "folder/picture", without a suffix; one for each picture.
        boxes: (F, 4) float64 xyxy, the annotated boxes of each picture.
        lists: (F,) int64 for each picture: the lists that each box counts in, as bits of the
            protocol's choice; a box in no list is neither a miss nor a false alarm.
    """

    names: tuple[str, ...]
    boxes: tuple[Doubles, ...]
    lists: tuple[Integers, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The predictions of all N boxes of a run, and its F annotated boxes, picture after picture.

    Attributes:
        count: pictures.
        pictures: (N,) the picture of each prediction; within one, best score first.
        rows: (N,) where the prediction stood when all predictions are laid end to end as given.
        scores: (N,) float64.
        heights: (N,) float64 pixels.
        faces: (N,) the annotated box that the prediction meets, -1 for none.
        first: (N,) it is the best one to meet that box.
        face_pictures: (F,) the picture of each annotated box.
        face_heights: (F,) float64 pixels.
        face_lists: (F,) as in `Truth`.
    """

    count: int
    pictures: Integers
    rows: Integers
    scores: Doubles
    heights: Doubles
    faces: Integers
    first: Bools
    face_pictures: Integers
    face_heights: Doubles
    face_lists: Integers


def match(predictions: Sequence[Scored], truth: Truth, *, border: float) -> Matches:
    """Give every prediction its annotated box.

    Equal scores keep the order in which they are given.

    Args:
        predictions: one for each picture of `truth`, in its order.
        truth: the annotated boxes.
        border: added to widths and heights before the overlap is taken: 1 in the WIDER FACE tool,
            where a box from 3 to 5 covers three pixels, 0 where coordinates are continuous.

    Raises:
        ValueError: not as many predictions as pictures, or a box or score that is not finite.
    """
    if len(predictions) != len(truth.names):
        raise ValueError(
            f"there are predictions for {len(predictions)} pictures, wanted {len(truth.names)}"
        )
    scores = [np.asarray(each.scores, np.float64) for each in predictions]
    boxes = [np.asarray(each.boxes, np.float64) for each in predictions]
    for name, score, box in zip(truth.names, scores, boxes, strict=True):
        if not (np.isfinite(score).all() and np.isfinite(box).all()):
            raise ValueError(f"{name}: a predicted box or score is not a finite number")
    orders = [np.argsort(-score, kind="stable") for score in scores]
    ends = np.cumsum([0, *map(len, scores)])
    rows = _join([order + start for order, start in zip(orders, ends[:-1], strict=True)], np.int64)
    faces = []
    met = 0  # annotated boxes of the pictures before
    for box, order, annotated in zip(boxes, orders, truth.boxes, strict=True):
        faces.append(_meet(box[order], annotated, met, border))
        met += len(annotated)
    face = _join(faces, np.int64)
    box = np.concatenate([*boxes, np.zeros((0, 4))])[rows]
    annotated = np.concatenate([*truth.boxes, np.zeros((0, 4))])
    return Matches(
        count=len(truth.names),
        pictures=np.repeat(np.arange(len(scores)), np.diff(ends)),
        rows=rows,
        scores=_join(scores, np.float64)[rows],
        heights=box[:, 3] - box[:, 1],
        faces=face,
        first=first_to_meet(face),
        face_pictures=np.repeat(
            np.arange(len(scores)), np.array(list(map(len, truth.boxes)), np.int64)
        ),
        face_heights=annotated[:, 3] - annotated[:, 1],
        face_lists=_join(truth.lists, np.int64),
    )


def first_to_meet(faces: Integers) -> Bools:
    """(N,) whether no earlier prediction met the same box; best scores come first."""
    met, where = np.unique(faces, return_index=True)
    first = np.zeros(len(faces), np.bool_)
    first[where[met >= 0]] = True
    return first


def _meet(boxes: Doubles, annotated: Doubles, offset: int, border: float) -> Integers:
    """(N,) the annotated box of each prediction of one picture, counted from `offset`, or -1."""
    met = np.full(len(boxes), -1, np.int64)
    step = max(1, CACHED // max(1, len(annotated)))
    for start in range(0, len(boxes) if len(annotated) else 0, step):
        shared = overlap(boxes[start : start + step], annotated, border)
        best = shared.argmax(axis=1)
        good = shared[np.arange(len(best)), best] >= OVERLAP
        met[start : start + step] = np.where(good, best + offset, -1)
    return met


def overlap(a: Doubles, b: Doubles, border: float) -> Doubles:
    """IoU of every pair: (N, 4) and (M, 4) xyxy -> (N, M).

    `boxes.iou` with a border. The order of the additions is that of the official tool, so that
    overlaps of exactly one half fall on the same side.
    """
    width = np.minimum(a[:, None, 2], b[:, 2]) - np.maximum(a[:, None, 0], b[:, 0]) + border
    height = np.minimum(a[:, None, 3], b[:, 3]) - np.maximum(a[:, None, 1], b[:, 1]) + border
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    area_a, area_b = (
        (box[:, 2] - box[:, 0] + border) * (box[:, 3] - box[:, 1] + border) for box in (a, b)
    )
    union = area_a[:, None] + area_b - shared
    ratio: Doubles = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def _join(parts: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate(parts).astype(kind, copy=False) if parts else np.zeros(0, kind)
