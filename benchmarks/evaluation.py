"""How much faster the WIDER FACE protocol is than its plain form, which has to agree to the bit."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from cyclopts import App

from featherface.evaluation.tables import append_row
from featherface.evaluation.wider_face import LISTS, evaluate, read_ground_truth
from machine import this_machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "evaluation"))  # where the plain form proves the fast one
from plain_wider_face import disturb, plain_average_precision  # noqa: E402

ALARMS = 6.6  # for each annotated box: about 300,000 predictions
ROUNDS = 3  # of the fast form; the plain one takes a minute

HEAD = """# Speed of the evaluation

Easy, medium and hard AP of WIDER FACE validation, all 3,226 pictures, disturbed ground truth as
predictions; by `python benchmarks/evaluation.py`, one thread. Plain is
`tests/evaluation/plain_wider_face.py`, which follows the official tool step by step; both give the
same AP to the last bit. The fast form also tells the five size bands of the hard list in that time.

"""

app = App(name="python benchmarks/evaluation.py", help_format="markdown")


@app.default
def main(
    *,
    ground_truth: Path = Path("../shared/data/wider_gt"),
    results: Path = ROOT / "benchmarks" / "results" / "evaluation.md",
) -> int:
    """Time the fast form and the plain form of the WIDER FACE protocol on the same predictions.

    Appends a row to the table of results. Takes about a minute.

    Args:
        ground_truth: Folder with the four official .mat files.
        results: The table.
    """
    try:
        truth = read_ground_truth(ground_truth)
    except FileNotFoundError as error:
        print(f"evaluation: {error}", file=sys.stderr)
        return 2
    predictions = disturb(truth, np.random.default_rng(0), alarms=ALARMS, decimals=6)
    fast = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        measures = evaluate(predictions, truth).measures
        fast.append(time.perf_counter() - start)
    start = time.perf_counter()
    plain = {name: plain_average_precision(predictions, truth, bit) for name, bit in LISTS.items()}
    slow = time.perf_counter() - start
    if plain != {name: measures[name].ap for name in LISTS}:
        print(f"evaluation: the two forms disagree: {plain}, {measures}", file=sys.stderr)
        return 1
    seconds = float(np.median(fast))
    machine = this_machine()
    row = {
        "date": machine.date,
        "predictions": f"{sum(len(each.scores) for each in predictions):,}",
        "fast, s": f"{seconds:.2f}",
        "plain, s": f"{slow:.1f}",
        "ratio": f"{slow / seconds:.0f}",
        "AP": " / ".join(f"{value:.4f}" for value in plain.values()),
        "versions": f"featherface {machine.featherface}, numpy {machine.numpy}, "
        f"Python {machine.python}",
        "processor": f"{machine.processor}, load {machine.load:g}",
        "threads": "1",
    }
    append_row(results, row, head=HEAD)
    for name, value in row.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
