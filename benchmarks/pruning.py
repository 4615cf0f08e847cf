"""Bayesian search of pruning rates against random search and one rate for all groups.

Same budget of trials, same crops to recover on, three seeds; a seed draws the points, the crops and
the pictures held out. Each seed is one process with one thread; what is measured stays in --folder,
so the command goes on where it was stopped. Leaves results/pruning.jsonl, .md and .png.

    python benchmarks/pruning.py --weights DENSE.safetensors --data ../shared/data

By default 3 seeds x (18 + 12 + 12) networks, as the first 6 points of the Bayesian and the random
search are the same and trained once, and there are 13 uniform networks of a feasible size. Each
costs about as much as 280 crops of training: in all 35,000, or 21 minutes of a core at 28 crops/s,
and two more for the points.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from featherface.files import write_atomically
from featherface.models.nano_b import NanoBConfig
from featherface.pruning.config import PruneConfig, SearchConfig, SearchError
from featherface.pruning.groups import Rates, realised
from featherface.pruning.proposals import propose
from featherface.pruning.search import Search, Trial
from featherface.recipes.config import read_recipe
from featherface.recipes.prune_crops import open_crops
from featherface.training.checkpoint import load_model
from machine import this_machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
STRATEGIES = {"bayes": "#D55E00", "random": "#0072B2", "uniform": "#009E73"}
Row = dict[str, Any]


def main() -> None:
    """Run what is missing, then write the results; or be the process of one seed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=Path, required=True, help="the dense network")
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    parser.add_argument("--recipe", type=Path, default=ROOT / "configs/prune.toml")
    parser.add_argument(
        "--pixels", type=Path, default=ROOT / "runs/pixels", help="decoded pictures"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "runs/pruning", help="studies")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--trials", type=int, default=18, help="of each search")
    parser.add_argument("--startup", type=int, default=6, help="of them before the model begins")
    parser.add_argument("--recovery", type=int, default=192, help="crops that a trial trains on")
    parser.add_argument("--validation", type=int, default=128, help="crops that it is measured on")
    parser.add_argument("--batch", type=int, default=16, help="crops a step")
    parser.add_argument("--acquisition", default="ei", choices=("ei", "ucb"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.seed is not None:
        _search_all(given)
        return
    _run_seeds(range(given.seeds), given.jobs)
    rows = [row for seed in range(given.seeds) for row in _rows(_folder(given, seed), seed)]
    machine = dataclasses.asdict(this_machine()) | {"torch": torch.__version__}
    setting = {name: getattr(given, name) for name in SETTING}
    lines = [json.dumps({**row, **setting, **machine}) for row in rows]
    write_atomically(given.results / "pruning.jsonl", ("\n".join(lines) + "\n").encode())
    write_atomically(given.results / "pruning.md", report(rows, setting, machine).encode())
    draw(rows, given.results / "pruning.png")
    print(f"{given.results / 'pruning.md'}\n\n{report(rows, setting, machine)}")


SETTING = ("seeds", "trials", "startup", "recovery", "validation", "batch", "acquisition")


def _folder(given: argparse.Namespace, seed: int) -> Path:
    folder: Path = given.folder / f"seed-{seed}"
    return folder


def _run_seeds(seeds: range, jobs: int) -> None:
    """A process for each seed, so many at once; stops at the first that fails."""
    waiting, running = list(seeds), list[subprocess.Popen[bytes]]()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    while waiting or running:
        while waiting and len(running) < jobs:
            command = [sys.executable, __file__, *sys.argv[1:], "--seed", str(waiting.pop(0))]
            running.append(subprocess.Popen(command, env=environment))
        if running.pop(0).wait():
            for process in running:
                process.terminate()
            sys.exit("a search failed; the same command goes on where it stopped")


def _search_all(given: argparse.Namespace) -> None:
    """All strategies with one seed."""
    torch.set_num_threads(1)
    folder = _folder(given, given.seed)
    folder.mkdir(parents=True, exist_ok=True)
    recipe = read_recipe(given.recipe)
    fit = dataclasses.replace(recipe.fit, batch=given.batch)
    recipe = dataclasses.replace(recipe, fit=fit, seed=given.seed)
    prune = dataclasses.replace(
        recipe.prune or PruneConfig(), recovery=given.recovery, validation=given.validation
    )
    dense, _ = load_model(given.weights)
    _, recovery = open_crops(recipe, prune, dense, given.data, given.pixels)
    names = ("recovery", "validation", "batch", "acquisition", "startup")
    setting = {name: getattr(given, name) for name in names}
    setting["network"] = hashlib.sha256(given.weights.read_bytes()).hexdigest()
    evaluate = remembering(recovery, folder / "losses.json")
    for strategy in STRATEGIES:
        config = SearchConfig(
            strategy=strategy,
            acquisition=given.acquisition,
            trials=given.trials,
            startup=given.startup,
            highest=prune.search.highest,
        )
        place = folder / strategy
        place.mkdir(exist_ok=True)
        search = Search(place, setting)
        point = partial(propose, dense.config, prune.budget, config, given.seed)
        try:
            search.run(given.trials, point, evaluate, report=partial(_tell, given.seed, strategy))
        except SearchError:
            if strategy != "uniform" or not search.trials():
                raise
        trials = search.trials()
        if not search.is_complete(len(trials)):
            sys.exit(f"{place}: stopped")  # by a signal
        rows = [_row(trial, dense.config) for trial in trials if trial.loss is not None]
        text = "".join(json.dumps({"strategy": strategy, **row}) + "\n" for row in rows)
        write_atomically(place / "trials.jsonl", text.encode())


def remembering(
    evaluate: Callable[[NanoBConfig, Path], float | None], path: Path
) -> Callable[[NanoBConfig, Path], float | None]:
    """The same, but a network that was measured before is looked up: the loss would be equal."""

    def look_up(network: NanoBConfig, folder: Path) -> float | None:
        losses = json.loads(path.read_text()) if path.exists() else {}
        key = json.dumps([network.widths, dataclasses.asdict(network.hidden)])
        if key not in losses:
            loss = evaluate(network, folder)
            if loss is None:
                return None
            losses[key] = loss
            write_atomically(path, json.dumps(losses).encode())
        return float(losses[key])

    return look_up


def _tell(seed: int, strategy: str, trials: list[Trial]) -> None:
    losses = [trial.loss for trial in trials if trial.loss is not None]
    print(f"seed {seed}, {strategy}: {len(losses)} trials, best {min(losses):.4f}", flush=True)


def _row(trial: Trial, dense: NanoBConfig) -> Row:
    rates = realised(dense, trial.network)._asdict()
    return {
        "number": trial.number,
        **{name: round(rate, 4) for name, rate in rates.items()},
        "parameters": trial.parameters,
        "macs": trial.macs,
        "refused": trial.refused,
        "loss": trial.loss,
    }


def _rows(folder: Path, seed: int) -> list[Row]:
    return [
        {"seed": seed, **json.loads(line)}
        for strategy in STRATEGIES
        for line in (folder / strategy / "trials.jsonl").read_text().splitlines()
    ]


def curves(rows: list[Row]) -> dict[str, dict[int, list[float]]]:
    """The best loss so far after each trial, by strategy and seed."""
    losses: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: row["number"]):
        losses[row["strategy"]][row["seed"]].append(row["loss"])
    return {
        strategy: {seed: [*accumulate(values, min)] for seed, values in by_seed.items()}
        for strategy, by_seed in losses.items()
    }


def report(rows: list[Row], setting: Row, machine: Row) -> str:
    """The table, and in words who won."""
    best = curves(rows)
    seeds = sorted(best["bayes"])
    table = ["| search | trials | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean |"]
    table.append("| --- | ---: |" + " ---: |" * (len(seeds) + 1))
    for strategy in STRATEGIES:
        final = [best[strategy][seed][-1] for seed in seeds]
        cells = " | ".join(f"{loss:.4f}" for loss in (*final, fmean(final)))
        table.append(f"| {strategy} | {len(best[strategy][seeds[0]])} | {cells} |")
    verdicts = [_verdict(best, other, seeds) for other in ("random", "uniform")]
    winners = [
        min(
            (row for row in rows if row["strategy"] == "bayes" and row["seed"] == seed),
            key=lambda row: row["loss"],
        )
        for seed in seeds
    ]
    found = ["| seed | " + " | ".join(Rates._fields) + " | parameters | GMAC |"]
    found.append("| ---: |" + " ---: |" * (len(Rates._fields) + 2))
    for row in winners:
        shares = " | ".join(f"{row[name]:.0%}" for name in Rates._fields)
        size = f"{row['parameters']:,} | {row['macs'] / 1e9:.3f}"
        found.append(f"| {row['seed']} | {shares} | {size} |")
    return "\n".join(
        [
            "# Search for pruning rates",
            "",
            "`python benchmarks/pruning.py`: lowest validation loss after recovery (less is "
            f"better) of the networks tried. Each was cut out of the dense one, trained on "
            f"{setting['recovery']} crops and measured on {setting['validation']} of pictures held "
            "out of that. A uniform search ends when no other feasible network has one rate.",
            "",
            *table,
            "",
            *verdicts,
            "",
            "![Best loss so far](pruning.png)",
            "",
            "What the Bayesian search found: share of channels removed from each group.",
            "",
            *found,
            "",
            f"{machine['processor']}, {machine['date']}, torch {machine['torch']}; "
            + ", ".join(f"{name} {value}" for name, value in setting.items())
            + ".",
            "",
        ]
    )


def _verdict(best: dict[str, dict[int, list[float]]], other: str, seeds: list[int]) -> str:
    gains = [best[other][seed][-1] - best["bayes"][seed][-1] for seed in seeds]
    won = sum(gain > 0 for gain in gains)
    lost = sum(gain < 0 for gain in gains)
    word = "wins" if fmean(gains) > 0 and won > lost else "does not win"
    return (
        f"Against the {other} search the Bayesian one **{word}**: lower in {won} of {len(gains)} "
        f"seeds, higher in {lost}; on average {abs(fmean(gains)):.4f} "
        f"{'lower' if fmean(gains) > 0 else 'higher'}."
    )


def draw(rows: list[Row], path: Path) -> None:
    """Best loss so far over trials: a thin line a seed, a thick one for the mean."""
    with mpl.rc_context({"font.size": 10}):
        figure = Figure(figsize=(8.6, 4.2), dpi=110, layout="constrained")
        axes = figure.add_subplot()
        for strategy, by_seed in curves(rows).items():
            colour = STRATEGIES[strategy]
            for values in by_seed.values():
                axes.step(range(1, len(values) + 1), values, where="post", color=colour, lw=0.6)
            mean = [fmean(step) for step in zip(*by_seed.values(), strict=True)]
            numbers = range(1, len(mean) + 1)
            axes.step(numbers, mean, where="post", color=colour, lw=2.5, label=strategy)
        axes.set_xlabel("networks tried")
        axes.set_ylabel("best validation loss so far (less is better)")
        axes.grid(color="#e8e8e8")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    main()
