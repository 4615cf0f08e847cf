"""The WIDER FACE protocol step by step, and boxes to try it on: slow, and easy to check by reading.

The fast code is compared with it by a test and by `benchmarks/evaluation.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featherface.evaluation.matching import ScoredBoxes, Truth

STEPS = 1000


def plain_average_precision(predictions: list[ScoredBoxes], truth: Truth, bit: int) -> float:
    """AP of the list whose boxes have `bit`, by the seven steps of the official tool."""
    everything = np.concatenate([each.scores for each in predictions])
    low = everything.min() if len(everything) else 0.0
    span = everything.max() - low if len(everything) else 0.0
    faces = 0
    totals = np.zeros((STEPS, 2))  # predictions, faces found
    for prediction, boxes, lists in zip(predictions, truth.boxes, truth.lists, strict=True):
        counts = (lists & bit) > 0
        faces += int(counts.sum())
        if not (len(boxes) and len(prediction.scores)):
            assert len(boxes), "the official tool does not say what a picture without boxes means"
            continue
        order = np.argsort(-prediction.scores, kind="stable")
        scores = (prediction.scores[order] - low) / (span if span > 0 else 1.0)
        proposal, recalled = plain_matches(prediction.boxes[order], boxes, counts)
        totals += plain_steps(scores, proposal, recalled)
    if faces == 0:
        return float("nan")
    precision = [found / made if made else 0.0 for made, found in totals]
    recall = [found / faces for _, found in totals]
    return plain_area(precision, recall)


def plain_matches(
    boxes: NDArray[np.float64], annotated: NDArray[np.float64], counts: NDArray[np.bool_]
) -> tuple[list[bool], list[int]]:
    """For each prediction: whether it is in the denominator; faces found up to and with it."""
    overlaps = plain_iou(boxes, annotated)
    seen = np.zeros(len(annotated), np.bool_)
    proposal, recalled = [], []
    for row in overlaps:
        best = int(np.argmax(row))
        proposal.append(True)
        if row[best] >= 0.5:
            if counts[best]:
                seen[best] = True
            else:
                proposal[-1] = False
        recalled.append(int(seen.sum()))
    return proposal, recalled


def plain_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 4) and (M, 4) -> (N, M), every box one pixel wider and higher than its corners say."""
    result = np.zeros((len(a), len(b)))
    for row, box in enumerate(a):
        width = np.minimum(box[2], b[:, 2]) - np.maximum(box[0], b[:, 0]) + 1
        height = np.minimum(box[3], b[:, 3]) - np.maximum(box[1], b[:, 1]) + 1
        area = (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
        areas = (b[:, 2] - b[:, 0] + 1) * (b[:, 3] - b[:, 1] + 1)
        shared = width * height
        touch = (width > 0) & (height > 0)
        result[row, touch] = shared[touch] / (area + areas - shared)[touch]
    return result


def plain_steps(
    scores: NDArray[np.float64], proposal: list[bool], recalled: list[int]
) -> NDArray[np.float64]:
    """(STEPS, 2) predictions and faces found of one picture at each threshold."""
    totals = np.zeros((STEPS, 2))
    for step in range(STEPS):
        reach = np.flatnonzero(scores >= 1 - (step + 1) / STEPS)
        if len(reach):
            last = reach[-1]
            totals[step] = np.count_nonzero(proposal[: last + 1]), recalled[last]
    return totals


def plain_area(precision: list[float], recall: list[float]) -> float:
    """The area under the envelope, with the sentinels (0, 0) and (1, 0)."""
    recall = [0.0, *recall, 1.0]
    precision = [0.0, *precision, 0.0]
    for at in range(len(precision) - 2, -1, -1):
        precision[at] = max(precision[at], precision[at + 1])
    parts = [
        (recall[at + 1] - recall[at]) * precision[at + 1]
        for at in range(len(recall) - 1)
        if recall[at + 1] != recall[at]
    ]
    return float(np.sum(parts))


def disturb(
    truth: Truth, rng: np.random.Generator, *, alarms: float, decimals: int
) -> list[ScoredBoxes]:
    """What a middling detector may predict: boxes shifted, missed, doubled, invented, unsorted.

    Args:
        truth: the annotated boxes.
        rng: where chance comes from.
        alarms: false alarms for each annotated box.
        decimals: of the scores; few give many ties.
    """
    predictions = []
    for boxes in truth.boxes:
        copies = rng.choice(3, len(boxes), p=(0.2, 0.65, 0.15))  # missed, found, doubled
        found = np.repeat(boxes, copies, axis=0)
        side = np.maximum(found[:, 2:] - found[:, :2], 1)
        shift = rng.normal(0, 0.12, (len(found), 2, 2)) * side[:, None]
        moved = found + shift.reshape(-1, 4)
        moved = np.concatenate([np.minimum(moved[:, :2], moved[:, 2:]), moved[:, 2:]], axis=1)
        count = rng.poisson(alarms * len(boxes))
        corner = rng.uniform(0, 1024, (count, 2))
        invented = np.concatenate([corner, corner + rng.lognormal(3, 0.8, (count, 1))], axis=1)
        every = np.concatenate([moved, invented])
        scores = np.concatenate([rng.beta(4, 2, len(moved)), rng.beta(1, 6, count)])
        order = rng.permutation(len(every))
        predictions.append(ScoredBoxes(every[order], np.round(scores, decimals)[order]))
    return predictions
