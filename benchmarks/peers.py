"""Our detectors against YuNet-n and SCRFD-500M: time, cost and accuracy, measured in one run.

Everybody runs in ONNX Runtime with the same settings, gets the same pictures resized by the same
code, and is counted and evaluated by the same code. See README.md beside this file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from cyclopts import App
from table import README, RESULTS, ROWS, TABLES, publish

from featherface import ModelError
from featherface import weights as shipped

app = App(name="python benchmarks/peers.py", help_format="markdown")


@app.default
def main(
    *,
    weights: Path | None = None,
    v1: Path | None = None,
    shared: Path = Path("../shared"),
    labels: Path | None = None,
    rounds: int = 30,
    repeats: int = 3,
    starts: int = 9,
    install: bool = False,
    results: Path | None = None,
) -> int:
    """Measure our detectors, YuNet-n and SCRFD-500M side by side.

    Writes the rows (peers.jsonl), the tables (peers.md) and the plot (peers.png); without
    --results the committed ones in benchmarks/results, and the README's summary with them. Takes
    about ten minutes, in which the machine should do nothing else. Needs what tests need:
    `pip install -e ".[dev]"`.

    Args:
        weights: Our .onnx file; the one that ships if not given.
        v1: FeatherFace V1, .onnx or .safetensors with the published names; if not given,
            `weights/featherface_v1_widerface.safetensors` in the shared folder.
        shared: Folder with `peers/` (the others' files), V1's weights and the photographs.
        labels: Labelled photographs for the accuracy; if not given, `data/faces/val` in the
            shared folder.
        rounds: Turns that every detector gets.
        repeats: Timed runs in a turn.
        starts: New processes of every detector, for the time to the first boxes.
        install: Also measure what an installation takes; downloads the packages.
        results: Folder for the results of a trial.
    """
    # Here, so that --help does not wait for them.
    from entrants import enter_all
    from machine import this_machine
    from measure import accuracies, costs, speeds
    from rows import Run, write

    target = results or RESULTS
    target.mkdir(parents=True, exist_ok=True)
    machine = this_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            entrants = enter_all(
                _ours(weights, folder), _v1(v1, shared, folder), shared / "peers", folder=folder
            )
            found = accuracies(entrants, labels or shared / "data" / "faces" / "val", tell=_tell)
        except (OSError, ModelError, ValueError) as error:
            print(f"peers.py: {error}", file=sys.stderr)
            return 2
        run = Run(
            machine,
            costs(entrants, starts=starts, is_installing=install, tell=_tell),
            speeds(entrants, rounds=rounds, repeats=repeats, tell=_tell),
            found,
        )
    write(run, target / ROWS)
    publish(target, README if results is None else None)
    print((target / TABLES).read_text(encoding="utf-8"))
    return 0


def _ours(file: Path | None, folder: Path) -> Path:
    """The file given, or a copy of the one that ships."""
    if file is None:
        file = folder / f"{shipped.DEFAULT}.onnx"
        file.write_bytes(shipped.read(shipped.DEFAULT))
    return file


def _v1(file: Path | None, shared: Path, folder: Path) -> Path:
    """The graph of FeatherFace V1, exported if it is not one yet."""
    file = file or shared / "weights" / "featherface_v1_widerface.safetensors"
    if file.suffix == ".onnx":
        return file
    raise NotImplementedError


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    app()
