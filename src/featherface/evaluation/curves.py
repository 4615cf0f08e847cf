"""Precision-recall curves of an evaluation as one picture."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featherface.evaluation.average_precision import BANDS, PRECISION, curve
from featherface.evaluation.record import PROTOCOLS, Record
from featherface.files import replacing


def plot_curves(path: Path, record: Record) -> None:
    """Draw the lists on the left, the bands of face heights on the right, as a PNG."""
    names = list(record.report.measures)
    bands = [name for name in names if name.split()[-1] in BANDS]
    figure = Figure(figsize=(12, 5.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, record, [name for name in names if name not in bands])
    _draw(right, record, bands)
    left.set(title="all faces" if "all" in names else "lists", ylabel="precision")
    right.set(title="by face height, px (other faces ignored)")
    figure.suptitle(
        f"{record.detector} on {record.data}\n"
        f"{record.conditions}; {PROTOCOLS[record.report.protocol]}",
        fontsize=10,
    )
    with replacing(path) as draft:
        figure.savefig(draft, format="png", dpi=110)


def _draw(axes: Axes, record: Record, names: list[str]) -> None:
    for name in names:
        measure = record.report.measures[name]
        if not measure.faces:
            continue
        points = curve(record.report.tallies[name])
        label = f"{name}  AP {measure.ap:.3f}  ({measure.faces:,} faces)"
        axes.plot(points.recall, points.precision, label=label, linewidth=1.8)
    axes.axhline(PRECISION, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="recall", xlim=(0, 1.005), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
