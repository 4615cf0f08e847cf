"""What a network is made of: exact parameters and multiply-accumulates, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from featherface.models.cost import SIDE, Cost
from featherface.models.layers import count_parameters
from featherface.models.scale import ScaleSequenceAttention
from featherface.models.zoo import MODELS, build

PARTS = {
    "backbone": "backbone",
    "decouple": "scale decoupling, P3",
    "attention": "CBAM",
    "project": "BiFPN",
    "project_again": "BiFPN",
    "bifpn": "BiFPN",
    "inject": "MSE",
    "guide": "MSE",
    "refine_p3": "CBAM",
    "refine": "CBAM",
    "context": "SSH",
    "shuffle": "shuffle block",
    "heads": "heads",
}
"""Attribute of a network -> the part it is counted under."""

DESCRIBED = {
    "featherface_v1": {"total": "494,000"},
    "nano_b_enhanced": {
        "backbone": "58,000",
        "scale decoupling, P3": "1,500",
        "CBAM": "1,800",
        "BiFPN": "8,200",
        "MSE": "4,000",
        "SSH": "12,000",
        "heads": "1,600",
        "total": "120,000-180,000",
    },
}
"""Parameters as the original description gives them; the layers that it describes have ours."""


def costs(model: nn.Module) -> dict[str, Cost]:
    """Cost of every part of a network, and of the whole as "total".

    Args:
        model: a network of `models.zoo` on the meta device, so that nothing is computed.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.empty(1, 3, SIDE, SIDE, device="meta"))
    macs = {path: sum(ops.values()) // 2 for path, ops in counter.get_flop_counts().items()}
    parts: dict[str, Cost] = {}
    for name, module in model.named_children():
        if not (parameters := count_parameters(module)):
            continue
        part = "ASSN, P3" if isinstance(module, ScaleSequenceAttention) else PARTS[name]
        path = f"{type(model).__name__}.{name}"
        # A ModuleList is never called itself: its members are.
        own = macs.get(path) or sum(n for key, n in macs.items() if key.rpartition(".")[0] == path)
        before = parts.get(part, Cost(0, 0))
        parts[part] = Cost(before.parameters + parameters, before.macs + own)
    total = Cost(count_parameters(model), counter.get_total_flops() // 2)
    return {**parts, "total": total}


def costs_of(name: str) -> dict[str, Cost]:
    """`costs` of the network called `name`."""
    with torch.device("meta"):
        return costs(build(name))


def main(
    model: Annotated[str | None, Parameter(help=f"One of: {', '.join(MODELS)}.")] = None, /
) -> None:
    """Count the parameters and multiply-accumulates of a network, or of all of them."""
    macs = f"MACs at {SIDE}x{SIDE}"
    table: list[tuple[str, ...]]
    if model is None:
        table = [("network", "parameters", macs)]
        table += [(name, *_figures(costs_of(name)["total"])) for name in MODELS]
    else:
        table = [("part", "parameters", macs)]
        table += [(part, *_figures(cost)) for part, cost in costs_of(model).items()]
    if described := DESCRIBED.get(model or ""):
        column = ("original description", *(described.get(row[0], "") for row in table[1:]))
        table = [(*row, figure) for row, figure in zip(table, column, strict=True)]
    _show(table)


def _figures(cost: Cost) -> tuple[str, str]:
    return f"{cost.parameters:,}", f"{cost.macs / 1e6:,.1f} M"


def _show(rows: Sequence[tuple[str, ...]]) -> None:
    """A table on a terminal, lines of tab-separated cells elsewhere."""
    console = Console()
    if not console.is_terminal:
        for row in rows:
            print("\t".join(row).rstrip())
        return
    table = Table(rows[0][0])
    for heading in rows[0][1:]:
        table.add_column(heading, justify="right")
    for row in rows[1:]:
        table.add_row(*row, end_section=row is rows[-2])
    console.print(table)
