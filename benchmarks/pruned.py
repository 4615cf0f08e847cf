"""What pruning cost and gave: a pruned network against the dense one that was trained as long.

    python benchmarks/pruned.py DENSE PRUNED runs/prune

Leaves a row in results/pruned.jsonl, and pruned.md and its pictures made from all rows.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cyclopts import App

from entrants import Entrant, enter
from featherface.data.labels import read_labels
from featherface.evaluation.labelled import evaluate
from featherface.evaluation.prediction import Conditions, predict
from featherface.files import write_atomically
from featherface.runtime.detector import OVERLAP, Detector
from machine import this_machine
from measure import network_costs
from study import BANDS

RESULTS = Path(__file__).parent / "results"
FLOOR = 0.01  # of scores as they are trained; lower ones change no AP by a thousandth
PICTURES = ("search.png", "channels.png")
Row = dict[str, Any]

app = App(name="python benchmarks/pruned.py", help_format="markdown")


@app.default
def main(
    dense: Path,
    pruned: Path,
    run: Path,
    *,
    crops: int,
    labels: Path = Path("../shared/data/faces/val"),
    rounds: int = 20,
    repeats: int = 3,
    results: Path = RESULTS,
) -> None:
    """Evaluate both networks and time them turn by turn; the machine should do nothing else.

    Args:
        dense: Its graph, after as much more training as the pruned one got.
        pruned: Its graph.
        run: Folder of `featherface prune`.
        crops: That both were trained on after the soft phase.
        labels: Labelled photographs.
        rounds: Turns that each network gets.
        repeats: Timed runs in a turn.
        results: Folder for what comes out.
    """
    about = json.loads((run / "pruned.json").read_text())
    with tempfile.TemporaryDirectory() as name:
        entrants = [
            enter(key, "featherface", file, Detector(file).info.parameters, Path(name))
            for key, file in (("dense", dense), ("pruned", pruned))
        ]
        found = {entrant.name: _accuracy(entrant, labels) for entrant in entrants}
        costs = network_costs(entrants, rounds=rounds, repeats=repeats, tell=print)
    row = {
        "crops": crops,
        "trial": about["trial"],
        "rates": about["rates"],
        "losses": about["losses"],
        "difference": about["largest_difference_silenced_to_cut"],
        "networks": {name: {**cost, **found[name]} for name, cost in costs.items()},
        "machine": asdict(this_machine()),
    }
    file = results / "pruned.jsonl"
    earlier = file.read_text() if file.exists() else ""
    write_atomically(file, (earlier + json.dumps(row) + "\n").encode())
    for picture in PICTURES:
        write_atomically(results / f"pruned_{picture}", (run / picture).read_bytes())
    text = report([json.loads(line) for line in file.read_text().splitlines()])
    write_atomically(file.with_suffix(".md"), text.encode())
    print(text)


def _accuracy(entrant: Entrant, folder: Path) -> Row:
    """AP by size of the faces."""
    labels = read_labels(folder)
    detector = Detector(entrant.graph, threads=2)
    conditions = Conditions("original", score=FLOOR, overlap=OVERLAP)
    measures = evaluate(
        [predict(detector, label.path, conditions) for label in labels], labels
    ).measures
    return {"ap": {band: round(measures[band].ap, 4) for band in BANDS}}


def report(rows: list[Row]) -> str:
    """The rows as Markdown, the last one with its search."""
    text = [
        "# From the dense network to the pruned one",
        "",
        "`featherface prune` with `configs/prune.toml`, then both networks trained on alike with",
        "`configs/pruned.toml`, the dense one on as many crops more as the soft phase took; by",
        "`python benchmarks/pruned.py`. AP at IoU 0.5 on `faces/val` at",
        f"original size, score floor {FLOOR}; time of the network at 640 × 640 on one thread in",
        "ONNX Runtime, turn by turn in one run. GMAC are those of the file, with the zero channels",
        "that pad a width.",
        "",
        f"| date | crops | network | parameters | GMAC | ms | ratio | {' | '.join(BANDS)} |",
        f"|---|---|---|---|---|---|---|{'---|' * len(BANDS)}",
    ]
    for row in rows:
        for name, network in row["networks"].items():
            speed = f"{network['forward_ms']} | {network['forward_ratio']}"
            size = f"{network['parameters']:,} | {network['gmac']}"
            ap = " | ".join(f"{network['ap'][band]:.3f}" for band in BANDS)
            about = f"{row['machine']['date']} | {row['crops']:,} | {name}"
            text.append(f"| {about} | {size} | {speed} | {ap} |")
    last = rows[-1]
    rates = ", ".join(f"{name} {rate:.0%}" for name, rate in last["rates"].items())
    text += [
        "",
        f"Share of channels removed in each group (trial {last['trial']}): {rates}.",
        "",
        "| network | validation loss |",
        "|---|---|",
        *(f"| {name} | {loss:.3f} |" for name, loss in last["losses"].items()),
        "",
        "The loss is that of the pictures held out. Cutting out the silenced channels moved the",
        f"outputs by at most {last['difference']:.2g}: rounding, and the attention of the taps,",
        "whose maximum over channels no longer sees zeros.",
        "",
        "![Rates by trial, best loss so far, loss against size](pruned_search.png)",
        "",
        "![Which channels went](pruned_channels.png)",
        "",
        f"{last['machine']['processor']}, load {last['machine']['load']}, "
        f"onnxruntime {last['machine']['onnxruntime']}.",
    ]
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    app()
