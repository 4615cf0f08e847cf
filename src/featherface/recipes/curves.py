"""Training curves as one PNG beside the metrics they are drawn from."""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.figure import Figure

from featherface.files import replacing

TASKS = ("class", "box", "landmark")


def plot_curves(run: Path) -> None:
    """Draw `run/metrics.jsonl` into `run/curves.png`: losses, learning rate, speed.

    A run with a teacher shows its losses and weights too.
    """
    metrics = run / "metrics.jsonl"
    lines = (
        [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.exists() else []
    )
    if not lines:  # the run had no time for a step
        return
    seen = [line["seen"] / 1000 for line in lines]
    is_distilled = "kd_class" in lines[0]
    figure = Figure(figsize=(13.3 if is_distilled else 10, 3.2), layout="constrained")
    loss, rate, speed, *more = figure.subplots(1, 4 if is_distilled else 3)
    for name in (*TASKS, *(f"kd_{task}" for task in TASKS if is_distilled)):
        loss.plot(seen, [line[name] for line in lines], label=name)
    for axes in more:
        for task in TASKS:
            axes.plot(seen, [line[f"kd_weight_{task}"] for line in lines], label=task)
        axes.set(title="weights of the teacher", yscale="log")
        axes.legend()
    loss.set(title="loss", yscale="log")
    loss.legend()
    rate.plot(seen, [line["rate"] for line in lines])
    rate.set(title="learning rate")
    speed.plot(seen, [line["crops_per_second"] for line in lines])
    speed.set(title="crops a second", ylim=(0, None))
    for axes in (loss, rate, speed, *more):
        axes.set_xlabel("thousand crops")
        axes.grid(alpha=0.3)
    with replacing(run / "curves.png") as draft:
        figure.savefig(draft, format="png", dpi=120)
