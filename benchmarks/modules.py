"""What each module for small faces gives and costs, from the trainings of studies/ablation.toml.

    python benchmarks/modules.py

`study.py` trains and tells the average precision; this measures the trained networks where few
small faces leave much to chance: on pictures shrunk to half too, with the differences to `nano_b`
and their intervals, of the whole path to mere width as well, and with the time of each network,
turn by turn. Leaves results/modules.json, and the table and the plot of docs/modules.md. The
machine should do nothing else.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from cyclopts import App
from matplotlib.figure import Figure

from entrants import enter
from featherface.data.labelled import LabelledImage
from featherface.data.labels import read_labels
from featherface.evaluation.bootstrap import Samples, interval, resample
from featherface.evaluation.labelled import tallies, truth_of
from featherface.evaluation.matching import match
from featherface.evaluation.prediction import Conditions, predict
from featherface.files import write_atomically
from featherface.runtime.detector import OVERLAP, Detector
from machine import this_machine
from measure import network_costs
from study import FLOOR, Run, is_row_of, read_rows, read_toml, runs_of
from table import SHRINK, replace_block

HERE = Path(__file__).parent
RESULTS = HERE / "results"
STUDY = HERE / "studies" / "ablation.toml"
PAGE = HERE.parent / "docs" / "modules.md"
PLOT = "modules.png"
PATHS = ("nano_b_enhanced", "+ ScaleDecoupling with detail", "all three, again")
WIDTH = "nano_b, wider"
BANDS = ("all", "<16", "16-32", "<32")
SCALES = {"original": 1, "half": SHRINK}
"""How many times smaller pictures are made; heights of faces are those that they have then."""

TITLES = {"original": "pictures as they are", "half": "pictures shrunk to half"}
FIGURES = {"recall": "Recall at precision 0.9", "ap": "AP at IoU 0.5"}
MARKS = {"recall": ("#0072B2", -0.12), "ap": ("#D55E00", 0.12)}  # colour, shift

Row = dict[str, Any]
Found = dict[tuple[str, int, str], dict[str, Samples]]  # by arm, seed, scale; then by band

app = App(name="python benchmarks/modules.py", help_format="markdown")


class Mean(NamedTuple):
    """A figure over all seeds: its mean, and the mean of every resample (R,)."""

    value: float
    samples: np.ndarray


@app.default
def main(
    *,
    runs: Path = Path("runs/ablation"),
    labels: Path = Path("../shared/data/faces/val"),
    rounds: int = 15,
    repeats: int = 3,
    results: Path = RESULTS,
    page: Path = PAGE,
) -> None:
    """Measure every network of the study whose training is done.

    Args:
        runs: Where `study.py` trained them.
        labels: Labelled photographs.
        rounds: Turns that each network gets.
        repeats: Timed runs in a turn.
        results: Folder for what comes out.
        page: That shows it.
    """
    study = read_toml(STUDY)
    rows = read_rows(RESULTS / "ablation.jsonl")
    done = [run for run in runs_of(study) if any(is_row_of(run, row) for row in rows)]
    images = read_labels(labels)
    found: Found = {}
    for run in done:
        for scale, shrink in SCALES.items():
            print(f"{run.folder}, {scale}", flush=True)
            graph = runs / run.folder / "model.onnx"
            found[run.arm, run.seed, scale] = sample(graph, images, shrink)
    trained = by_arm(study, done)
    seeds = {arm: [run.seed for run in of_arm] for arm, of_arm in trained.items()}
    graphs = {arm: runs / first.folder / "model.onnx" for arm, (first, *_) in trained.items()}
    shared = {path: shared_seeds(seeds, path, WIDTH) for path in PATHS}
    told = {
        "arms": [
            {"arm": arm, "seeds": seeds[arm], **cost, "scales": scales(found, arm, seeds)}
            for arm, cost in costs(graphs, rounds, repeats).items()
        ],
        "over_width": {
            path: {scale: gains(found, scale, "<32", both, path, WIDTH) for scale in SCALES}
            for path, both in shared.items()
            if both
        },
        "crops": study["set"]["fit"]["crops"],
        "machine": asdict(this_machine()),
    }
    write_atomically(results / "modules.json", (json.dumps(told, indent=1) + "\n").encode())
    write_atomically(page, replace_block(page.read_text("utf-8"), block(told)).encode())
    draw(told, page.parent / "pictures" / PLOT)


def by_arm(study: Row, done: Sequence[Run]) -> dict[str, list[Run]]:
    """The trainings of each arm that has any, in the study's order of arms."""
    names = [arm["name"] for arm in study["arm"]]
    trained = {name: [run for run in done if run.arm == name] for name in names}
    return {name: of_arm for name, of_arm in trained.items() if of_arm}


def sample(graph: Path, images: Sequence[LabelledImage], shrink: float) -> dict[str, Samples]:
    """Looks at all pictures made so many times smaller."""
    detector = Detector(graph, threads=1)
    conditions = Conditions("original", float(FLOOR), OVERLAP, shrink)
    predictions = [predict(detector, image.path, conditions) for image in images]
    small = [image.shrunk(shrink) for image in images]
    return resample(tallies(match(predictions, truth_of(small), border=0)))


def scales(found: Found, arm: str, seeds: dict[str, list[int]]) -> Row:
    """The arm's figures in both sizes, and what it is above the first arm with the same seeds."""
    first = next(iter(seeds))
    shared = shared_seeds(seeds, arm, first)
    told: Row = {}
    for scale in SCALES:
        told[scale] = {}
        for band in BANDS:
            new = [found[arm, seed, scale][band] for seed in seeds[arm]]
            row: Row = {"faces": new[0].measure.faces}
            for name in FIGURES:
                each = mean(new, name)
                row[name] = told_with(each.value, each.samples)
                row[f"{name}_by_seed"] = [round(getattr(s.measure, name), 4) for s in new]
            if arm != first and shared:
                above = gains(found, scale, band, shared, arm, first)
                row |= {f"{name}_gain": figure for name, figure in above.items()}
            told[scale][band] = row
    return told


def shared_seeds(seeds: dict[str, list[int]], arm: str, other: str) -> list[int]:
    """Those that both arms are trained with."""
    return [seed for seed in seeds.get(arm, []) if seed in seeds.get(other, [])]


def gains(
    found: Found, scale: str, band: str, seeds: Sequence[int], arm: str, other: str
) -> dict[str, list[float]]:
    """How much more an arm finds than another, each figure with its interval."""

    def over_seeds(which: str, name: str) -> Mean:
        return mean([found[which, seed, scale][band] for seed in seeds], name)

    return {
        name: told_with(*gain(over_seeds(arm, name), over_seeds(other, name))) for name in FIGURES
    }


def mean(samples: Sequence[Samples], name: str) -> Mean:
    """Of one figure over the seeds; every resample has the same pictures for all of them."""
    values = [getattr(each.measure, name) for each in samples]
    return Mean(float(np.mean(values)), np.mean([getattr(each, name) for each in samples], axis=0))


def gain(ours: Mean, plain: Mean) -> Mean:
    """How much more, as a share of what there was."""
    with np.errstate(divide="ignore", invalid="ignore"):
        samples = ours.samples / plain.samples - 1
    return Mean(ours.value / plain.value - 1 if plain.value else float("nan"), samples)


def told_with(value: float, samples: np.ndarray) -> list[float]:
    """A figure, and the two ends of its interval."""
    return [round(each, 4) for each in (value, *interval(samples))]


def costs(graphs: dict[str, Path], rounds: int, repeats: int) -> dict[str, dict[str, float]]:
    """What each arm's network takes."""
    with tempfile.TemporaryDirectory() as name:
        entrants = [
            enter(arm, "featherface", graph, Detector(graph).info.parameters, Path(name))
            for arm, graph in graphs.items()
        ]
        return network_costs(entrants, rounds=rounds, repeats=repeats, tell=print)


def block(told: Row) -> str:
    """The tables of the page."""
    machine = told["machine"]
    text = [
        "| network | parameters | GMAC | ms | time | seeds |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for arm in told["arms"]:
        cost = f"{arm['parameters']:,} | {arm['gmac']:.3f} | {arm['forward_ms']}"
        seeds = len(arm["seeds"])
        text.append(f"| {arm['arm']} | {cost} | {arm['forward_ratio']:.2f} | {seeds} |")
    for scale, title in TITLES.items():
        faces = told["arms"][0]["scales"][scale]
        for name, what in FIGURES.items():
            bands = [f"{_words(band)} ({faces[band]['faces']})" for band in BANDS]
            text += ["", f"{what}, {title}; in brackets 95 % intervals over photographs:", ""]
            text += [f"| network | {' | '.join(bands)} | gain < 32 px | each seed < 32 px |"]
            text += [f"|---|{'---|' * len(BANDS)}---|---|"]
            for arm in told["arms"]:
                rows = [arm["scales"][scale][band] for band in BANDS]
                cells = " | ".join(_cell(row[name]) for row in rows)
                above = _gain(rows[-1].get(f"{name}_gain"))
                each = ", ".join(f"{value:.3f}" for value in rows[-1][f"{name}_by_seed"])
                text.append(f"| {arm['arm']} | {cells} | {above} | {each} |")
    for path, above in told["over_width"].items():
        text += ["", f"`{path}` above `{WIDTH}`, faces < 32 px:", ""]
        for scale, figures in above.items():
            what = f"recall {_gain(figures['recall'])}, AP {_gain(figures['ap'])}"
            text.append(f"- {TITLES[scale]}: {what}")
    text += [
        "",
        f"Made by `python benchmarks/modules.py`: {told['crops']:,} crops each; time of the",
        "network at 640 × 640 on one thread, in milliseconds and as a multiple of the first one's",
        f"in the same run. {machine['processor']}, {machine['date']}, load {machine['load']},",
        f"ONNX Runtime {machine['onnxruntime']}.",
        "",
    ]
    return "\n".join(text)


def _words(band: str) -> str:
    return "all" if band == "all" else f"{band.replace('<', '< ').replace('-', '–')} px"


def _cell(figure: Sequence[float]) -> str:
    value, low, high = figure
    return f"{value:.3f} ({low:.2f}–{high:.2f})"


def _gain(figure: Sequence[float] | None) -> str:
    if figure is None:
        return ""
    value, low, high = figure
    return f"{value:+.1%} ({low:+.0%} to {high:+.0%})"


def draw(told: Row, path: Path) -> None:
    """The gain in recall of small faces over the first network, with intervals, in both sizes."""
    arms = told["arms"][1:]
    with mpl.rc_context({"font.size": 10}):
        figure = Figure(figsize=(8.6, 3.4), dpi=110, layout="constrained")
        for at, (scale, title) in enumerate(TITLES.items()):
            axes = figure.add_subplot(1, 2, at + 1)
            for row, arm in enumerate(arms):
                for name, (colour, shift) in MARKS.items():
                    value, low, high = arm["scales"][scale]["<32"][f"{name}_gain"]
                    axes.plot([100 * low, 100 * high], [row + shift] * 2, color=colour, linewidth=2)
                    label = FIGURES[name] if not row else None
                    axes.plot(100 * value, row + shift, "o", color=colour, label=label)
            axes.axvspan(15, 20, color="#dddddd", zorder=0, label="claimed for recall")
            axes.axvline(0, color="#333333", linewidth=0.8)
            axes.set_yticks(range(len(arms)), [arm["arm"] for arm in arms] if not at else [])
            axes.invert_yaxis()
            axes.set_xlabel("gain over nano_b, %")
            axes.set_title(title, fontsize=10)
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    app()
