"""Training curves as one PNG beside the metrics they are drawn from."""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.figure import Figure

LOSSES = ("class", "box", "landmark")


def plot_curves(run: Path) -> None:
    """Draw `run/metrics.jsonl` into `run/curves.png`: losses, learning rate, speed."""
    metrics = run / "metrics.jsonl"
    lines = (
        [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.exists() else []
    )
    if not lines:  # the run had no time for a step
        return
    seen = [line["seen"] / 1000 for line in lines]
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    loss, rate, speed = figure.subplots(1, 3)
    for name in LOSSES:
        loss.plot(seen, [line[name] for line in lines], label=name)
    loss.set(title="loss", yscale="log")
    loss.legend()
    rate.plot(seen, [line["rate"] for line in lines])
    rate.set(title="learning rate")
    speed.plot(seen, [line["crops_per_second"] for line in lines])
    speed.set(title="crops a second", ylim=(0, None))
    for axes in (loss, rate, speed):
        axes.set_xlabel("thousand crops")
        axes.grid(alpha=0.3)
    figure.savefig(run / "curves.png", dpi=120)
