"""Box arithmetic in numpy: overlap, the anchor code, suppression.

The code is that of SSD and RetinaFace: centre offsets over (variance x anchor size), logarithms
of the size ratios over the second variance; landmarks are coded like centres.
"""

from __future__ import annotations

import numpy as np

from featherface.types import Floats, Integers


def to_xyxy(boxes: Floats) -> Floats:
    """(..., 4) centre x, centre y, width, height -> x1, y1, x2, y2."""
    half = boxes[..., 2:] / 2
    return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], axis=-1)


def to_cxcywh(boxes: Floats) -> Floats:
    """(..., 4) x1, y1, x2, y2 -> centre x, centre y, width, height."""
    return np.concatenate(
        [(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], axis=-1
    )


def area(boxes: Floats) -> Floats:
    """(..., 4) xyxy -> (...,); zero for boxes turned inside out."""
    sides = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None)
    product: Floats = sides[..., 0] * sides[..., 1]
    return product


def intersection(a: Floats, b: Floats) -> Floats:
    """Shared area of every pair: (N, 4) and (M, 4) xyxy -> (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    product: Floats = sides[..., 0] * sides[..., 1]
    return product


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of every pair: (N, 4) and (M, 4) xyxy -> (N, M), 0 to 1."""
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    share: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return share


def encode(boxes: Floats, anchors: Floats, variances: tuple[float, float]) -> Floats:
    """Boxes (A, 4) xyxy as the network should predict them for anchors (A, 4) cxcywh."""
    target = to_cxcywh(boxes)
    centre = (target[:, :2] - anchors[:, :2]) / (variances[0] * anchors[:, 2:])
    scale = np.log(np.maximum(target[:, 2:], 1e-3) / anchors[:, 2:]) / variances[1]
    return np.concatenate([centre, scale], axis=1)


def decode(deltas: Floats, anchors: Floats, variances: tuple[float, float]) -> Floats:
    """The inverse of `encode`: predictions (A, 4) -> boxes (A, 4) xyxy."""
    centre = anchors[:, :2] + deltas[:, :2] * variances[0] * anchors[:, 2:]
    return to_xyxy(
        np.concatenate([centre, anchors[:, 2:] * np.exp(deltas[:, 2:] * variances[1])], axis=1)
    )


def encode_points(points: Floats, anchors: Floats, variances: tuple[float, float]) -> Floats:
    """Landmarks (A, K, 2) in pixels -> codes (A, K, 2)."""
    return (points - anchors[:, None, :2]) / (variances[0] * anchors[:, None, 2:])


def decode_points(deltas: Floats, anchors: Floats, variances: tuple[float, float]) -> Floats:
    """The inverse of `encode_points`: (A, K, 2) -> (A, K, 2) in pixels."""
    return anchors[:, None, :2] + deltas * variances[0] * anchors[:, None, 2:]


def nms(boxes: Floats, scores: Floats, overlap: float) -> Integers:
    """Greedy suppression: indices of the boxes kept, best score first.

    A box goes when its IoU with a better one is greater than `overlap`. Ties keep their order.
    """
    order = np.argsort(-scores, kind="stable")
    keep = []
    while len(order):
        best, order = order[0], order[1:]
        keep.append(best)
        order = order[iou(boxes[best : best + 1], boxes[order])[0] <= overlap]
    return np.asarray(keep, np.int64)
