"""Trainings that differ in one thing each, at equal crops, and what came of them.

A study is a TOML file in studies/: a recipe, what is `set` in it for all, and its arms. Every arm
is trained once a seed, two processes of one thread side by side, and evaluated on labelled
photographs. Finished runs are not run again, and one that was stopped goes on.

    python benchmarks/study.py benchmarks/studies/distillation.toml --start START.safetensors

Leaves a line a run in results/NAME.jsonl and the table in results/NAME.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from featherface.files import write_atomically
from machine import this_machine

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
RESULTS = HERE / "results"
BANDS = ("all", "<16", "16-32", "<32", "32-96", ">96")
FLOOR = "0.03"  # of the scores; lower ones change no AP by a thousandth, and take minutes


@dataclass(frozen=True, slots=True)
class Run:
    """One training of a study."""

    arm: str
    seed: int
    settings: dict[str, Any]
    teacher: str | None

    @property
    def folder(self) -> str:
        """Name of its folder."""
        letters = "".join(c if c.isalnum() else "-" for c in self.arm.lower())
        return f"{letters}-{self.seed}"


def main() -> None:
    """Run what is missing of a study, and write its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--start", type=Path, help="weights that every run starts from")
    parser.add_argument("--teachers", type=Path, default=Path("runs"), help="folder of teachers")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of data")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for the runs")
    parser.add_argument("--pixels", type=Path, help="folder for the decoded pictures")
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side")
    given = parser.parse_args()
    study = read_toml(given.study)
    rows = RESULTS / f"{given.study.stem}.jsonl"
    done = read_rows(rows)
    missing = [run for run in runs_of(study) if not any(is_row_of(run, row) for row in done)]

    def go(run: Run) -> None:
        row = perform(run, study, given)
        with rows.open("a") as file:
            file.write(json.dumps(row) + "\n")

    with ThreadPoolExecutor(given.jobs) as pool:
        list(pool.map(go, missing))
    target = rows.with_suffix(".md")
    write_atomically(target, table(given.study, study, read_rows(rows)).encode())


def read_toml(path: Path) -> dict[str, Any]:
    """A study or a recipe."""
    return tomllib.loads(path.read_text())


def runs_of(study: dict[str, Any]) -> list[Run]:
    """All trainings, first seeds first."""
    found = [
        Run(arm["name"], seed, merged(study.get("set", {}), arm.get("set", {})), arm.get("teacher"))
        for arm in study["arm"]
        for seed in arm.get("seeds", study["seeds"])
    ]
    return sorted(found, key=lambda run: study["seeds"].index(run.seed))


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Nested tables, the second's entries instead of the first's."""
    both = dict(base)
    for key, value in over.items():
        both[key] = merged(both.get(key, {}), value) if isinstance(value, dict) else value
    return both


def to_toml(values: dict[str, Any], name: str = "") -> str:
    """A recipe's tables as TOML: plain values are written alike in JSON."""
    plain = {k: v for k, v in values.items() if not isinstance(v, dict) and not is_tables(v)}
    lines = [f"[{name}]"] if name else []
    lines += [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    text = "\n".join(lines) + "\n"
    for key, value in values.items():
        if isinstance(value, dict):
            text += "\n" + to_toml(value, f"{name}.{key}" if name else key)
        elif is_tables(value):
            text += "".join(f"\n[[{key}]]\n" + to_toml(part) for part in value)
    return text


def is_tables(value: object) -> bool:
    """A list of tables."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def perform(run: Run, study: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """Train and evaluate."""
    folder = given.runs / given.study.stem / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.toml"
    settings = merged(read_toml(Path(study["recipe"])), run.settings)
    recipe.write_text(to_toml(settings))
    verb = ["distill" if run.teacher else "train", recipe, folder]
    options = ["--data", given.shared / "data", "--seed", run.seed, "--quiet"]
    options += ["--weights", given.start] if given.start else []
    options += ["--pixels", given.pixels] if given.pixels else []
    if run.teacher:
        cache = given.runs / given.study.stem / "answers"
        options += ["--teacher", given.teachers / run.teacher, "--cache", cache]
    featherface(folder, *verb, *options)
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = metrics[-1]
    if last["seen"] < settings["fit"]["crops"]:
        sys.exit(f"{folder}: was stopped; the same command goes on")
    featherface(folder, "export", folder, folder / "model.onnx")
    record = folder / "evaluation.json"
    labels = given.shared / "data" / "faces" / "val"
    floor = ["--score-floor", FLOOR]
    featherface(
        folder, "evaluate", labels, "--weights", folder / "model.onnx", *floor, "--json", record
    )
    evaluation = json.loads(record.read_text())
    return {
        "arm": run.arm,
        "seed": run.seed,
        "settings": run.settings,
        "teacher": run.teacher,
        "crops": last["seen"],
        "minutes": round(last["minutes"], 1),
        "weights": {k: v for k, v in last.items() if k.startswith("kd_weight")},
        "measures": {band: evaluation["measures"][band] for band in BANDS},
        "landmark_error": evaluation["landmarks"]["mean_error"],
        "machine": asdict(this_machine()),
    }


def featherface(folder: Path, *words: object) -> None:
    """Run a command of ours on one thread, its output kept beside the run."""
    with (folder / "log.txt").open("a") as log:
        subprocess.run(
            [sys.executable, "-m", "featherface", *map(str, words)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"},
            stdout=log,
            stderr=log,
            check=True,
        )


def is_row_of(run: Run, row: dict[str, Any]) -> bool:
    """Whether a result is that of a run as it is set up now."""
    return (row["arm"], row["seed"], row["settings"], row["teacher"]) == (
        run.arm,
        run.seed,
        run.settings,
        run.teacher,
    )


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Results of earlier runs."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(path: Path, study: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The study as Markdown: a row a run, and the mean over seeds of each arm."""
    machine = rows[0]["machine"] if rows else {}
    text = [
        f"# {study['title']}",
        "",
        f"Made by `python benchmarks/study.py {path.as_posix()}`, recipe `{study['recipe']}` with",
        f"`{json.dumps(study.get('set', {}))}`.",
        "AP at IoU 0.5 on `faces/val` (213 photographs, 807 faces), original size, score floor",
        f"{FLOOR}, by height of the faces in pixels; in brackets 95% intervals over photographs.",
        f"{machine.get('processor')}, {machine.get('date')}; one thread a run, other work beside.",
        "",
        *study.get("findings", "").strip().splitlines(),
        "",
        f"| arm | seed | {' | '.join(BANDS)} | landmark error | minutes |",
        f"|---|---|{'---|' * len(BANDS)}---|---|",
    ]
    for arm in study["arm"]:
        found = [row for row in rows if row["arm"] == arm["name"]]
        for row in sorted(found, key=lambda row: row["seed"]):
            cells = [_cell(row["measures"][band]) for band in BANDS]
            rest = f"{row['landmark_error']:.2%} | {row['minutes']}"
            text.append(f"| {row['arm']} | {row['seed']} | {' | '.join(cells)} | {rest} |")
        if len(found) > 1:
            means = [mean(row["measures"][band]["ap"] for row in found) for band in BANDS]
            cells = [f"**{value:.3f}**" for value in means]
            error = mean(row["landmark_error"] for row in found)
            text.append(f"| {arm['name']} | mean | {' | '.join(cells)} | {error:.2%} | |")
    return "\n".join(text) + "\n"


def _cell(measure: dict[str, Any]) -> str:
    low, high = measure["ap_interval"]
    return f"{measure['ap']:.3f} ({low:.3f}–{high:.3f})"


if __name__ == "__main__":
    main()
