"""BiFPN and what surrounds it as ONNX nodes (`models.bifpn`, `models.mse`, `models.scale`).

The constant weights of a fusion move into the convolutions before it, where the map that they
count for has one reader, or one that matters most; `Map.scale` keeps the books.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from featherface.export.attention import gate, spatial_gate, times_places
from featherface.export.graph import Graph, Map
from featherface.export.kernels import Kernel, all_of, kernel, layers_of, per_channel
from featherface.export.layers import (
    add,
    conv,
    elementwise,
    mean,
    narrow_conv,
    peak,
    rescale,
    sequential,
    upsample,
)
from featherface.models.bifpn import BiFPNLayer, FuseNode, Project
from featherface.models.mse import GatedFusion, SemanticEnhancement, SemanticInjection
from featherface.models.scale import ElanBlock, ScaleDecoupling, ScaleSequenceAttention

Levels = list[Map]
Scales = tuple[float, ...]
UNSCALED: Scales = (1.0, 1.0, 1.0)


def project(g: Graph, x: Map, m: Project, scale: float = 1.0) -> Map:
    """To the neck's width, held times `scale`."""
    (layer,) = layers_of(m)
    return replace(conv(g, x, layer.kernel.times(scale)), scale=scale)


def fusion_weights(m: FuseNode) -> list[float]:
    """The normalised weights of a node's inputs."""
    weights = m.weights.detach().double().relu()
    normalised: list[float] = (weights / (weights.sum() + 1e-4)).tolist()
    return normalised


def wanted_scales(m: BiFPNLayer) -> Scales:
    """Scales of P3, P4 and P5 that spare the layer which reads them a product each."""
    p3 = fusion_weights(m.p3_out)[0]
    p4, p5 = fusion_weights(m.p4_down)
    return p3 or 1.0, p4 or 1.0, p5 or 1.0  # a weight of zero cannot be divided by


def bifpn(g: Graph, levels: Levels, second: Levels, m: BiFPNLayer, scales: Scales) -> Levels:
    """One top-down and one bottom-up pass, the results held times `scales`."""
    p3, p4, p5 = levels
    for_p4 = fusion_weights(m.p4_out)[1] or 1.0
    middle = fuse(g, m.p4_down, [(p4, 1), (p5, 2)], scale=for_p4)
    p3 = fuse(g, m.p3_out, [(p3, 1), (middle, 2)], scale=scales[0])
    p4 = fuse(g, m.p4_out, [(second[0], 1), (middle, 1), (shrink(g, p3), 1)], scale=scales[1])
    p5 = fuse(g, m.p5_out, [(second[1], 1), (shrink(g, p4), 1)], scale=scales[2])
    return [p3, p4, p5]


def fuse(g: Graph, m: FuseNode, parts: Sequence[tuple[Map, int]], *, scale: float = 1.0) -> Map:
    """The weighted sum of maps, each enlarged by its factor, swish, the node's convolutions.

    A weight without a map counts in the sum that the others are divided by (see V1's P5).
    """
    terms = []
    for (x, factor), weight in zip(parts, fusion_weights(m), strict=False):
        terms.append(replace(upsample(g, rescale(g, x, weight), factor), scale=1.0))
    total = add(g, *terms)
    swish = elementwise(g, "Mul", total, elementwise(g, "Sigmoid", total))
    y = conv(g, swish, kernel(m.depthwise))
    return replace(conv(g, y, kernel(m.pointwise).then(m.norm).times(scale)), scale=scale)


def shrink(g: Graph, x: Map) -> Map:
    """Maximum over 3x3 at every other place, the far side cut."""
    y = g.map(
        "MaxPool",
        x.name,
        channels=x.channels,
        stride=2 * x.stride,
        kernel_shape=[3, 3],
        strides=[2, 2],
        pads=[0, 0, 1, 1],
    )
    return replace(y, scale=x.scale)


def inject(g: Graph, levels: Levels, m: SemanticInjection, scales: Scales) -> Levels:
    """Each level times one plus its gate, held times its scale."""
    semantics = enhance(g, levels[2], m.enhance)
    bases = (*levels[:2], semantics)
    results = []
    for x, layer, scale in zip(bases, all_of(nn.Conv2d, m.gates), scales, strict=True):
        factors = conv(g, semantics, kernel(layer), "Sigmoid")
        both = torch.full((factors.channels,), scale)
        factors = conv(g, factors, per_channel(both, both))
        factors = upsample(g, factors, semantics.stride // x.stride)
        results.append(replace(elementwise(g, "Mul", x, factors), scale=scale))
    return results


def enhance(g: Graph, p5: Map, m: SemanticEnhancement) -> Map:
    """P5 plus one vector, pooled over the places that a softmax points at."""
    logits = narrow_conv(g, p5.name, kernel(m.attend).padded(1, p5.width))
    share = g.node("Softmax", g.node("Reshape", logits, g.integers(0, -1, 1)), axis=1)  # (B, HW, 1)
    flat = g.node("Reshape", p5.name, g.integers(0, p5.width, -1))
    pooled = g.node("MatMul", flat, share)  # (B, C, 1)
    context = g.map("Unsqueeze", pooled, g.integers(3), channels=p5.channels, stride=0)
    return elementwise(g, "Add", p5, sequential(g, context, m.transform))


def guide(g: Graph, x: Map, m: GatedFusion) -> Map:
    """The map plus its gated channels, refined."""
    gated = elementwise(g, "Mul", x, gate(g, mean(g, x), m.gate))
    return add(g, sequential(g, gated, m.refine), x)


def decouple(g: Graph, x: Map, finer: Map, m: ScaleDecoupling) -> Map:
    """Computes x - low' + gate * (fine + low'), low' being the suppressed coarse map, enlarged.

    The coarse map has the opposite sign, as the blocked layout adds but does not subtract.
    fine + low' comes before the gate, so the gate's part of low' is taken off on the coarse map.
    """
    cell = m.CELL
    nothing = torch.zeros(x.channels).double()
    average = torch.full((x.channels, 1, cell, cell), -1 / cell**2).double()
    minus_low = conv(g, x, Kernel(average, nothing, cell, x.channels))
    high = add(g, x, upsample(g, minus_low, cell))
    suppress, gate_fine, gate_coarse = map(kernel, (m.suppress, m.gate_fine, m.gate_coarse))
    coarse = conv(g, minus_low, suppress.reading(-1))
    minus_coarse = conv(g, minus_low, replace(suppress, bias=-suppress.bias))
    fine = conv(g, high, kernel(m.enhance))
    if m.detail:
        fine = add(g, fine, conv(g, finer, kernel(m.detail)))
    both = add(g, fine, upsample(g, coarse, cell))
    coarse_part = Kernel(gate_coarse.weight - gate_fine.weight, nothing)
    shift = upsample(g, conv(g, coarse, coarse_part), cell)
    share = elementwise(g, "Sigmoid", add(g, conv(g, both, gate_fine), shift))
    without = add(g, x, upsample(g, minus_coarse, cell))
    return add(g, without, elementwise(g, "Mul", both, share))


def scale_sequence(g: Graph, levels: Levels, m: ScaleSequenceAttention) -> Map:
    """P3 plus what all levels agree on, steered by P3's own attention."""
    p3, p4, p5 = levels
    factors = add(g, *(gate(g, pool(g, p3), m.channel) for pool in (mean, peak)))
    fine = elementwise(g, "Mul", p3, factors)
    of_p3, of_p4, of_p5 = map(kernel, all_of(nn.Conv2d, m.reduce))
    coarse = add(g, conv(g, p4, of_p4), upsample(g, conv(g, p5, of_p5), 2))
    together = add(g, conv(g, fine, of_p3), upsample(g, coarse, 2))
    together = times_places(g, together, spatial_gate(g, fine, m.spatial))
    joint = sequential(g, together, m.norm)
    parts = elan(g, joint, m.mix) if isinstance(m.mix, ElanBlock) else [sequential(g, joint, m.mix)]
    return add(g, *parts, p3)


def elan(g: Graph, x: Map, m: ElanBlock) -> list[Map]:
    """What the block is the sum of; the first part has the norm's shift."""
    first, *others = (kernel(mix).then(m.norm) for mix in all_of(nn.Conv2d, m.mix))
    parts = [conv(g, x, first)]
    for layer, mix in zip(all_of(nn.Sequential, m.convs), others, strict=True):
        x = sequential(g, x, layer)
        parts.append(conv(g, x, replace(mix, bias=torch.zeros_like(mix.bias))))
    return parts
