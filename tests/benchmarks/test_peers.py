"""The whole benchmark, small: it explains itself, says what is missing, and leaves its results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from featherface.data.label_text import write_labels
from featherface.data.labels import read_labels
from rows import read

ROOT = Path(__file__).resolve().parents[2]


def peers(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "benchmarks/peers.py", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_explains() -> None:
    ran = peers("--help")
    assert ran.returncode == 0, ran.stderr
    assert all(
        option in ran.stdout for option in ("--weights", "--shared", "--rounds", "../shared")
    )


def test_what_is_missing_is_named(toy_graph: Path, tmp_path: Path) -> None:
    ran = peers("--weights", toy_graph, "--v1", toy_graph, "--shared", tmp_path / "nowhere",
                "--results", tmp_path / "results")  # fmt: skip
    assert ran.returncode == 2
    assert "nowhere/peers/yunet_n_640_640.onnx: no such file" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_a_small_run(toy_graph: Path, tmp_path: Path, shared: Path) -> None:
    labels = read_labels(shared / "data" / "faces" / "val")[:3]
    few = tmp_path / "some" / "few"
    few.mkdir(parents=True)
    write_labels(few / "labels.txt", labels)
    ran = peers(
        "--weights", toy_graph, "--v1", toy_graph, "--shared", shared, "--labels", few,
        "--rounds", 1, "--repeats", 1, "--starts", 1, "--results", tmp_path / "results",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    run = read(tmp_path / "results" / "peers.jsonl")
    assert run.detectors == ["featherface toy", "FeatherFace V1", "YuNet-n", "SCRFD-500M"]
    assert [row.labels for row in run.accuracies] == ["some/few"] * 8
    yunet_n = [row for row in run.speeds if row.detector == "YuNet-n"]
    assert [row.forward_ratio for row in yunet_n] == [1] * 4
    assert all(min(row.forward_ms, row.end_ms, row.fit_ms) > 0 for row in run.speeds)
    assert (tmp_path / "results" / "peers.png").stat().st_size > 10_000
