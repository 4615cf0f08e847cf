"""Silence the channels of a network that may go, or cut them out: the same class, loaded strictly.

The filters nearest to the geometric median go (`fpgm`). A network with silenced channels and one
without them say the same, but for two statistics over channels that the spatial attention of CBAM
takes of the taps: a mean of fewer values, which is made up for exactly, and a maximum that no
longer meets the zeros, which is another one only where all values left are negative.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from featherface.models.nano_b import NanoB, NanoBConfig
from featherface.pruning import fpgm
from featherface.pruning.layout import Channels, network_layout

State = dict[str, Tensor]


def choose(state: State, layout: Sequence[Channels], counts: Sequence[int]) -> list[Tensor]:
    """Which channels stay, ascending, for each entry of a layout.

    Filters are compared by what they read of the channels that stay.

    Raises:
        ValueError: when there are fewer channels than wanted.
    """
    state = dict(state)
    kept = []
    for entry, count in zip(layout, counts, strict=True):
        filters = torch.cat([state[f"{name}.weight"].flatten(1) for name in entry.ranked], dim=1)
        kept.append(fpgm.keep(filters, count))
        for name in entry.read:
            state[f"{name}.weight"] = state[f"{name}.weight"][:, kept[-1]]
    return kept


def cut(state: State, layout: Sequence[Channels], kept: Sequence[Tensor]) -> State:
    """The weights of the channels that stay."""
    state = dict(state)
    for entry, rows in zip(layout, kept, strict=True):
        for name in (*entry.ranked, *entry.made, *entry.followed):
            for key in _rows(state, name):
                state[key] = state[key][rows]
        for name in entry.read:
            state[f"{name}.weight"] = state[f"{name}.weight"][:, rows]
    return state


@torch.no_grad()
def silence(model: NanoB, kept: Sequence[Tensor]) -> None:
    """Make every filter zero that does not stay, and its norm, in place; it may learn again."""
    state = model.state_dict()
    for entry, rows in zip(network_layout(model.config), kept, strict=True):
        gone = torch.ones(entry.channels, dtype=torch.bool)
        gone[rows] = False
        for name in (*entry.ranked, *entry.made):
            for part in ("weight", "bias"):
                if f"{name}.{part}" in state:
                    state[f"{name}.{part}"][gone] = 0


def choose_channels(model: NanoB, smaller: NanoBConfig) -> list[Tensor]:
    """Which channels of a network stay when it gets the widths of `smaller`.

    Raises:
        ValueError: when it is narrower somewhere, or differs in more than widths.
    """
    layout, wanted = network_layout(model.config), network_layout(smaller)
    if [entry.ranked for entry in layout] != [entry.ranked for entry in wanted]:
        raise ValueError("the two networks differ in more than their widths")
    return choose(model.state_dict(), layout, [entry.channels for entry in wanted])


def cut_network(
    model: NanoB, smaller: NanoBConfig, *, heard: Sequence[Tensor] | None = None
) -> NanoB:
    """The network with the widths of `smaller`.

    Args:
        heard: what stays of a network whose other channels are silent, see `silence`; these
            counted as zero in means over channels, so the means are scaled to be the same.
            Otherwise what stays is chosen here, and its mean takes the place of that over all.

    Raises:
        ValueError: when it is narrower somewhere, or differs in more than widths.
    """
    kept = choose_channels(model, smaller) if heard is None else heard
    state = cut(model.state_dict(), network_layout(model.config), kept)
    if heard is not None:
        for level, (stage, fewer) in enumerate(
            zip(model.config.widths, smaller.widths, strict=True)
        ):
            key = f"attention.{level}.spatial.conv.weight"  # (1, 2, 7, 7): maximum, mean
            factors = torch.tensor([1.0, fewer[-1] / stage[-1]])
            state[key] = state[key] * factors[:, None, None]
    network = NanoB(smaller)
    network.load_state_dict(state)
    return network.train(model.training)


def _rows(state: State, name: str) -> list[str]:
    """The entries of a layer that have one row a channel."""
    return [
        f"{name}.{part}"
        for part in ("weight", "bias", "running_mean", "running_var")
        if f"{name}.{part}" in state
    ]
