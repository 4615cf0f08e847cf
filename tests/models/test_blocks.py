"""Every block of the light networks against its formula, and the networks as wholes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from featherface.anchors import NANO_B, AnchorSpec, make_anchors
from featherface.models.bifpn import BiFPNLayer, FuseNode
from featherface.models.cbam import CBAM
from featherface.models.heads import TASKS, Heads
from featherface.models.layers import (
    MEAN_RGB,
    channel_shuffle,
    count_parameters,
    init_weights,
    normalise,
    upsample,
)
from featherface.models.mobilenet import DENSE, PRUNED, X025, MobileNetV1, Pyramid
from featherface.models.mse import GatedFusion, SemanticEnhancement, SemanticInjection
from featherface.models.nano_b import NanoB
from featherface.models.scale import ElanBlock, ScaleDecoupling, ScaleSequenceAttention
from featherface.models.ssh import ContextModule
from featherface.models.zoo import (
    MODELS,
    VARIANTS,
    build,
    nano_b,
    nano_b_enhanced,
    nano_b_enhanced_again,
    nano_b_enhanced_dense,
)

NANO_BS = ["nano_b", "nano_b_enhanced", "nano_b_enhanced_dense"]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def stirred(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in eval mode with every parameter and running statistic moved at random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            value.add_(torch.randn(value.shape, generator=generator) * 0.1)
        for name, value in module.named_buffers():
            if name.endswith("running_mean"):
                value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
            elif name.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return module.eval()


def maps(channels: int, *, size: int = 16, batch: int = 2) -> Pyramid:
    generator = torch.Generator().manual_seed(1)
    return Pyramid(
        *(torch.randn(batch, channels, size >> i, size >> i, generator=generator) for i in range(3))
    )


def grow(x: Tensor, factor: int) -> Tensor:
    return x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


# ---- layers ---------------------------------------------------------------------------------


def test_normalise_subtracts_the_mean_of_rgb() -> None:
    pixels = torch.randint(0, 256, (2, 4, 5, 3), dtype=torch.uint8)
    images = normalise(pixels)
    assert images.shape == (2, 3, 4, 5)
    assert images.dtype == torch.float32
    for channel, mean in enumerate(MEAN_RGB):
        assert torch.equal(images[:, channel], pixels[..., channel].float() - mean)


@pytest.mark.parametrize(("channels", "groups"), [(32, 4), (12, 3), (8, 1), (8, 8)])
def test_channel_shuffle_puts_one_channel_of_each_group_side_by_side(
    channels: int, groups: int
) -> None:
    x = torch.arange(float(channels)).view(1, -1, 1, 1).expand(2, -1, 3, 3)
    order = [
        group * (channels // groups) + i
        for i in range(channels // groups)
        for group in range(groups)
    ]
    assert channel_shuffle(x, groups)[0, :, 0, 0].tolist() == order


def test_channel_shuffle_is_undone_by_the_other_number_of_groups() -> None:
    x = torch.randn(2, 32, 3, 5)
    assert torch.equal(channel_shuffle(channel_shuffle(x, 4), 8), x)


def test_upsample_repeats_cells() -> None:
    x = torch.randn(1, 2, 3, 4)
    assert torch.equal(upsample(x, 4), grow(x, 4))


@pytest.mark.parametrize(("widths", "count"), [(X025, 213_072), (DENSE, 84_120), (PRUNED, 57_815)])
def test_backbone_counts_and_strides(widths: tuple[tuple[int, ...], ...], count: int) -> None:
    backbone = MobileNetV1(widths)
    assert count_parameters(backbone) == count
    taps = backbone(torch.zeros(1, 3, 64, 96))
    outputs = (widths[0][3], *(stage[-1] for stage in widths))
    wanted = [(1, n, 64 // s, 96 // s) for n, s in zip(outputs, (4, 8, 16, 32), strict=True)]
    assert [tuple(tap.shape) for tap in taps] == wanted


def test_backbone_refuses_widths_of_another_layout() -> None:
    with pytest.raises(ValueError, match="6, 6 and 2"):
        MobileNetV1(((8,), (16,), (32,)))


# ---- attention ------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [27, 32, 50])
def test_cbam_is_channel_then_place_attention(channels: int) -> None:
    cbam = stirred(CBAM(channels))
    x = torch.randn(2, channels, 9, 7)
    first, _, second = cbam.channel.mlp

    def mlp(pooled: Tensor) -> Tensor:
        hidden = (pooled @ first.weight[:, :, 0, 0].T + first.bias).relu()
        return hidden @ second.weight[:, :, 0, 0].T + second.bias

    pooled = x.flatten(2)
    gate = torch.sigmoid(mlp(pooled.mean(2)) + mlp(pooled.max(2).values))
    y = x * gate[:, :, None, None]
    both = torch.stack([y.max(1).values, y.mean(1)], dim=1)
    norm = cbam.spatial.norm
    place = functional.conv2d(both, cbam.spatial.conv.weight, padding=3)
    place = (place - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    expected = y * torch.sigmoid(place * norm.weight + norm.bias)
    torch.testing.assert_close(cbam(x), expected)


def test_cbam_hidden_width_is_a_sixteenth() -> None:
    counts = {27: 182, 32: 262, 50: 453, 64: 680, 87: 1_062, 128: 2_284, 256: 8_564}
    assert {channels: count_parameters(CBAM(channels)) for channels in counts} == counts


# ---- BiFPN ----------------------------------------------------------------------------------


def fused(node: FuseNode, *inputs: Tensor) -> Tensor:
    """The node: BN(pw(dw(swish(sum relu(w) x / (sum relu(w) + 1e-4)))))."""
    weights = node.weights.relu()
    mean = sum(w * x for w, x in zip(weights, inputs, strict=True)) / (weights.sum() + 1e-4)
    return node.norm(node.pointwise(node.depthwise(mean * torch.sigmoid(mean))))


def shrunk(x: Tensor) -> Tensor:
    """3x3 maximum at stride 2, "same": the spare row and column lie at the far side."""
    padded = functional.pad(x, (0, 1, 0, 1), value=-math.inf)
    return padded.unfold(2, 3, 2).unfold(3, 3, 2).amax((-2, -1))


@pytest.mark.parametrize("inputs", [2, 3])
def test_fuse_node_is_the_fast_normalised_fusion(inputs: int) -> None:
    node = stirred(FuseNode(8, inputs))
    with torch.no_grad():
        node.weights[0] = -0.5  # relu switches this input off
    x = [torch.randn(2, 8, 6, 6) for _ in range(inputs)]
    torch.testing.assert_close(node(*x), fused(node, *x))
    changed = [x[0] + 1, *x[1:]]
    torch.testing.assert_close(node(*changed), node(*x))


def test_fuse_node_leaves_its_inputs_alone() -> None:
    x = [torch.randn(1, 4, 3, 3) for _ in range(2)]
    before = [value.clone() for value in x]
    FuseNode(4, 2).eval()(*x)
    assert all(torch.equal(a, b) for a, b in zip(x, before, strict=True))


def test_bifpn_layer_is_four_nodes() -> None:
    layer = stirred(BiFPNLayer(8))
    levels = maps(8)
    second = (torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4))
    middle = fused(layer.p4_down, levels.p4, grow(levels.p5, 2))
    p3 = fused(layer.p3_out, levels.p3, grow(middle, 2))
    p4 = fused(layer.p4_out, second[0], middle, shrunk(p3))
    p5 = fused(layer.p5_out, second[1], shrunk(p4))
    for found, wanted in zip(layer(levels, second), (p3, p4, p5), strict=True):
        torch.testing.assert_close(found, wanted)


# ---- MSE ------------------------------------------------------------------------------------


def test_semantic_enhancement_adds_a_softmax_pooled_vector() -> None:
    module = stirred(SemanticEnhancement(8, 8))
    p5 = torch.randn(2, 8, 3, 5)
    share = module.attend(p5).exp()
    share = share / share.sum((2, 3), keepdim=True)
    vector = (p5 * share).sum((2, 3), keepdim=True)
    torch.testing.assert_close(module(p5), p5 + module.transform(vector))


def test_semantic_injection_gates_each_level_by_the_enlarged_p5() -> None:
    module = stirred(SemanticInjection(8, 8))
    levels = maps(8)
    semantics = module.enhance(levels.p5)
    bases = (levels.p3, levels.p4, semantics)
    for found, base, gate, factor in zip(
        module(levels), bases, module.gates, (4, 2, 1), strict=True
    ):
        wanted = base + base * torch.sigmoid(gate(grow(semantics, factor)))
        torch.testing.assert_close(found, wanted)


def test_gated_fusion_adds_what_its_gate_lets_through() -> None:
    module = stirred(GatedFusion(8, 4))
    x = torch.randn(2, 8, 6, 6)
    gate = torch.sigmoid(module.gate(functional.adaptive_avg_pool2d(x, 1)))
    torch.testing.assert_close(module(x), x + module.refine(gate * x))


# ---- the two modules of P3 ------------------------------------------------------------------


def test_scale_decoupling_starts_as_the_identity() -> None:
    module = ScaleDecoupling(27, finer=5).apply(init_weights)
    module.zero_init()
    x, finer = torch.randn(2, 27, 8, 12), torch.randn(2, 5, 16, 24)
    assert torch.equal(module(x, finer), x)


@pytest.mark.parametrize("detail", [False, True])
def test_scale_decoupling_equals_the_unsplit_formula(detail: bool) -> None:
    module = stirred(ScaleDecoupling(6, finer=5 if detail else 0))
    x, finer = torch.randn(2, 6, 8, 12), torch.randn(2, 5, 16, 24)
    low = grow(functional.avg_pool2d(x, 4), 4)
    enhanced, suppressed = module.enhance(x - low), module.suppress(low)
    if detail:
        enhanced = enhanced + functional.conv2d(finer, module.detail.weight, stride=2, padding=1)
    kernel = torch.cat([module.gate_fine.weight, module.gate_coarse.weight], dim=1)
    both = torch.cat([enhanced, suppressed], dim=1)
    gate = torch.sigmoid(functional.conv2d(both, kernel, module.gate_fine.bias))
    wanted = x + gate * enhanced - (1 - gate) * suppressed
    torch.testing.assert_close(module(x, finer), wanted, rtol=1e-4, atol=1e-5)


def test_scale_sequence_attention_equals_the_concatenated_formula() -> None:
    module = stirred(ScaleSequenceAttention(16, 8, gate=2))
    p3, p4, p5 = levels = maps(16)
    pooled = [functional.adaptive_avg_pool2d(p3, 1), functional.adaptive_max_pool2d(p3, 1)]
    fine = p3 * sum(torch.sigmoid(module.channel(value)) for value in pooled)
    place = module.spatial(fine)
    stacked = torch.cat([fine * place, grow(p4, 2) * place, grow(p5, 4) * place], dim=1)
    kernel = torch.cat([conv.weight for conv in module.reduce], dim=1)
    mixed = module.mix(module.norm(functional.conv2d(stacked, kernel)))
    torch.testing.assert_close(module(levels), p3 + mixed, rtol=1e-4, atol=1e-5)


def test_elan_mixes_what_goes_in_and_what_each_convolution_gives() -> None:
    block = stirred(ElanBlock(4, 16, 2))
    x = torch.randn(2, 4, 6, 8)
    maps = [x, block.convs[0](x), block.convs[1](block.convs[0](x))]
    kernel = torch.cat([mix.weight for mix in block.mix], dim=1)
    wanted = block.norm(functional.conv2d(torch.cat(maps, dim=1), kernel))
    torch.testing.assert_close(block(x), wanted, rtol=1e-4, atol=1e-5)


def test_an_identity_start_leaves_mse_and_assn_out() -> None:
    """But for a factor: gates of one half make everything half as large again."""
    network = nano_b_enhanced_again()
    levels = maps(32)
    torch.testing.assert_close(network.refine_p3(levels), levels.p3)
    torch.testing.assert_close(network.guide[1](levels.p4), levels.p4)
    torch.testing.assert_close(network.inject(levels).p3, levels.p3 * 1.5)


def test_scale_sequence_attention_reads_all_three_levels() -> None:
    module = stirred(ScaleSequenceAttention(16, 16, gate=2))
    levels = maps(16)
    for level in levels:
        level.requires_grad_()
    module(levels).sum().backward()
    assert all(level.grad is not None and level.grad.any() for level in levels)


# ---- context and heads ----------------------------------------------------------------------


def test_context_branches_see_3_5_7_and_1_cells() -> None:
    module = stirred(ContextModule(8, branch=8, inner=8))
    x = torch.randn(1, 8, 15, 15, requires_grad=True)
    for branch, reach in enumerate((1, 2, 3, 0)):
        # Whole channels at the centre: ReLU may silence one of them, hardly all eight.
        centre = module(x)[0, branch * 8 : branch * 8 + 8, 7, 7].sum()
        (gradient,) = torch.autograd.grad(centre, x)
        rows, columns = gradient[0].abs().sum(0).nonzero(as_tuple=True)
        span = [rows.min(), rows.max(), columns.min(), columns.max()]
        assert [int(v) for v in span] == [7 - reach, 7 + reach] * 2


def test_context_is_its_branches_side_by_side() -> None:
    module = stirred(ContextModule(8, branch=4, inner=4))
    x = torch.randn(2, 8, 9, 9)
    fields = (module.field3, module.field5, module.field7, module.field1)
    wanted = torch.cat([field(x).clamp(min=0) for field in fields], dim=1)
    torch.testing.assert_close(module(x), wanted)
    assert module(x).min() == 0


@pytest.mark.parametrize("sizes", [NANO_B.sizes, ((16, 32), (64, 128), (256,))])
def test_heads_answer_in_the_order_of_the_anchors(sizes: tuple[tuple[int, ...], ...]) -> None:
    """Heads that only copy their cell's place and know their own anchor's size."""
    spec = AnchorSpec(NANO_B.strides, sizes)
    heads = Heads(4, spec.per_cell)
    size = (64, 96)
    levels = []
    for level, stride in enumerate(spec.strides):
        y, x = torch.meshgrid(
            (torch.arange(size[0] // stride) + 0.5) * stride,
            (torch.arange(size[1] // stride) + 0.5) * stride,
            indexing="ij",
        )
        levels.append(torch.stack([x, y, x * 0, x * 0])[None])
        conv = heads.box_deltas[level]
        nn.init.zeros_(conv.weight)
        nn.init.zeros_(conv.bias)
        with torch.no_grad():
            for anchor, side in enumerate(sizes[level]):
                conv.weight[anchor * 4, 0] = conv.weight[anchor * 4 + 1, 1] = 1.0
                conv.bias[anchor * 4 + 2 : anchor * 4 + 4] = side
    found = heads(Pyramid(*levels)).box_deltas[0]
    torch.testing.assert_close(found, torch.from_numpy(make_anchors(spec, size)))


def test_every_head_keeps_the_numbers_of_an_anchor_together() -> None:
    heads = Heads(4, (3, 3, 3))
    raw = heads(maps(4, size=8))
    for task, width in TASKS.items():
        part = getattr(raw, task)
        assert part.shape == (2, 3 * (64 + 16 + 4), width)
        conv = getattr(heads, task)[1]
        cell = conv(maps(4, size=8).p4)[1, :, 2, 3].view(3, width)
        torch.testing.assert_close(part[1, 3 * (64 + 2 * 4 + 3) :][:3], cell)


def test_fresh_heads_call_almost_everything_background() -> None:
    heads = Heads(8, (3, 3, 3))
    heads.prior_init()
    probability = heads(Pyramid(*(x * 0 for x in maps(8)))).class_logits.softmax(-1)[..., 1]
    torch.testing.assert_close(probability, torch.full_like(probability, 0.02))


# ---- networks -------------------------------------------------------------------------------


def test_parameters_part_by_part() -> None:
    found = {name: count_parameters(part) for name, part in nano_b_enhanced().named_children()}
    assert found == {
        "backbone": 57_815,
        "decouple": 8_829,
        "attention": 182 + 453 + 1_062,
        "project": 5_536,
        "project_again": 4_576,
        "bifpn": 3 * 5_641,
        "inject": 585 + 3_168,
        "guide": 876 + 1_056,
        "refine_p3": 2_712,
        "refine": 524,
        "context": 27_024,
        "heads": 4_752,
    }
    assert sum(found.values()) == 136_073


def test_parameters_in_total() -> None:
    totals = {name: count_parameters(build(name)) for name in MODELS | VARIANTS}
    assert totals == {
        "featherface_v1": 592_371,
        "nano_b": 119_109,
        "nano_b_enhanced": 136_073,
        "nano_b_enhanced_dense": 171_142,
        "nano_b_decoupled": 127_938,
        "nano_b_detailed": 135_714,
        "nano_b_enhanced_again": 149_369,
        "nano_b_semantic": 124_794,
        "nano_b_sequence": 121_559,
        "nano_b_wide": 136_127,
        "nano_b_enhanced_dense_relu": 171_142,
    }


def test_build_names_what_there_is() -> None:
    with pytest.raises(ValueError, match="nano_b_enhanced"):
        build("nano-b")


def test_the_original_has_none_of_the_three_modules() -> None:
    starred = (ScaleDecoupling, ScaleSequenceAttention, SemanticInjection, GatedFusion)
    assert not any(isinstance(module, starred) for module in nano_b().modules())
    for module in starred:
        assert any(isinstance(part, module) for part in nano_b_enhanced().modules())


@pytest.mark.parametrize("name", [*NANO_BS, *VARIANTS])
@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 128)])
@pytest.mark.parametrize("batch", [1, 2])
def test_one_output_row_an_anchor(name: str, size: tuple[int, int], batch: int) -> None:
    with torch.no_grad():
        raw = build(name).eval()(torch.randn(batch, 3, *size))
    anchors = len(make_anchors(NANO_B, size))
    assert [tuple(part.shape) for part in raw] == [(batch, anchors, k) for k in (2, 4, 10)]


def test_25200_anchors_at_640() -> None:
    with torch.no_grad():
        raw = nano_b_enhanced().eval()(torch.zeros(1, 3, 640, 640))
    assert raw.class_logits.shape == (1, 25_200, 2)
    assert len(make_anchors(NANO_B, (640, 640))) == 25_200


@pytest.mark.parametrize("name", NANO_BS)
def test_batch_equals_one_by_one(name: str) -> None:
    model = build(name).eval()
    images = torch.randn(2, 3, 64, 96) * 50
    with torch.no_grad():
        together, single = model(images), [model(image[None]) for image in images]
    for part, parts in zip(together, zip(*single, strict=True), strict=True):
        torch.testing.assert_close(part, torch.cat(parts), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NANO_BS)
def test_gradients_reach_every_parameter(name: str) -> None:
    silent = {key for key, _ in build(name).named_parameters()}
    for seed in range(6):  # attention with one hidden unit can be silent in a draw, not in all
        model = stirred(build(name), seed)
        raw = model(torch.randn(2, 3, 64, 64))
        sum((part * torch.randn_like(part)).sum() for part in raw).backward()
        silent -= {
            key for key, p in model.named_parameters() if p.grad is not None and p.grad.any()
        }
    assert silent == set()


def test_dense_differs_from_pruned_in_widths_only() -> None:
    dense, pruned = nano_b_enhanced_dense(), nano_b_enhanced()
    assert isinstance(dense, NanoB)
    assert list(dense.state_dict()) == list(pruned.state_dict())


def test_rescaling_scores_is_a_line_through_the_logits_of_each_anchor() -> None:
    model = nano_b().eval()
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 50
    shifts = [float(number) for number in range(9)]  # three levels of three
    with torch.no_grad():
        before = model(images).class_logits.diff(dim=2)
        model.heads.rescale_scores(2.5, shifts)
        after = model(images).class_logits.diff(dim=2)
    cells = ((64 // 8) ** 2, (64 // 16) ** 2, (64 // 32) ** 2)
    levels = (torch.tensor(shifts[3 * i : 3 * i + 3]).repeat(n) for i, n in enumerate(cells))
    torch.testing.assert_close(after, 2.5 * before + torch.cat([*levels])[None, :, None])
