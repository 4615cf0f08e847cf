"""Channel and spatial attention as ONNX nodes (`models.cbam`)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from featherface.export.graph import Graph, Map
from featherface.export.kernels import kernel, layers_of
from featherface.export.layers import (
    add,
    conv,
    elementwise,
    mean,
    narrow_conv,
    peak,
    sequential,
    tensor,
)
from featherface.models.cbam import CBAM, ChannelAttention, SpatialAttention

COARSEST = 32
"""Stride of the last level; sides of pictures are multiples of it."""


def cbam(g: Graph, x: Map, m: CBAM) -> Map:
    """Channel factors, then place factors."""
    x = elementwise(g, "Mul", x, channel_gate(g, x, m.channel))
    return times_places(g, x, spatial_gate(g, x, m.spatial))


def channel_gate(g: Graph, x: Map, m: ChannelAttention) -> Map:
    """One factor a channel; the second layer is linear, so it runs once, on the sum."""
    first, second = layers_of(m.mlp)
    hidden = (conv(g, pool(g, x), *first) for pool in (mean, peak))
    twice = replace(second.kernel, bias=2 * second.kernel.bias)
    return conv(g, add(g, *hidden), twice, "Sigmoid")


def gate(g: Graph, x: Map, mlp: nn.Sequential) -> Map:
    """Sigmoid of an MLP of one value a channel."""
    return elementwise(g, "Sigmoid", sequential(g, x, mlp))


def times_places(g: Graph, x: Map, factors: str) -> Map:
    """Every place times its factor, (B, 1, H, W)."""
    return g.map("Mul", x.name, factors, channels=x.channels, stride=x.stride)


def spatial_gate(g: Graph, x: Map, m: SpatialAttention) -> str:
    """One factor a place, (B, 1, H, W).

    A convolution to one channel leaves most of a block of channels idle, so a square of places
    is computed as the channels of one cell, and spread out afterwards.
    """
    real = x.name
    if x.width > x.channels:  # the zeros would hide a negative maximum
        real = g.node("Slice", x.name, g.integers(0), g.integers(x.channels), g.integers(1))
    most = reduce_max(g, real)
    share = torch.zeros(1, 1, x.width)
    share[..., : x.channels] = 1 / x.channels
    flat = g.node("Reshape", x.name, g.integers(0, x.width, -1))
    # A product of matrices takes a quarter of the time of ReduceMean.
    average = g.node("Reshape", g.node("MatMul", tensor(g, share), flat), g.node("Shape", most))
    k = kernel(m.conv).then(m.norm)
    block = COARSEST // x.stride
    bias = k.bias.expand(block * block)
    k = replace(k, weight=shifted(k.weight[0], block), bias=bias, stride=block)
    factors = g.node("Sigmoid", narrow_conv(g, g.node("Concat", most, average, axis=1), k))
    return g.node("DepthToSpace", factors, blocksize=block)


def shifted(weight: Tensor, block: int) -> Tensor:
    """A kernel (I, k, k) at every place of a square: (block^2, I, k + block - 1, the same)."""
    inputs, side, _ = weight.shape
    larger = weight.new_zeros(block, block, inputs, side + block - 1, side + block - 1)
    for row in range(block):
        for column in range(block):
            larger[row, column, :, row : row + side, column : column + side] = weight
    return larger.flatten(0, 1)


def reduce_max(g: Graph, x: str) -> str:
    """Maximum over channels, (B, 1, H, W)."""
    if g.opset < 18:
        return g.node("ReduceMax", x, axes=[1])
    return g.node("ReduceMax", x, g.integers(1))
