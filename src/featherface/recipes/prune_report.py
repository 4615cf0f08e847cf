"""What a search and a surgery leave to look at: tables of the trials, and three pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from featherface.files import replacing, write_atomically
from featherface.models.nano_b import NanoBConfig
from featherface.pruning.groups import Rates, realised
from featherface.pruning.search import Trial

DPI = 110
FAINT = "#e8e8e8"
KEPT, GONE = "#0072B2", "#f0b9a0"
COLOURS = ("#D55E00", "#CC79A7", "#0072B2", "#009E73", "#E69F00")  # Okabe and Ito (2008)


def write_trials(folder: Path, trials: Sequence[Trial]) -> None:
    """Write `trials.csv` and `trials.jsonl`, one line a trial; widths in the latter only."""
    rows = [
        {
            "number": trial.number,
            **{name: round(rate, 6) for name, rate in trial.rates._asdict().items()},
            "parameters": trial.parameters,
            "macs": trial.macs,
            "refused": trial.refused,
            "loss": trial.loss,
        }
        for trial in trials
    ]
    if not rows:
        return
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_atomically(folder / "trials.csv", text.getvalue().encode())
    lines = []
    for row, trial in zip(rows, trials, strict=True):
        network = trial.network.to_dict()
        lines.append(json.dumps({**row, "widths": network["widths"], "hidden": network["hidden"]}))
    write_atomically(folder / "trials.jsonl", ("\n".join(lines) + "\n").encode())


def plot_search(folder: Path, dense: NanoBConfig, trials: Sequence[Trial]) -> None:
    """Draw `search.png`: rates by trial, the best loss so far, loss against size and work."""
    done = [trial for trial in trials if trial.loss is not None]
    if not done:
        return
    numbers = [trial.number for trial in done]
    losses = np.array([trial.loss for trial in done], float)
    figure = Figure(figsize=(12, 7.4), dpi=DPI, layout="constrained")
    ((rates, best), (size, work)) = figure.subplots(2, 2)
    for index, name in enumerate(Rates._fields):
        shares = [realised(dense, trial.network)[index] for trial in done]
        rates.plot(numbers, shares, "o-", color=COLOURS[index], label=name, markersize=3, lw=0.8)
    rates.set(ylabel="share removed of each group", xlabel="trial", ylim=(0, None))
    rates.legend(ncols=len(COLOURS), fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1))
    best.plot(numbers, losses, "o", color="#999999", markersize=4, label="trial")
    best.step(numbers, [*accumulate(losses, min)], where="post", color=KEPT, label="best so far")
    best.set(ylabel="validation loss after recovery", xlabel="trial")
    best.legend(fontsize="small")
    winner = int(losses.argmin())
    for axes, values, label in (
        (size, [trial.parameters / 1e3 for trial in done], "thousand parameters"),
        (work, [trial.macs / 1e6 for trial in done], "million MACs, 640 x 640"),
    ):
        dots = axes.scatter(values, losses, c=numbers, cmap="viridis", s=22)
        axes.plot(values[winner], losses[winner], "o", mfc="none", mec=COLOURS[0], ms=11)
        axes.set(xlabel=label, ylabel="validation loss after recovery")
    figure.colorbar(dots, ax=work, label="trial")
    for axes in (rates, best):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (rates, best, size, work):
        axes.grid(color=FAINT)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    with replacing(folder / "search.png") as draft:
        figure.savefig(draft, format="png", metadata={"Software": None})


def plot_channels(folder: Path, kept: Mapping[str, Sequence[int]], of: Mapping[str, int]) -> None:
    """Draw `channels.png`: which channels of each layer went.

    Args:
        folder: where to.
        kept: channels that stayed, by the layer that makes them.
        of: how many there were.
    """
    names = [*kept]
    picture = np.full((len(names), max(of.values())), np.nan)
    for row, name in enumerate(names):
        picture[row, : of[name]] = 0
        picture[row, kept[name]] = 1
    figure = Figure(figsize=(12, 0.19 * len(names) + 1.1), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.pcolormesh(picture, cmap=ListedColormap([GONE, KEPT]), edgecolors="white", linewidth=0.4)
    labels = [f"{name}  {len(kept[name])}/{of[name]}" for name in names]
    axes.set_yticks(np.arange(len(names)) + 0.5, labels, fontsize=7)
    axes.invert_yaxis()
    axes.set(xlabel="channel of the dense network", title="channels that stay")
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    marks = [Patch(color=KEPT, label="stays"), Patch(color=GONE, label="went")]
    axes.legend(handles=marks, loc="lower right", frameon=False)
    with replacing(folder / "channels.png") as draft:
        figure.savefig(draft, format="png", metadata={"Software": None})
