"""Layers as ONNX nodes: convolutions with all that fuses into them, sums, products, pooling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor, nn

from featherface.export.graph import Graph, Map
from featherface.export.kernels import Kernel, Layer, layers_of, per_channel
from featherface.models.layers import MEAN_RGB


def conv(g: Graph, x: Map, k: Kernel, act: str = "", slope: float = 0.0) -> Map:
    """A convolution and the activation behind it, as in `kernels.Layer`."""
    y = Map("", k.outputs, x.stride * k.stride)
    name = narrow_conv(g, x.name, k.reading(x.scale).padded(y.width, x.width))
    return activate(g, g.declare(replace(y, name=name)), act, slope)


def narrow_conv(g: Graph, x: str, k: Kernel) -> str:
    """A convolution to a tensor of just the channels that the kernel gives."""
    return g.node(
        "Conv",
        x,
        tensor(g, k.weight),
        tensor(g, k.bias),
        kernel_shape=[k.side, k.side],
        strides=[k.stride, k.stride],
        pads=[k.margin] * 4,
        group=k.groups,
    )


def activate(g: Graph, x: Map, act: str, slope: float = 0.0) -> Map:
    """An activation, or none when `act` is empty."""
    if not act:
        return x
    attributes = {"alpha": slope} if act == "LeakyRelu" else {}
    return g.map(act, x.name, channels=x.channels, stride=x.stride, **attributes)


def tensor(g: Graph, value: Tensor) -> str:
    """A constant, float32."""
    return g.constant(value.float().numpy())


def sequential(g: Graph, x: Map, modules: nn.Sequential) -> Map:
    """Convolutions, each with the norm and the activation behind it, if any."""
    for layer in layers_of(modules):
        x = conv(g, x, *layer)
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
    return replace(conv(g, x, per_channel(factors, torch.zeros(x.channels))), scale=scale)


def upsample(g: Graph, x: Map, factor: int) -> Map:
    """Nearest-neighbour enlargement."""
    if factor == 1:
        return x
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


def concat(g: Graph, *maps: Map) -> Map:
    """Maps one after the other, the zeros between them included in the channels."""
    names = [each.name for each in maps]
    channels = sum(each.width for each in maps)
    return g.map("Concat", *names, channels=channels, stride=maps[0].stride, axis=1)


def stem(g: Graph, images: str, layer: Layer) -> Map:
    """uint8 pixels (B, H, W, 3) -> the first layer's output for the normalised picture.

    The picture is read as one plane of interleaved colours, which spares a transposition: a 3x3
    kernel over pixels is a 3x9 kernel over that. The mean goes into the bias; it is a whole
    number, so a border of mean pixels keeps that exact where the network pads with zeros.
    """
    k, act, slope = layer
    weight = k.weight.permute(0, 2, 3, 1)  # (O, 3, 3, RGB)
    bias = k.bias - (weight * torch.tensor(MEAN_RGB)).sum((1, 2, 3))
    flat = Kernel(weight.reshape(k.outputs, 1, 3, 9), bias)
    y = Map("", k.outputs, k.stride)
    flat = flat.padded(y.width, 1)
    name = g.node(
        "Conv",
        _bordered_plane(g, images),
        tensor(g, flat.weight),
        tensor(g, flat.bias),
        kernel_shape=[3, 9],
        strides=[2, 6],
    )
    return activate(g, g.declare(replace(y, name=name)), act, slope)


def _bordered_plane(g: Graph, images: str) -> str:
    """uint8 (B, H, W, 3) -> float (B, 1, H + 1, 3 (W + 1)), mean pixels above and left."""
    one, three = g.integers(1), g.integers(3)
    batch, rows, columns = (g.node("Shape", images, start=i, end=i + 1) for i in range(3))
    more = g.node("Add", columns, one)
    pixel = g.constant(np.array(MEAN_RGB, np.uint8).reshape(1, 1, 1, 3))
    left = g.node("Expand", pixel, g.node("Concat", batch, rows, one, three, axis=0))
    above = g.node("Expand", pixel, g.node("Concat", batch, one, more, three, axis=0))
    bordered = g.node("Concat", above, g.node("Concat", left, images, axis=2), axis=1)
    numbers = g.node("Cast", bordered, to=TensorProto.FLOAT)
    return g.node("Unsqueeze", g.node("Reshape", numbers, g.integers(0, 0, -1)), one)
