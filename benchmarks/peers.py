"""Our detectors against YuNet-n and SCRFD-500M: time, cost and accuracy, measured in one run.

Everybody runs in ONNX Runtime with the same settings, gets the same pictures resized by the same
code, and is counted and evaluated by the same code. See README.md beside this file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from cyclopts import App

from featherface import ModelError
from featherface import weights as shipped
from table import README, RESULTS, ROWS, SHRINK, TABLES, publish

V1 = "featherface_v1_widerface.safetensors"

app = App(name="python benchmarks/peers.py", help_format="markdown")


@app.default
def main(
    *,
    weights: Path | None = None,
    v1: Path | None = None,
    int8: Path | None = None,
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
    --results the committed ones in benchmarks/results, and the README's summary with them. Takes a
    few minutes, in which the machine should do nothing else. Needs what tests need:
    `pip install -e ".[dev]"`.

    Args:
        weights: Our network, an .onnx file or one to export; if not given, the one that ships,
            and the one with integers that ships.
        v1: FeatherFace V1, likewise; if not given, `weights/featherface_v1_widerface.safetensors`
            in the shared folder.
        int8: Our network with integers, an .onnx file from `featherface export --int8`, to take
            part too.
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
    from peak import peak_flops
    from rows import Run, write

    target = results or RESULTS
    target.mkdir(parents=True, exist_ok=True)
    machine = replace(this_machine(), peak_gflops=round(peak_flops() / 1e9, 1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            v1_graph = _graph(v1 or shared / "weights" / V1, folder / "featherface_v1.onnx")
            ours = _graph(weights, folder / "ours.onnx") if weights else _shipped(folder)
            int8 = int8 or (None if weights else _shipped(folder, "_int8"))
            entrants = enter_all(ours, v1_graph, shared / "peers", folder=folder, int8=int8)
            found = tuple(
                row
                for shrink in (1, SHRINK)
                for row in accuracies(
                    entrants,
                    labels or shared / "data" / "faces" / "val",
                    shrink=shrink,
                    tell=_tell,
                )
            )
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


def _shipped(folder: Path, suffix: str = "") -> Path:
    """A copy of a graph that ships."""
    copy = folder / f"{shipped.DEFAULT}{suffix}.onnx"
    copy.write_bytes(shipped.read(copy.stem))
    return copy


def _graph(file: Path, target: Path) -> Path:
    """A file that is a graph, or the graph that is exported from it.

    Raises:
        ModelError: it cannot be exported.
    """
    if file.suffix == ".onnx":
        return file
    _tell(f"exporting {file}")
    command = [sys.executable, "-m", "featherface", "export", str(file), str(target)]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise ModelError(f"{file}: cannot be exported, for the reason above")
    return target


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    app()
