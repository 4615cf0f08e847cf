"""Nano-B as an ONNX graph, module by module as in `models.nano_b`, rewritten for speed.

Every rewriting is exact but for rounding.
"""

from __future__ import annotations

import torch
from torch import nn

from featherface.export.attention import cbam
from featherface.export.graph import Graph, Map
from featherface.export.heads import Head, head
from featherface.export.kernels import (
    all_of,
    identity,
    layers_of,
    side_by_side,
    signed,
    stacked,
)
from featherface.export.layers import concat, conv, stem
from featherface.export.neck import (
    UNSCALED,
    Levels,
    bifpn,
    decouple,
    guide,
    inject,
    project,
    scale_sequence,
    wanted_scales,
)
from featherface.models.bifpn import BiFPNLayer, Project
from featherface.models.cbam import CBAM
from featherface.models.cost import BLOCK
from featherface.models.mobilenet import FINER, MobileNetV1
from featherface.models.mse import GatedFusion, SemanticInjection
from featherface.models.nano_b import SHUFFLE_GROUPS, NanoB
from featherface.models.scale import ScaleDecoupling, ScaleSequenceAttention
from featherface.models.ssh import ContextModule


def nano_b(g: Graph, images: str, m: NanoB) -> list[Head]:
    """uint8 pixels (B, H, W, 3) -> what each level says."""
    finer, *taps = backbone(g, images, m.backbone)
    if isinstance(m.decouple, ScaleDecoupling):
        taps[0] = decouple(g, taps[0], finer, m.decouple)
    taps = [cbam(g, x, layer) for x, layer in zip(taps, all_of(CBAM, m.attention), strict=True)]
    levels = refine(g, neck(g, taps, m), m)
    heads = []
    for index, (x, module) in enumerate(zip(levels, all_of(ContextModule, m.context), strict=True)):
        fields, order = context(g, x, module)
        shuffled = torch.tensor(order).view(SHUFFLE_GROUPS, -1).t().flatten().tolist()
        heads.append(head(g, fields, shuffled, m.heads, index))
    return heads


def backbone(g: Graph, images: str, m: MobileNetV1) -> Levels:
    """C2, C3, C4, C5.

    Half of a block of channels in the first two layers would be padding; it does the work of the
    second one's LeakyReLU instead.
    """
    stages = [
        [layers_of(block) for block in all_of(nn.Sequential, stage)]
        for stage in (m.stage1, m.stage2, m.stage3)
    ]
    (first,) = stages[0].pop(0)
    if 2 * first.kernel.outputs <= BLOCK and stages[0][0][0].act == "LeakyRelu":
        first = first._replace(kernel=stacked(first.kernel, first.kernel))
        stages[0][0] = list(signed(*stages[0][0]))
    x = stem(g, images, first)
    taps = []
    for blocks in (stages[0][: FINER - 1], stages[0][FINER - 1 :], *stages[1:]):
        for layers in blocks:
            for layer in layers:
                x = conv(g, x, *layer)
        taps.append(x)
    return taps


def neck(g: Graph, taps: Levels, m: NanoB) -> Levels:
    """From the projections to what follows the last fusion."""
    layers = all_of(BiFPNLayer, m.bifpn)
    scales = [*map(wanted_scales, layers), UNSCALED]
    semantic = isinstance(m.inject, SemanticInjection)
    projections = zip(
        taps, all_of(Project, m.project), UNSCALED if semantic else scales[0], strict=True
    )
    levels = [project(g, x, layer, scale) for x, layer, scale in projections]
    if isinstance(m.inject, SemanticInjection):
        levels = inject(g, levels, m.inject, scales[0])
    again = zip(taps[1:], all_of(Project, m.project_again), strict=True)
    second = [project(g, x, layer) for x, layer in again]
    for layer, wanted in zip(layers, scales[1:], strict=True):
        levels = bifpn(g, levels, second, layer, wanted)
        second = levels[1:]
    if semantic:
        guides = all_of(GatedFusion, m.guide)
        levels = [guide(g, x, layer) for x, layer in zip(levels, guides, strict=True)]
    return levels


def refine(g: Graph, levels: Levels, m: NanoB) -> Levels:
    """The second attention."""
    p3, p4, p5 = levels
    if isinstance(m.refine_p3, ScaleSequenceAttention):
        p3 = scale_sequence(g, levels, m.refine_p3)
    else:
        p3 = cbam(g, p3, m.refine_p3)
    attention_p4, attention_p5 = all_of(CBAM, m.refine)
    return [p3, cbam(g, p4, attention_p4), cbam(g, p5, attention_p5)]


def context(g: Graph, x: Map, m: ContextModule) -> tuple[Map, list[int]]:
    """The four fields, and where in the result each channel of the module's own order lies.

    LeakyReLU keeps the sign, so the ReLU at the end makes it harmless where no activation
    belongs: branches of different depth share their convolutions.
    """
    (one,), (three,) = layers_of(m.field1), layers_of(m.field3)
    five_1, five_2 = layers_of(m.field5)
    seven_1, seven_2, seven_3 = layers_of(m.field7)
    branch = one.kernel.outputs
    short = conv(g, x, stacked(three.kernel, one.kernel.enlarged(3)), "Relu")
    deep = conv(g, x, stacked(five_1.kernel, seven_1.kernel), *five_1[1:])
    deep = conv(g, deep, side_by_side(five_2.kernel, seven_2.kernel), *seven_2[1:])
    deep = conv(g, deep, side_by_side(identity(branch).enlarged(3), seven_3.kernel), "Relu")
    starts = (0, short.width, short.width + branch, branch)  # 3x3, 5x5, 7x7, 1x1
    return concat(g, short, deep), [start + i for start in starts for i in range(branch)]
