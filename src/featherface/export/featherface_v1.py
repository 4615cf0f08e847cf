"""FeatherFace V1 as an ONNX graph, module by module as in `models.featherface_v1`.

Deformable convolution is an operator of its own in ONNX; runtimes that lack it cannot read the
file (ONNX Runtime has it on processors since 1.31).
"""

from __future__ import annotations

from dataclasses import replace

import torch

from featherface.export.attention import cbam
from featherface.export.graph import Graph, Map
from featherface.export.heads import Head, head
from featherface.export.kernels import Kernel, kernel
from featherface.export.layers import (
    add,
    conv,
    elementwise,
    narrow_conv,
    sequential,
    tensor,
)
from featherface.export.nano_b import backbone
from featherface.export.neck import Levels, fuse, project
from featherface.models.cbam import CBAM
from featherface.models.featherface_v1 import (
    BiFPNLayerV1,
    DeformableSSH,
    FeatherFaceV1,
    ShuffleBlock,
)


def featherface_v1(g: Graph, images: str, m: FeatherFaceV1) -> list[Head]:
    """uint8 pixels (B, H, W, 3) -> what each level says."""
    taps = backbone(g, images, m.backbone)
    taps = [attend(g, x, layer) for x, layer in zip(taps, m.attention, strict=True)]
    levels = [project(g, x, layer) for x, layer in zip(taps, m.project, strict=True)]
    second = [project(g, x, layer) for x, layer in zip(taps[1:], m.project_again, strict=True)]
    for layer in m.bifpn:
        levels = bifpn(g, levels, second, layer)
        second = levels[1:]
    levels = [attend(g, x, layer) for x, layer in zip(levels, m.refine, strict=True)]
    heads = []
    for index, (x, context, block) in enumerate(zip(levels, m.context, m.shuffle, strict=True)):
        x = shuffle_block(g, deformable_ssh(g, x, context), block)
        heads.append(head(g, x, list(range(x.channels)), m.heads, index))
    return heads


def attend(g: Graph, x: Map, m: CBAM) -> Map:
    """ReLU(CBAM(x) + x)."""
    return elementwise(g, "Relu", add(g, cbam(g, x, m), x))


def bifpn(g: Graph, levels: Levels, second: Levels, m: BiFPNLayerV1) -> Levels:
    """One top-down and one bottom-up pass; P5's third weight only enters the sum."""
    p3, p4, p5 = levels
    middle = fuse(g, m.p4_down, [(p4, 1), (p5, 2)])
    p3 = fuse(g, m.p3_out, [(p3, 1), (middle, 2)])
    p4 = fuse(g, m.p4_out, [(second[0], 1), (middle, 1), (shrink(g, p3), 1)])
    p5 = fuse(g, m.p5_out, [(second[1], 1), (shrink(g, p4), 1)])
    return [p3, p4, p5]


def shrink(g: Graph, x: Map) -> Map:
    """Maximum over 3x3 at every other place, zeros on the far side."""
    wider = g.node("Pad", x.name, g.integers(0, 0, 0, 0, 0, 0, 1, 1))
    return g.map(
        "MaxPool",
        wider,
        channels=x.channels,
        stride=2 * x.stride,
        kernel_shape=[3, 3],
        strides=[2, 2],
    )


def deformable_ssh(g: Graph, x: Map, m: DeformableSSH) -> Map:
    """The three fields, concatenated, ReLU."""
    stem = deformable(g, x, m.stem)
    fields = [deformable(g, x, m.field3), deformable(g, stem, m.field5)]
    between = deformable(g, stem, m.field7[:3])
    fields.append(deformable(g, between, m.field7[3:]))
    channels = sum(field.channels for field in fields)
    names = [field.name for field in fields]
    return elementwise(
        g, "Relu", g.map("Concat", *names, channels=channels, stride=x.stride, axis=1)
    )


def deformable(g: Graph, x: Map, layers: torch.nn.Sequential) -> Map:
    """Deformable convolution, batch norm, LeakyReLU if there is one."""
    layer, norm, *act = layers
    outputs = len(layer.weight)
    # The factor of two that the mask has goes into the weights.
    k = Kernel(2 * layer.weight.detach().double(), torch.zeros(outputs).double()).then(norm)
    y = g.map(
        "DeformConv",
        x.name,
        tensor(g, k.weight),
        narrow_conv(g, x.name, kernel(layer.offset)),
        tensor(g, k.bias),
        g.node("Sigmoid", narrow_conv(g, x.name, kernel(layer.modulate))),
        channels=outputs,
        stride=x.stride,
        kernel_shape=[3, 3],
        pads=[1] * 4,
    )
    if not act:
        return y
    return g.map(
        "LeakyRelu", y.name, channels=outputs, stride=x.stride, alpha=act[0].negative_slope
    )


def shuffle_block(g: Graph, x: Map, m: ShuffleBlock) -> Map:
    """Even channels before odd ones, the bottleneck, ReLU; the order moves into the weights."""
    first, first_norm, *rest = m.mix
    k = kernel(first, first_norm)
    half = x.channels // 2
    order = torch.arange(x.channels).view(half, 2).t().flatten()
    weight = torch.empty_like(k.weight)
    weight[:, order] = k.weight
    y = sequential(g, conv(g, x, replace(k, weight=weight)), torch.nn.Sequential(*rest))
    return elementwise(g, "Relu", y)
