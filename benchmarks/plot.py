"""Draws accuracy over time: one column a detector, all faces and small ones.

Names and figures stand in the legend, since detectors that are as fast as each other would have
theirs on top of each other in the plot. The colours are those of Okabe and Ito (2008).
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, ScalarFormatter

from rows import Run
from table import main_speeds, share

SIZE = (8.6, 4.2)  # inches
DPI = 110
COLOURS = ("#D55E00", "#CC79A7", "#0072B2", "#009E73", "#E69F00")
INK, FAINT = "#333333", "#e8e8e8"
BANDS = {"all": ("all faces", "o"), "<32": ("less than 32 px high", "v")}
TICKS = (5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200)  # ms


def draw(run: Run, path: Path) -> None:
    """Writes the plot as PNG; the same rows give the same file."""
    times = {name: speed.end_ms for name, speed in main_speeds(run, threads=1).items()}
    marks = [Line2D([], [], color=INK, marker=m, linestyle="", label=t) for t, m in BANDS.values()]
    with mpl.rc_context({"font.size": 10}):
        figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        for each, colour in zip(run.shrunk(), COLOURS, strict=False):
            x = times[each.detector]
            told = {mark: each.ap[band] for band, (_, mark) in BANDS.items()}
            known = {mark: y for mark, y in told.items() if y is not None}
            axes.plot([x] * len(known), [*known.values()], color=colour, linewidth=1.2)
            for mark, y in known.items():
                axes.plot(x, y, mark, color=colour, markersize=9)
            figures = " / ".join(share(each.ap[band]) for band in BANDS)
            label = f"{each.detector}\n{figures}, {x:.1f} ms"
            marks.append(Line2D([], [], color=colour, linewidth=3, label=label))
        low, high = min(times.values()) / 1.25, max(times.values()) * 1.25
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_xticks([tick for tick in TICKS if low < tick < high])
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(y=0.12)
        axes.set_xlabel("ms from picture to boxes, 640 × 640, one thread (less is better)")
        axes.set_ylabel("average precision (more is better)")
        axes.grid(color=FAINT)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(handles=marks, loc="outside right upper", frameon=False, labelspacing=0.9)
        figure.savefig(path, metadata={"Software": None})
