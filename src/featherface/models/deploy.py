"""What a network says of every anchor, in pixels: the meaning that an export has to keep."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from featherface.anchors import make_anchors
from featherface.models.decode import decode_boxes, decode_points
from featherface.models.featherface_v1 import FeatherFaceV1
from featherface.models.layers import normalise
from featherface.models.nano_b import NanoB


class Predictions(NamedTuple):
    """One face for each anchor, in the order of `anchors.make_anchors`."""

    scores: Tensor  # (B, A), 0 to 1
    boxes: Tensor  # (B, A, 4), xyxy in pixels
    landmarks: Tensor  # (B, A, 5, 2), xy in pixels


@torch.inference_mode()
def predict(model: NanoB | FeatherFaceV1, pixels: Tensor) -> Predictions:
    """Run a network on pictures.

    Args:
        model: a network in eval mode.
        pixels: uint8 RGB (B, H, W, 3), H and W multiples of 32.
    """
    raw = model(normalise(pixels))
    grid = make_anchors(model.config.anchors, (pixels.shape[1], pixels.shape[2]))
    anchors = torch.from_numpy(grid).to(pixels.device)
    return Predictions(
        raw.class_logits.softmax(2)[..., 1],
        decode_boxes(raw.box_deltas, anchors),
        decode_points(raw.landmark_deltas, anchors),
    )
