"""The anchor code in torch; `featherface.boxes` is the same in numpy and says what it means."""

from __future__ import annotations

import torch
from torch import Tensor

VARIANCES = (0.1, 0.2)


def decode_boxes(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Predictions (..., 4) for anchors (..., 4) cxcywh -> boxes (..., 4) xyxy."""
    centre = anchors[..., :2] + deltas[..., :2] * VARIANCES[0] * anchors[..., 2:]
    half = anchors[..., 2:] * (deltas[..., 2:] * VARIANCES[1]).clamp(max=6).exp() / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of `decode_boxes`."""
    centre = ((boxes[..., :2] + boxes[..., 2:]) / 2 - anchors[..., :2]) / anchors[..., 2:]
    side = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3) / anchors[..., 2:]
    return torch.cat([centre / VARIANCES[0], side.log() / VARIANCES[1]], dim=-1)


def decode_points(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Landmark codes (..., 10) for anchors (..., 4) -> points (..., 5, 2) in pixels."""
    points = deltas.unflatten(-1, (5, 2)) * VARIANCES[0]
    return anchors[..., None, :2] + points * anchors[..., None, 2:]


def encode_points(points: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of `decode_points`: (..., 5, 2) -> (..., 10)."""
    code = (points - anchors[..., None, :2]) / (VARIANCES[0] * anchors[..., None, 2:])
    return code.flatten(-2)
