"""Heads as ONNX nodes: a logit for every anchor, the codes only of those that are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from featherface.export.graph import Graph, Map
from featherface.export.kernels import Kernel, all_of, kernel
from featherface.export.layers import narrow_conv, tensor
from featherface.models.heads import TASKS, Heads

CODE = TASKS["box_deltas"] + TASKS["landmark_deltas"]
"""Numbers that place a face: 4 for the box, 10 for the landmarks."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a level of K anchors a cell says; all but the last are names of tensors.

    Attributes:
        logits: face minus background, (B, K, H, W).
        features: what the codes are made of, (B, C, H, W).
        weight: (C, K x CODE); features times this, plus `bias`, are the codes.
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
    logits, boxes, landmarks = (_of(m, task, level, order, x.width) for task in TASKS)
    face = Kernel(logits.weight[1::2] - logits.weight[0::2], logits.bias[1::2] - logits.bias[0::2])
    weight = _by_anchor(boxes.weight, landmarks.weight)[..., 0, 0]  # (K x CODE, C)
    bias = _by_anchor(boxes.bias, landmarks.bias)
    weight_name, bias_name = tensor(g, weight.t()), tensor(g, bias)
    return Head(narrow_conv(g, x.name, face), x.name, weight_name, bias_name, x.width)


def _of(m: Heads, task: str, level: int, order: list[int], width: int) -> Kernel:
    """A level's convolution for a task, reading a map of `width` channels at `order`."""
    convs = m.get_submodule(task)
    assert isinstance(convs, nn.ModuleList)
    k = kernel(all_of(nn.Conv2d, convs)[level])
    weight = k.weight.new_zeros(k.outputs, width, 1, 1)
    weight[:, order] = k.weight
    return Kernel(weight, k.bias)


def _by_anchor(boxes: Tensor, landmarks: Tensor) -> Tensor:
    """Rows of boxes and of landmarks, those of the first anchor first."""
    parts = (boxes.unflatten(0, (-1, 4)), landmarks.unflatten(0, (-1, 10)))
    return torch.cat(parts, dim=1).flatten(0, 1)
