"""Exponential moving average of a network's weights: what is evaluated and shipped."""

from __future__ import annotations

import copy

import torch

from featherface.models.nano_b import NanoB


class Average:
    """Keeps a smoothed copy of a network.

    Args:
        model: the network that trains.
        decay: share of the old average kept at each step.
    """

    def __init__(self, model: NanoB, *, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, model: NanoB) -> None:
        """Move the average towards the network's present weights; the first steps move it more."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        ours, theirs = self.model.state_dict(), model.state_dict()
        floats = [name for name, value in ours.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [ours[name] for name in floats], [theirs[name] for name in floats], share
        )
