"""One set of labels from what one or two detectors found.

Two detectors of different make are wrong about different things. Where both see a face it is one;
where only one does, or it doubts, the place is neither face nor background.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from featherface import boxes
from featherface.data.labelled import LabelledImage
from featherface.types import Detections, Floats

DOUBTFUL = 0.35  # what scores less is nothing
SURE = 0.5  # both detectors, or the only one, score so much,
VERY_SURE = 0.7  # or one of them this and the other no doubt
SAME = 0.4  # IoU at which two boxes are of one face
CLOSE = 0.12  # share of the face's size that two sets of landmarks may lie apart


def agree(path: Path, found: list[Detections]) -> LabelledImage:
    """The labels of a picture.

    Args:
        path: the picture.
        found: what each of one or two detectors found, best first, from `DOUBTFUL` on.

    Returns:
        Faces with probability 1, the rest as ignore regions. Boxes and landmarks of two
        detectors are their mean, weighted by score; landmarks that lie apart are not known.
    """
    first = found[0]
    if len(found) == 1:
        sure = first.scores >= SURE
        return _labels(path, first.boxes, first.landmarks, ignore=~sure)
    second = found[1]
    overlap = boxes.iou(first.boxes, second.boxes)  # (N, M)
    box_rows, point_rows, used = [], [], np.zeros(len(second), np.bool_)
    alone = np.ones(len(first), np.bool_)
    for row in range(len(first)):
        candidates = np.where(used, 0, overlap[row]) if len(second) else np.zeros(1)
        other = int(candidates.argmax())
        if candidates[other] < SAME:
            continue
        scores = np.array([first.scores[row], second.scores[other]])
        if scores.min() < SURE and scores.max() < VERY_SURE:
            continue
        used[other], alone[row] = True, False
        pair = np.stack([first.boxes[row], second.boxes[other]])
        box_rows.append(np.average(pair, axis=0, weights=scores))
        points = np.stack([first.landmarks[row], second.landmarks[other]])
        point_rows.append(_mean_points(points, scores, box_rows[-1]))
    agreed = np.array(box_rows, np.float32).reshape(-1, 4)
    rest = np.concatenate([first.boxes[alone], second.boxes[~used]])
    if len(agreed) and len(rest):  # a second opinion of a face that is settled
        rest = rest[boxes.iou(rest, agreed).max(axis=1) < SAME]
    landmarks = np.array(point_rows, np.float32).reshape(-1, 5, 2)
    return _labels(
        path,
        np.concatenate([agreed, rest]),
        np.concatenate([landmarks, np.full((len(rest), 5, 2), np.nan, np.float32)]),
        ignore=np.arange(len(agreed) + len(rest)) >= len(agreed),
    )


def _mean_points(points: np.ndarray, scores: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(2, 5, 2) -> (5, 2), NaN where the two do not agree."""
    size = float(np.sqrt((box[2] - box[0]) * (box[3] - box[1])))
    apart = np.linalg.norm(points[0] - points[1], axis=-1).max()
    mean: np.ndarray = np.average(points, axis=0, weights=scores)
    return mean if apart <= CLOSE * size else np.full_like(mean, np.nan)


def _labels(path: Path, found: Floats, landmarks: Floats, *, ignore: np.ndarray) -> LabelledImage:
    return LabelledImage(
        path,
        found.astype(np.float32),
        np.where(ignore[:, None, None], np.nan, landmarks).astype(np.float32),
        np.zeros(len(found), np.bool_),
        np.where(ignore, 0, 1).astype(np.float32),
        ignore,
    )
