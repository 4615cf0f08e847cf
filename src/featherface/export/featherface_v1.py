"""FeatherFace V1 as an ONNX graph, module by module as in `models.featherface_v1`.

Deformable convolution is an operator of its own in ONNX; a runtime has to have it (ONNX Runtime
has had it on processors since 1.31).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from featherface.export.attention import cbam
from featherface.export.graph import Graph, Map
from featherface.export.heads import Head, head
from featherface.export.kernels import all_of, kernel, layers_of
from featherface.export.layers import (
    activate,
    add,
    concat,
    conv,
    elementwise,
    narrow_conv,
    tensor,
)
from featherface.export.nano_b import backbone
from featherface.export.neck import Levels, fuse, project
from featherface.models.bifpn import Project
from featherface.models.cbam import CBAM
from featherface.models.deformable import DeformableConv
from featherface.models.featherface_v1 import (
    BiFPNLayerV1,
    DeformableSSH,
    FeatherFaceV1,
    ShuffleBlock,
)


def featherface_v1(g: Graph, images: str, m: FeatherFaceV1) -> list[Head]:
    """uint8 pixels (B, H, W, 3) -> what each level says."""
    taps = attend(g, backbone(g, images, m.backbone)[1:], m.attention)
    firsts, seconds = all_of(Project, m.project), all_of(Project, m.project_again)
    levels = [project(g, x, layer) for x, layer in zip(taps, firsts, strict=True)]
    second = [project(g, x, layer) for x, layer in zip(taps[1:], seconds, strict=True)]
    for layer in all_of(BiFPNLayerV1, m.bifpn):
        levels = bifpn(g, levels, second, layer)
        second = levels[1:]
    levels = attend(g, levels, m.refine)
    modules = zip(all_of(DeformableSSH, m.context), all_of(ShuffleBlock, m.shuffle), strict=True)
    heads = []
    for index, (x, (fields, shuffle)) in enumerate(zip(levels, modules, strict=True)):
        x = shuffle_block(g, deformable_ssh(g, x, fields), shuffle)
        heads.append(head(g, x, list(range(x.channels)), m.heads, index))
    return heads


def attend(g: Graph, levels: Levels, modules: nn.ModuleList) -> Levels:
    """ReLU(CBAM(x) + x) at each level."""
    pairs = zip(levels, all_of(CBAM, modules), strict=True)
    return [elementwise(g, "Relu", add(g, cbam(g, x, m), x)) for x, m in pairs]


def bifpn(g: Graph, levels: Levels, second: Levels, m: BiFPNLayerV1) -> Levels:
    """One top-down and one bottom-up pass."""
    p3, p4, p5 = levels
    middle = fuse(g, m.p4_down, [(p4, 1), (p5, 2)])
    p3 = fuse(g, m.p3_out, [(p3, 1), (middle, 2)])
    p4 = fuse(g, m.p4_out, [(second[0], 1), (middle, 1), (shrink(g, p3), 1)])
    p5 = fuse(g, m.p5_out, [(second[1], 1), (shrink(g, p4), 1)])
    return [p3, p4, p5]


def shrink(g: Graph, x: Map) -> Map:
    """Maximum over 3x3 at every other place, zeros on the far side."""
    return g.map(
        "MaxPool",
        g.node("Pad", x.name, g.integers(0, 0, 0, 0, 0, 0, 1, 1)),
        channels=x.channels,
        stride=2 * x.stride,
        kernel_shape=[3, 3],
        strides=[2, 2],
    )


def deformable_ssh(g: Graph, x: Map, m: DeformableSSH) -> Map:
    """The three fields, concatenated, ReLU."""
    stem = deformable(g, x, m.stem)
    fields = [deformable(g, x, m.field3)]
    fields += [deformable(g, stem, layers) for layers in (m.field5, m.field7)]
    return elementwise(g, "Relu", concat(g, *fields))


def deformable(g: Graph, x: Map, modules: nn.Sequential) -> Map:
    """Deformable convolutions, each with the norm and the activation behind it, if any."""
    convs = [module for module in modules if isinstance(module, DeformableConv)]
    for module, (k, act, slope) in zip(convs, layers_of(modules), strict=True):
        name = g.node(
            "DeformConv",
            x.name,
            tensor(g, k.weight),
            narrow_conv(g, x.name, kernel(module.offset)),
            tensor(g, k.bias),
            g.node("Sigmoid", narrow_conv(g, x.name, kernel(module.modulate))),
            kernel_shape=[k.side, k.side],
            pads=[k.margin] * 4,
        )
        x = activate(g, g.declare(Map(name, k.outputs, x.stride)), act, slope)
    return x


def shuffle_block(g: Graph, x: Map, m: ShuffleBlock) -> Map:
    """Even channels before odd ones, the bottleneck, ReLU; the order moves into the weights."""
    (first, *_), *rest = layers_of(m.mix)
    half = x.channels // 2
    order: Tensor = torch.arange(x.channels).view(half, 2).t().flatten()
    weight = torch.empty_like(first.weight)
    weight[:, order] = first.weight
    y = conv(g, x, replace(first, weight=weight))
    for layer in rest:
        y = conv(g, y, *layer)
    return elementwise(g, "Relu", y)
