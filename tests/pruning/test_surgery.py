"""Cutting a whole network down to narrower backbone widths."""

from __future__ import annotations

import pytest
import torch

from featherface.models.layers import count_parameters
from featherface.models.mobilenet import DENSE, PRUNED, Widths
from featherface.models.nano_b import NanoB, NanoBConfig
from featherface.pruning.surgery import cut_network

INNER: Widths = ((8, 16, 24, 32, 48, 32), (72, 72, 72, 72, 72, 64), (128, 128))
"""Narrower than the dense network inside the stages only, its taps untouched."""


@pytest.fixture
def dense() -> NanoB:
    torch.manual_seed(0)
    model = NanoB(NanoBConfig(widths=DENSE)).eval()
    for module in model.modules():  # norms that have seen something
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(1, 3, 96, 64, generator=torch.Generator().manual_seed(1)) * 60


def test_the_pruned_network_has_its_size(dense: NanoB) -> None:
    assert count_parameters(cut_network(dense, PRUNED)) == 136_073


@pytest.mark.parametrize("enhanced", [True, False])
def test_nothing_cut_nothing_changed(enhanced: bool, images: torch.Tensor) -> None:
    flags = dict.fromkeys(("scale_decoupling", "semantic", "scale_sequence"), enhanced)
    model = NanoB(NanoBConfig(widths=DENSE, **flags)).eval()
    with torch.no_grad():
        for before, after in zip(
            model(images), cut_network(model, DENSE).eval()(images), strict=True
        ):
            torch.testing.assert_close(after, before)


def test_cutting_dead_inner_channels_is_exact(dense: NanoB, images: torch.Tensor) -> None:
    for number, (stage, widths) in enumerate(zip(DENSE, INNER, strict=True), start=1):
        for block, (full, kept) in enumerate(zip(stage, widths, strict=True)):
            if full == kept:
                continue
            _, _, _, pointwise, norm, _ = getattr(dense.backbone, f"stage{number}")[block]
            for values in (pointwise.weight, norm.weight, norm.bias):
                values.data[kept:] = 0  # at zero, amid the others: what FPGM finds replaceable
            norm.running_mean[kept:] = 0
            following = getattr(dense.backbone, f"stage{number}")[block + 1]
            following[1].bias.data[kept:] = 0
            following[1].running_mean[kept:] = 0
    small = cut_network(dense, INNER).eval()
    assert count_parameters(small) < count_parameters(dense)
    with torch.no_grad():
        for before, after in zip(dense(images), small(images), strict=True):
            torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_the_dense_network_is_not_changed(dense: NanoB) -> None:
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    cut_network(dense, PRUNED)
    assert all(torch.equal(value, before[name]) for name, value in dense.state_dict().items())


def test_wider_is_refused(dense: NanoB) -> None:
    with pytest.raises(ValueError, match="cannot keep 64 of 32"):
        cut_network(dense, ((8, 16, 32, 32, 64, 64), *DENSE[1:]))
