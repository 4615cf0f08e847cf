"""The weight average against its formula."""

from __future__ import annotations

import pytest
import torch

from featherface.models.nano_b import NanoB
from featherface.training.average import Average

STEM = "backbone.stage1.0.0.weight"
MEAN = "backbone.stage1.0.1.running_mean"


def change(model: NanoB, generator: torch.Generator) -> None:
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value += torch.randn(value.shape, generator=generator)


@pytest.mark.parametrize("decay", [0.0, 0.2, 0.9])
def test_equals_the_formula(tiny: NanoB, decay: float) -> None:
    average = Average(tiny, decay=decay)
    generator = torch.Generator().manual_seed(1)
    expected = {name: tiny.state_dict()[name].clone() for name in (STEM, MEAN)}
    for step in range(1, 6):
        change(tiny, generator)
        average.update(tiny)
        keep = min(decay, (1 + step) / (10 + step))
        for name, value in expected.items():
            value.mul_(keep).add_(tiny.state_dict()[name], alpha=1 - keep)
    for name, value in expected.items():
        torch.testing.assert_close(average.model.state_dict()[name], value)


def test_it_is_a_copy_in_eval_mode_that_does_not_learn(tiny: NanoB) -> None:
    before = tiny.state_dict()[STEM].clone()
    average = Average(tiny.train(), decay=0.5)
    assert tiny.training
    assert not average.model.training
    assert not any(p.requires_grad for p in average.model.parameters())
    assert all(p.requires_grad for p in tiny.parameters())
    change(tiny, torch.Generator().manual_seed(0))
    torch.testing.assert_close(average.model.state_dict()[STEM], before)


def test_the_average_of_equal_weights_is_these_weights(tiny: NanoB) -> None:
    average = Average(tiny, decay=0.9)
    for _ in range(3):
        average.update(tiny)
    for name, value in tiny.state_dict().items():
        torch.testing.assert_close(average.model.state_dict()[name], value)
