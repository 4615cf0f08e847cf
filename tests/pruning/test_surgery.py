"""Silencing channels and cutting them out, of whole networks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featherface.models.layers import count_parameters
from featherface.models.mobilenet import DENSE, PRUNED, Widths
from featherface.models.nano_b import Hidden, NanoB, NanoBConfig
from featherface.models.zoo import AGAIN
from featherface.pruning.groups import Rates, narrowed
from featherface.pruning.surgery import choose_channels, cut_network, silence

DENSE_CONFIG = NanoBConfig(widths=DENSE)
INNER: Widths = ((7, 13, 24, 30, 48, 32), (72, 70, 72, 71, 72, 64), (128, 128))
"""Narrower than the dense network inside the stages only, its taps untouched."""
EXACT = 1e-6  # the factor that makes up for the mean is rounded to float32
SMALL: Widths = ((4, 5, 6, 7, 8, 30), (9, 9, 9, 9, 9, 52), (10, 90))


def stir(model: NanoB) -> NanoB:
    """Eval mode, with norms and biases that have something to say."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim == 1:
                value.add_(torch.randn(value.shape) * 0.1)
            elif not value.any():
                value.normal_(0, 0.05)  # what begins at zero
    return model.eval()


@pytest.fixture
def dense() -> NanoB:
    torch.manual_seed(0)
    return stir(NanoB(DENSE_CONFIG)).double()  # so that rounding does not hide anything


@pytest.fixture
def again() -> NanoB:
    """Its channels at stride 4 have two readers, its ASSN has channels between convolutions."""
    torch.manual_seed(0)
    return stir(NanoB(replace(AGAIN, widths=DENSE))).double()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1)).double() * 60


def silenced(model: NanoB, smaller: NanoBConfig) -> tuple[NanoB, list[torch.Tensor]]:
    model = copy.deepcopy(model)
    kept = choose_channels(model, smaller)
    silence(model, kept)
    return model, kept


def difference(one: NanoB, other: NanoB, images: torch.Tensor) -> float:
    with torch.no_grad():
        pairs = zip(one.eval()(images), other.eval()(images), strict=True)
        return max((a - b).abs().max().item() for a, b in pairs)


def hidden(**widths: int) -> Callable[[NanoBConfig], NanoBConfig]:
    return lambda config: replace(config, hidden=replace(config.hidden, **widths))


@pytest.mark.parametrize(
    "change",
    [
        lambda config: replace(config, widths=INNER),
        hidden(semantic=3),
        hidden(guide=1),
        hidden(gate=2),
        hidden(sequence=9),
        hidden(context=5),
        lambda config: narrowed(config, Rates(0.2, 0.3, 0.4, 0.5, 0.6)),
    ],
    ids=["backbone", "SEM", "gates", "ASSN gate", "ASSN", "SSH", "all, taps too"],
)
def test_silenced_and_cut_say_the_same(
    dense: NanoB, images: torch.Tensor, change: Callable[[NanoBConfig], NanoBConfig]
) -> None:
    smaller = change(DENSE_CONFIG)
    quiet, kept = silenced(dense, smaller)
    assert difference(dense, quiet, images) > 1e-5, "what went had something to say"
    cut = cut_network(quiet, smaller, heard=kept).double()
    assert cut.config == smaller
    assert count_parameters(cut) < count_parameters(dense)
    assert difference(quiet, cut, images) < EXACT
    cut.train()
    cut(images)  # and it can be trained


def test_improved_modules_are_silenced_and_cut_too(again: NanoB, images: torch.Tensor) -> None:
    first, *others = narrowed(again.config, Rates(0.5, 0.3, 0.4, 0.5, 0.6)).widths
    smaller = replace(again.config, widths=((8, 16, 32, 20, *first[4:]), *others))
    smaller = hidden(sequence=9)(smaller)
    quiet, kept = silenced(again, smaller)
    assert difference(again, quiet, images) > 1e-5, "what went had something to say"
    cut = cut_network(quiet, smaller, heard=kept).double()
    assert difference(quiet, cut, images) < EXACT


def test_what_was_silenced_goes_even_where_silence_is_far_from_the_median(
    dense: NanoB, images: torch.Tensor
) -> None:
    with torch.no_grad():
        for block in (*dense.backbone.stage1[1:], *dense.backbone.stage2, *dense.backbone.stage3):
            block[3].weight += 1  # so zeros are the filters that are hardest to replace
    smaller = narrowed(DENSE_CONFIG, Rates(0.2, 0.2, 0.2, 0.2, 0.2))
    quiet, kept = silenced(dense, smaller)
    again = choose_channels(quiet, smaller)
    assert any(a.tolist() != b.tolist() for a, b in zip(again, kept, strict=True))
    cut = cut_network(quiet, smaller, heard=kept).double()
    scale = max(part.abs().max().item() for part in quiet(images))
    assert difference(quiet, cut, images) < EXACT * max(scale, 1)


def test_without_making_up_for_it_the_mean_over_channels_is_another_one(
    dense: NanoB, images: torch.Tensor
) -> None:
    quiet, _ = silenced(dense, NanoBConfig())
    apart = difference(quiet, cut_network(quiet, NanoBConfig()).double(), images)
    assert apart > 1e-3, "the deviation that fine-tuning has to make up for"
    # It comes from the spatial attention of the taps alone.
    for attention in quiet.attention:
        attention.spatial.conv.weight.data[:, 1] = 0
    assert difference(quiet, cut_network(quiet, NanoBConfig()).double(), images) < EXACT


def test_the_maximum_over_channels_differs_only_where_all_are_negative(
    dense: NanoB, images: torch.Tensor
) -> None:
    for stage in (dense.backbone.stage1, dense.backbone.stage2, dense.backbone.stage3):
        stage[-1][4].weight.data.fill_(1e-3)
        stage[-1][4].bias.data.fill_(-1)  # so the taps are negative everywhere
    quiet, kept = silenced(dense, NanoBConfig())
    with torch.no_grad():
        assert all((tap <= 0).all() for tap in quiet.backbone(images)[1:])
    assert difference(quiet, cut_network(quiet, NanoBConfig(), heard=kept).double(), images) > 1e-4
    for attention in quiet.attention:
        attention.spatial.conv.weight.data[:, 0] = 0
    assert difference(quiet, cut_network(quiet, NanoBConfig(), heard=kept).double(), images) < EXACT


def test_the_pruned_network_has_its_size(dense: NanoB) -> None:
    assert count_parameters(cut_network(dense, NanoBConfig(widths=PRUNED))) == 136_073


@pytest.mark.parametrize("enhanced", [True, False])
def test_nothing_cut_nothing_changed(enhanced: bool, images: torch.Tensor) -> None:
    flags = dict.fromkeys(("scale_decoupling", "semantic", "scale_sequence"), enhanced)
    model = NanoB(NanoBConfig(widths=DENSE, **flags)).eval()
    assert difference(model, cut_network(model, model.config), images.float()) == 0


@settings(max_examples=8)
@given(
    st.tuples(*[st.integers(1, 4)] * 4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_any_widths_load_strictly(
    few: tuple[int, ...], decoupling: bool, semantic: bool, sequence: bool
) -> None:
    flags = {"scale_decoupling": decoupling, "semantic": semantic, "scale_sequence": sequence}
    config = NanoBConfig(widths=SMALL, repeats=1, **flags)
    model = NanoB(config)
    widths = tuple(
        tuple(max(width - less, 1) for width in stage)
        for stage, less in zip(SMALL, few, strict=False)
    )
    smaller = replace(
        config, widths=widths, hidden=Hidden(semantic=few[3], guide=1, gate=2, context=few[0])
    )
    assert cut_network(model, smaller).config == smaller


def test_what_stays_fixed_is_not_touched(dense: NanoB) -> None:
    cut = cut_network(dense, narrowed(DENSE_CONFIG, Rates(0.5, 0.5, 0.5, 0.5, 0.5)))
    before = dense.state_dict()
    for name, value in cut.state_dict().items():
        if name.startswith(("heads.", "bifpn.")):
            assert torch.equal(value, before[name])


def test_the_dense_network_is_not_changed(dense: NanoB) -> None:
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    cut_network(dense, NanoBConfig(), heard=choose_channels(dense, NanoBConfig()))
    assert all(torch.equal(value, before[name]) for name, value in dense.state_dict().items())


def test_wider_is_refused(dense: NanoB) -> None:
    wider = replace(DENSE_CONFIG, widths=((8, 16, 32, 32, 64, 64), *DENSE[1:]))
    with pytest.raises(ValueError, match="cannot keep 64 of 32"):
        cut_network(dense, wider)


def test_another_kind_of_network_is_refused(dense: NanoB) -> None:
    with pytest.raises(ValueError, match="more than their widths"):
        cut_network(dense, replace(DENSE_CONFIG, semantic=False))
