"""Nano-B as an ONNX graph, module by module as in `models.nano_b`, rewritten for speed.

Every rewriting is exact but for rounding.
"""

from __future__ import annotations

import torch

from featherface.export.attention import cbam
from featherface.export.graph import Graph, Map
from featherface.export.heads import Head, head
from featherface.export.kernels import identity, kernel, side_by_side, stacked
from featherface.export.layers import conv, sequential, stem
from featherface.export.neck import (
    Levels,
    bifpn,
    decouple,
    guide,
    inject,
    project,
    scale_sequence,
    wanted_scales,
)
from featherface.models.mobilenet import MobileNetV1
from featherface.models.mse import SemanticInjection
from featherface.models.nano_b import SHUFFLE_GROUPS, NanoB
from featherface.models.scale import ScaleDecoupling, ScaleSequenceAttention
from featherface.models.ssh import ContextModule


def nano_b(g: Graph, images: str, m: NanoB) -> list[Head]:
    """uint8 pixels (B, H, W, 3) -> what each level says."""
    taps = backbone(g, images, m.backbone)
    if isinstance(m.decouple, ScaleDecoupling):
        taps[0] = decouple(g, taps[0], m.decouple)
    taps = [cbam(g, x, layer) for x, layer in zip(taps, m.attention, strict=True)]
    levels = neck(g, taps, m)
    heads = []
    for index, (x, module) in enumerate(zip(levels, m.context, strict=True)):
        fields, order = context(g, x, module)
        shuffled = torch.tensor(order).view(SHUFFLE_GROUPS, -1).t().flatten().tolist()
        heads.append(head(g, fields, shuffled, m.heads, index))
    return heads


def backbone(g: Graph, images: str, m: MobileNetV1) -> Levels:
    """C3, C4, C5."""
    first, *blocks = m.stage1
    x = stem(g, images, first)
    taps = []
    for stage in (blocks, m.stage2, m.stage3):
        for block in stage:
            x = sequential(g, x, block)
        taps.append(x)
    return taps


def neck(g: Graph, taps: Levels, m: NanoB) -> Levels:
    """From the projections to the second attention."""
    layers = list(m.bifpn)
    scales = wanted_scales(layers[0])
    semantic = isinstance(m.inject, SemanticInjection)
    scaled = zip(taps, m.project, (1.0, 1.0, 1.0) if semantic else scales, strict=True)
    levels = [project(g, x, layer, scale) for x, layer, scale in scaled]
    if isinstance(m.inject, SemanticInjection):
        levels = inject(g, levels, m.inject, scales)
    second = [project(g, x, layer) for x, layer in zip(taps[1:], m.project_again, strict=True)]
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        levels = bifpn(g, levels, second, layer, wanted_scales(following))
        second = levels[1:]
    if semantic:
        levels = [guide(g, x, layer) for x, layer in zip(levels, m.guide, strict=True)]
    if isinstance(m.refine_p3, ScaleSequenceAttention):
        p3 = scale_sequence(g, levels, m.refine_p3)
    else:
        p3 = cbam(g, levels[0], m.refine_p3)
    return [p3, *(cbam(g, x, layer) for x, layer in zip(levels[1:], m.refine, strict=True))]


def context(g: Graph, x: Map, m: ContextModule) -> tuple[Map, list[int]]:
    """The four fields, and where in the result each channel of the module's own order lies.

    LeakyReLU keeps the sign, so the ReLU at the end makes it harmless where no activation
    belongs: branches of different depth share their convolutions.
    """
    one, three = kernel(*m.field1), kernel(*m.field3)
    five_1, five_1_norm, _, *five_2 = m.field5
    seven_1, seven_1_norm, _, seven_2, seven_2_norm, _, *seven_3 = m.field7
    short = conv(g, x, stacked(three, one.enlarged(3)), act="Relu")
    deep = stacked(kernel(five_1, five_1_norm), kernel(seven_1, seven_1_norm))
    y = conv(g, x, deep, act="LeakyRelu")
    deeper = side_by_side(kernel(*five_2), kernel(seven_2, seven_2_norm))
    y = conv(g, y, deeper, act="LeakyRelu")
    branch = one.outputs
    deepest = side_by_side(identity(branch).enlarged(3), kernel(*seven_3))
    y = conv(g, y, deepest, act="Relu")
    width = short.width + y.width
    both = g.map("Concat", short.name, y.name, channels=width, stride=x.stride, axis=1)
    starts = (0, short.width, short.width + branch, branch)  # 3x3, 5x5, 7x7, 1x1
    return both, [start + index for start in starts for index in range(branch)]
