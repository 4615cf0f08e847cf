"""Soft pruning (He et al., IJCAI 2018): silence filters now and then while training goes on.

Between two rankings nothing holds the zeros, so a filter that turns out to be needed comes back,
and another one goes in its place at the next ranking.
"""

from __future__ import annotations

from collections.abc import Callable

from featherface.models.nano_b import NanoB, NanoBConfig
from featherface.pruning.surgery import choose_channels, silence


def soft_pruning(target: NanoBConfig, *, every: int, batch: int) -> Callable[[NanoB, int], None]:
    """What to do to a network after each step, given the crops seen so far.

    It has no memory: after a resume it does what it would have done anyway.

    Args:
        target: the widths to come.
        every: steps from one ranking to the next.
        batch: crops a step.
    """

    def adjust(model: NanoB, seen: int) -> None:
        if seen // batch % every == 0:
            silence(model, choose_channels(model, target))

    return adjust
