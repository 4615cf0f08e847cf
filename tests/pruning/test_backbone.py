"""A cut backbone computes what the whole one computes without the channels that went."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from featherface.models.layers import count_parameters
from featherface.models.mobilenet import DENSE, PRUNED, X025, MobileNetV1, Widths
from featherface.pruning.backbone import slice_backbone

SMALL: Widths = ((6, 6, 8, 8, 10, 10), (12, 12, 14, 12, 12, 12), (16, 16))
SMALLER: Widths = ((4, 5, 8, 6, 7, 4), (9, 12, 10, 8, 8, 7), (16, 9))


@pytest.fixture
def whole() -> MobileNetV1:
    """A backbone whose norms have something to say."""
    torch.manual_seed(0)
    model = MobileNetV1(SMALL).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.running_var):
                nn.init.uniform_(value, 0.5, 1.5)
            for value in (module.bias, module.running_mean):
                nn.init.normal_(value, 0.0, 0.5)
    return model


def most_distant(weight: Tensor, count: int) -> list[int]:
    """The channels to keep, found one by one."""
    rows = [row.flatten().tolist() for row in weight]
    total = [sum(math.dist(one, other) for other in rows) for one in rows]
    return sorted(sorted(range(len(rows)), key=lambda row: -total[row])[:count])


@torch.no_grad()
def silence(model: MobileNetV1, widths: Widths) -> list[list[int]]:
    """Make every channel but the kept ones zero, in place; gives those kept at the taps."""
    kept = list(range(3))
    taps = []
    for stage, stage_widths in zip((model.stage1, model.stage2, model.stage3), widths, strict=True):
        for block, width in zip(stage, stage_widths, strict=True):
            convs = [module for module in block if isinstance(module, nn.Conv2d)]
            norms = [module for module in block if isinstance(module, nn.BatchNorm2d)]
            gone = [c for c in range(convs[-1].in_channels) if c not in kept]
            for norm in norms[:-1]:  # the depthwise one would bring removed channels to life
                norm.weight[gone] = norm.bias[gone] = 0
            kept = most_distant(convs[-1].weight[:, kept], width)
            gone = [c for c in range(convs[-1].out_channels) if c not in kept]
            norms[-1].weight[gone] = norms[-1].bias[gone] = 0
        taps.append(kept)
    return taps


@torch.no_grad()
def test_cutting_equals_silencing(whole: MobileNetV1) -> None:
    cut, taps = slice_backbone(whole.state_dict(), SMALLER)
    narrow = MobileNetV1(SMALLER).eval()
    narrow.load_state_dict(cut)
    assert [len(kept) for kept in taps] == list(narrow.channels)
    assert [kept.tolist() for kept in taps] == silence(whole, SMALLER)
    for size in ((64, 64), (32, 96)):
        images = torch.randn(2, 3, *size)
        for found, expected, kept in zip(narrow(images)[1:], whole(images)[1:], taps, strict=True):
            torch.testing.assert_close(found, expected[:, kept], rtol=1e-4, atol=1e-5)


def test_keeping_all_changes_nothing(whole: MobileNetV1) -> None:
    before = {name: value.clone() for name, value in whole.state_dict().items()}
    cut, taps = slice_backbone(whole.state_dict(), SMALL)
    assert cut.keys() == before.keys()
    assert all(torch.equal(cut[name], value) for name, value in before.items())
    assert [kept.tolist() for kept in taps] == [list(range(n)) for n in whole.channels]


@pytest.mark.parametrize(("widths", "parameters"), [(DENSE, 84_120), (PRUNED, 57_815)])
def test_the_papers_widths_come_out_exactly(widths: Widths, parameters: int) -> None:
    torch.manual_seed(0)
    state = MobileNetV1(X025).state_dict()
    before = {name: value.clone() for name, value in state.items()}
    cut, _ = slice_backbone(state, widths)
    narrow = MobileNetV1(widths)
    narrow.load_state_dict(cut, strict=True)
    assert count_parameters(narrow) == parameters
    assert all(torch.equal(state[name], value) for name, value in before.items())


def test_growing_is_refused(whole: MobileNetV1) -> None:
    with pytest.raises(ValueError, match="cannot keep 8 of 6"):
        slice_backbone(whole.state_dict(), X025)
