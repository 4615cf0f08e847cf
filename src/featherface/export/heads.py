"""Heads as ONNX nodes: a logit for every anchor, the codes only for those that are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from featherface.export.graph import Graph, Map
from featherface.export.kernels import Kernel, kernel
from featherface.export.layers import narrow_conv, tensor
from featherface.models.heads import Heads

CODE = 14
"""Numbers that place a face: 4 for the box, 10 for the landmarks."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a level says.

    Attributes:
        logits: face minus background, (B, K, H, W) for K anchors a cell.
        features: what the codes are made of, (B, C, H, W).
        weight: features times this, (C, K x CODE), plus `bias` are the codes.
        bias: (K x CODE,).
        width: C.
    """

    logits: str
    features: str
    weight: str
    bias: str
    width: int


def head(g: Graph, x: Map, order: list[int], m: Heads, level: int) -> Head:
    """One level's head.

    Args:
        g: the graph.
        x: the level's map.
        order: where in `x` each channel lies that the head reads.
        m: the heads of all levels.
        level: which of them.
    """
    logits, boxes, landmarks = (
        _placed(kernel(getattr(m, task)[level]), order, x.width)
        for task in ("class_logits", "box_deltas", "landmark_deltas")
    )
    face = Kernel(
        logits.weight[1::2] - logits.weight[0::2], logits.bias[1::2] - logits.bias[0::2]
    )
    weight = _by_anchor(boxes.weight[..., 0, 0], landmarks.weight[..., 0, 0])  # (K x CODE, C)
    return Head(
        narrow_conv(g, x.name, face),
        x.name,
        tensor(g, weight.t()),
        tensor(g, _by_anchor(boxes.bias, landmarks.bias)),
        x.width,
    )


def _placed(k: Kernel, order: list[int], width: int) -> Kernel:
    """For a map of `width` channels, of which those at `order` are read."""
    weight = torch.zeros(k.outputs, width, 1, 1).double()
    weight[:, order] = k.weight
    return Kernel(weight, k.bias)


def _by_anchor(boxes: Tensor, landmarks: Tensor) -> Tensor:
    """4 rows of boxes and 10 of landmarks for each anchor in turn."""
    both = [boxes.unflatten(0, (-1, 4)), landmarks.unflatten(0, (-1, 10))]
    return torch.cat(both, 1).flatten(0, 1)
