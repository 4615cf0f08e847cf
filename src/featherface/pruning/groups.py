"""Layer groups that share a pruning rate, and what a set of rates makes of a network.

    stem     the stem and the first four blocks
    stage2   the five inner blocks before C4
    stage3   the inner block before C5
    neck     hidden units of MSE and ASSN
    context  channels between the convolutions of SSH's 5x5 and 7x7 branches

As in B-FPGM the heads are in no group, nor are the fusion weights. The taps are cut to 27/50/87
whatever the rates are. The BiFPN itself has nothing to give: each of its convolutions reads and
makes the 32 channels that stay, so the neck's rate acts on the hidden units around it alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from featherface.models.cost import cost, exported_macs
from featherface.models.mobilenet import PRUNED
from featherface.models.nano_b import Hidden, NanoBConfig

TAPS = tuple(stage[-1] for stage in PRUNED)
"""C3, C4 and C5 of a pruned network: 27, 50 and 87 channels."""

LEGAL = (120_000, 180_000)
"""Parameters that any Nano-B Enhanced may have."""


class Rates(NamedTuple):
    """Share of channels removed from each group, 0 to 1."""

    stem: float
    stage2: float
    stage3: float
    neck: float
    context: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How large a pruned network may be.

    Attributes:
        parameters: wanted,
        tolerance: and how far from that a network may be.
        macs: most multiply-accumulates, as a share of what the dense network takes.
        multiple: widths of maps are multiples of this. If it is more than 1, the work is counted
            with the zero channels that an export pads them with.
    """

    parameters: int = 136_000
    tolerance: int = 2_000
    macs: float = 0.9
    multiple: int = 1


class Size(NamedTuple):
    """What a proposed network would cost, and whether that is allowed."""

    parameters: int
    macs: int
    is_allowed: bool


def narrowed(dense: NanoBConfig, rates: Rates, *, multiple: int = 1) -> NanoBConfig:
    """The network that rates make of a dense one.

    Units that see one cell only cost no time worth rounding for, so `multiple` leaves them alone.

    Raises:
        ValueError: when the dense network is narrower than the taps.
    """
    if any(stage[-1] < tap for stage, tap in zip(dense.widths, TAPS, strict=True)):
        ends = ", ".join(str(stage[-1]) for stage in dense.widths)
        raise ValueError(f"the stages end in {ends} channels and cannot be cut to {TAPS}")
    widths = tuple(
        (*(_fewer(width, rate, multiple) for width in stage[:-1]), tap)
        for stage, rate, tap in zip(dense.widths, rates[:3], TAPS, strict=True)
    )
    hidden = dense.hidden
    hidden = Hidden(
        semantic=_fewer(hidden.semantic, rates.neck),
        guide=_fewer(hidden.guide, rates.neck),
        gate=_fewer(hidden.gate, rates.neck),
        sequence=_fewer(hidden.sequence, rates.neck, multiple),
        # An export computes the two branches side by side: half a block each.
        context=_fewer(hidden.context, rates.context, max(multiple // 2, 1)),
    )
    return replace(dense, widths=widths, hidden=hidden)


def _fewer(width: int, rate: float, multiple: int = 1) -> int:
    """The width nearest to what the rate leaves, not more than there is and not nothing."""
    step = min(multiple, width)
    return min(max(int(width * (1 - rate) / step + 0.5), 1) * step, width)


def realised(dense: NanoBConfig, narrow: NanoBConfig) -> Rates:
    """The rates that a network really has, after rounding."""
    pairs = zip(_group_widths(dense), _group_widths(narrow), strict=True)
    return Rates(*(1 - sum(after) / sum(before) for before, after in pairs))


def _group_widths(config: NanoBConfig) -> Iterator[tuple[int, ...]]:
    yield from (stage[:-1] for stage in config.widths)
    hidden = config.hidden
    yield hidden.semantic, hidden.guide, hidden.gate, hidden.sequence
    yield (hidden.context,)


def macs(config: NanoBConfig, budget: Budget) -> int:
    """Multiply-accumulates at 640x640, counted as the budget wants."""
    return exported_macs(config) if budget.multiple > 1 else cost(config).macs


def size_of(dense: NanoBConfig, narrow: NanoBConfig, budget: Budget) -> Size:
    """Count a proposal and compare it with the budget; takes microseconds."""
    parameters, work = cost(narrow).parameters, macs(narrow, budget)
    return Size(
        parameters,
        work,
        LEGAL[0] <= parameters <= LEGAL[1]
        and abs(parameters - budget.parameters) <= budget.tolerance
        and work <= _limit(dense, budget),
    )


@lru_cache
def _limit(dense: NanoBConfig, budget: Budget) -> float:
    return budget.macs * macs(dense, budget)
