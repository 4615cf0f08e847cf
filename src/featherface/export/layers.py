"""Layers as ONNX nodes: convolutions with all that fuses into them, sums, products, pooling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from featherface.export.graph import Graph, Map, padded
from featherface.export.kernels import Kernel, kernel, per_channel
from featherface.models.layers import MEAN_RGB, SLOPE


def conv(g: Graph, x: Map, k: Kernel, *, act: str = "", slope: float = SLOPE) -> Map:
    """A convolution and the activation behind it: "", "Relu", "Sigmoid" or "LeakyRelu"."""
    weight, bias = _widened(k.reading(x.scale), x.width)
    y = g.map(
        "Conv",
        x.name,
        tensor(g, weight),
        tensor(g, bias),
        channels=k.outputs,
        stride=x.stride * k.stride,
        kernel_shape=[k.side, k.side],
        strides=[k.stride, k.stride],
        pads=[_margin(k)] * 4,
        group=x.width if k.groups > 1 else 1,
    )
    if not act:
        return y
    attributes = {"alpha": slope} if act == "LeakyRelu" else {}
    return g.map(act, y.name, channels=y.channels, stride=y.stride, **attributes)


def narrow_conv(g: Graph, x: str, k: Kernel) -> str:
    """A convolution to a tensor that is not padded, from a tensor of `k`'s inputs at the least."""
    return g.node(
        "Conv",
        x,
        tensor(g, k.weight),
        tensor(g, k.bias),
        kernel_shape=[k.side, k.side],
        strides=[k.stride, k.stride],
        pads=[_margin(k)] * 4,
    )


def tensor(g: Graph, value: Tensor) -> str:
    """A constant, float32."""
    return g.constant(value.float().numpy())


def widened_inputs(k: Kernel, width: int) -> Kernel:
    """Zeros for the channels that pad the input."""
    more = width - k.weight.shape[1]
    return replace(k, weight=nn.functional.pad(k.weight, (0, 0, 0, 0, 0, more)))


def _widened(k: Kernel, width: int) -> tuple[Tensor, Tensor]:
    """Weight and bias with zeros for the channels that pad input and output."""
    if k.groups == 1:
        k = widened_inputs(k, width)
    missing = padded(k.outputs) - k.outputs
    weight = nn.functional.pad(k.weight, (0, 0, 0, 0, 0, 0, 0, missing))
    return weight, nn.functional.pad(k.bias, (0, missing))


def _margin(k: Kernel) -> int:
    return (k.side - k.stride + 1) // 2


def sequential(g: Graph, x: Map, layers: nn.Sequential) -> Map:
    """Convolutions, each with the norm and the activation behind it, if any."""
    steps: list[tuple[Kernel, str, float]] = []
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            steps.append((kernel(layer), "", SLOPE))
        elif isinstance(layer, nn.BatchNorm2d):
            steps[-1] = (steps[-1][0].then(layer), "", SLOPE)
        elif isinstance(layer, nn.LeakyReLU):
            steps[-1] = (steps[-1][0], "LeakyRelu", layer.negative_slope)
        elif isinstance(layer, nn.ReLU):
            steps[-1] = (steps[-1][0], "Relu", SLOPE)
        else:
            raise TypeError(f"no rule to export {type(layer).__name__}; add one to export/layers.py")
    for k, act, slope in steps:
        x = conv(g, x, k, act=act, slope=slope)
    return x


def elementwise(g: Graph, op: str, x: Map, *others: Map) -> Map:
    """A function of the tensors number by number; a map of stride 0 counts for every place."""
    names = [each.name for each in others]
    return g.map(op, x.name, *names, channels=x.channels, stride=x.stride)


def add(g: Graph, x: Map, *others: Map) -> Map:
    """The sum; ONNX Runtime fuses it into a convolution that nothing else reads."""
    for other in others:
        x = elementwise(g, "Add", x, other)
    return x


def rescale(g: Graph, x: Map, scale: float) -> Map:
    """The same map, held times `scale`."""
    if x.scale == scale:
        return x
    factors = torch.full((x.channels,), scale)
    y = conv(g, x, per_channel(factors, torch.zeros(x.channels)))
    return replace(y, scale=scale)


def upsample(g: Graph, x: Map, factor: int) -> Map:
    """Nearest-neighbour enlargement."""
    y = g.map(
        "Resize",
        x.name,
        "",
        g.floats(1, 1, factor, factor),
        channels=x.channels,
        stride=x.stride // factor,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return replace(y, scale=x.scale)


def mean(g: Graph, x: Map) -> Map:
    """Mean over places."""
    return g.map("GlobalAveragePool", x.name, channels=x.channels, stride=0)


def peak(g: Graph, x: Map) -> Map:
    """Maximum over places."""
    return g.map("GlobalMaxPool", x.name, channels=x.channels, stride=0)


def stem(g: Graph, images: str, layers: nn.Sequential) -> Map:
    """uint8 pixels (B, H, W, 3) -> the first convolution of the normalised picture, LeakyReLU.

    The picture is read as one plane of interleaved colours, which spares a transposition: a 3x3
    kernel over pixels is a 3x9 kernel over that. The mean goes into the bias; it is a whole
    number, so a border of mean pixels keeps that exact where the network pads with zeros.
    """
    convolution, norm, _ = layers
    k = kernel(convolution, norm)
    weight = k.weight.permute(0, 2, 3, 1)  # (O, 3, 3, RGB)
    bias = k.bias - (weight * torch.tensor(MEAN_RGB)).sum((1, 2, 3))
    weight, bias = _widened(Kernel(weight.reshape(k.outputs, 1, 3, 9), bias), 1)
    y = g.map(
        "Conv",
        _bordered_plane(g, images),
        tensor(g, weight),
        tensor(g, bias),
        channels=k.outputs,
        stride=2,
        kernel_shape=[3, 9],
        strides=[2, 6],
    )
    return g.map("LeakyRelu", y.name, channels=y.channels, stride=2, alpha=SLOPE)


def _bordered_plane(g: Graph, images: str) -> str:
    """uint8 (B, H, W, 3) -> float (B, 1, H + 1, 3 (W + 1)), mean pixels above and left."""
    one, three = g.integers(1), g.integers(3)
    batch, rows, columns = (g.node("Shape", images, start=i, end=i + 1) for i in range(3))
    more = g.node("Add", columns, one)
    pixel = g.constant(np.array(MEAN_RGB, np.uint8).reshape(1, 1, 1, 3))
    left = g.node("Expand", pixel, g.node("Concat", batch, rows, one, three, axis=0))
    above = g.node("Expand", pixel, g.node("Concat", batch, one, more, three, axis=0))
    bordered = g.node("Concat", above, g.node("Concat", left, images, axis=2), axis=1)
    plane = g.node("Reshape", g.node("Cast", bordered, to=1), g.integers(0, 0, -1))
    return g.node("Unsqueeze", plane, one)
