"""`torchrun -m featherface train`: more or fewer ranks on the way, killed ones, two machines.

Machines are played by two torchruns on the loopback.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import postgres_server
import pytest
import torch
from safetensors.torch import load_file

from featherface.training.checkpoint import load_state

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """
network = "nano_b_enhanced"
criterion = "multibox"
workers = 0
[[data]]
labels = "labels.txt"
[crop]
size = 64
[fit]
crops = 64
batch = 4
warmup = 0.0
hold = 1.0
save_minutes = 0
"""
# The command itself, in a process whose rank, crops and stops can be looked at. Batch norm stays in
# evaluation mode: its statistics are of a rank's own crops.
SCRIPT = """
import os, signal, sys
from pathlib import Path
from torch import nn
from featherface.cli import main
from featherface.data.loader import CropDataset

place, steps = Path(sys.argv[1]), int(sys.argv[2])
rank = os.environ.get("RANK", "0")
(place / f"pids-{rank}").write_text(f"{os.getpid()} {os.getppid()}")
nn.BatchNorm2d.train = lambda self, _=True: nn.Module.train(self, False)
draw = CropDataset.__getitem__

def noting(self, number):
    with (place / "drawn").open("a") as file:
        file.write(f"{number}\\n")
    noting.count += 1
    if noting.count == steps:
        os.kill(os.getpid(), signal.SIGTERM)  # ends the run after this step
    return draw(self, number)

noting.count = 0
CropDataset.__getitem__ = noting
main(sys.argv[3:])
"""


class Runner:
    """Starts the same run in as many ways as wanted."""

    def __init__(self, folder: Path, drawn: Path) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.data = drawn
        self.processes: list[subprocess.Popen[str]] = []
        (folder / "recipe.toml").write_text(RECIPE)
        (folder / "script.py").write_text(SCRIPT)

    def start(self, *launcher: str, steps: int = 0, crops: int = 64) -> subprocess.Popen[str]:
        """One process, or those of a torchrun with these options; ends after so many steps."""
        torchrun = ["-m", "torch.distributed.run", *launcher] if launcher else []
        words = [*torchrun, "script.py", ".", steps, "train", "recipe.toml", "run"]
        words += ["--data", self.data, "--pixels", "pixels", "--crops", crops, "--quiet"]
        process = subprocess.Popen(
            [sys.executable, *map(str, words)],
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
            cwd=self.folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def finish(self, *launcher: str, steps: int = 0, crops: int = 64) -> None:
        """Starts, and waits for the end."""
        process = self.start(*launcher, steps=steps, crops=crops)
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said

    def wait(self, is_time: Callable[[], bool]) -> None:
        """Until something is so, while all run."""
        deadline = time.monotonic() + 300
        while not is_time() and time.monotonic() < deadline:
            for process in self.processes:
                assert process.poll() is None, process.communicate()
            time.sleep(0.01)

    def pids(self, rank: int) -> list[int]:
        """Of a rank that was started last, and of its torchrun."""
        return [int(pid) for pid in (self.folder / f"pids-{rank}").read_text().split()]


def lives(pid: int) -> bool:
    """Whether a process is there, and not merely its exit status."""
    try:
        about = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return about.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def runner(tmp_path: Path, drawn: Path) -> Iterator[Runner]:
    """Leaves no process."""
    runner = Runner(tmp_path, drawn)
    yield runner
    for process in runner.processes:
        if process.poll() is None:
            process.terminate()  # torchrun ends its ranks
            process.communicate(timeout=60)


TWO = ("--standalone", "--nproc-per-node=2")


@pytest.mark.slow
def test_a_run_goes_on_with_other_ranks(runner: Runner, drawn: Path, tmp_path: Path) -> None:
    runner.finish(*TWO, steps=2, crops=12)  # each of them draws two of a step's four crops
    assert load_state(runner.run / "state.pt")["seen"] == 4
    runner.finish(steps=4, crops=12)
    assert load_state(runner.run / "state.pt")["seen"] == 8
    runner.finish(*TWO, crops=12)
    numbers = [int(line) for line in (tmp_path / "drawn").read_text().split()]
    steps = [sorted(numbers[start : start + 4]) for start in (0, 4, 8)]
    assert steps == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]

    (tmp_path / "alone").mkdir()
    alone = Runner(tmp_path / "alone", drawn)
    alone.finish(crops=12)
    one, other = (load_state(each.run / "state.pt") for each in (runner, alone))
    assert one["seen"] == other["seen"] == 12
    for parameter, moments in other["optimiser"]["state"].items():
        ours = one["optimiser"]["state"][parameter]["exp_avg"]
        scale = float(moments["exp_avg"].abs().max())
        torch.testing.assert_close(ours, moments["exp_avg"], rtol=0, atol=0.02 * scale + 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machines", "rank", "with_launcher"),
    [(1, 0, False), (1, 1, False), (2, 1, False), (2, 1, True)],
    ids=["first rank", "second rank", "rank of another machine", "another machine"],
)
def test_a_killed_rank_ends_the_run_and_it_goes_on(
    runner: Runner, machines: int, rank: int, with_launcher: bool
) -> None:
    def start() -> list[subprocess.Popen[str]]:
        if machines == 1:
            return [runner.start(*TWO)]
        where = f"127.0.0.1:{postgres_server.free_port()}"
        meeting = ("--rdzv-backend=c10d", f"--rdzv-endpoint={where}", "--rdzv-id=run")
        two = ("--nnodes=2", "--nproc-per-node=1", *meeting)
        return [runner.start(*two), runner.start(*two)]

    launchers = start()
    runner.wait((runner.run / "state.pt").exists)
    for pid in reversed(runner.pids(rank)[: 2 if with_launcher else 1]):
        os.kill(pid, signal.SIGKILL)
    for process in launchers:
        process.communicate(timeout=300)
        assert process.returncode not in (0, None)
    for each in (0, 1):
        assert not lives(runner.pids(each)[0]), f"rank {each}"
    seen = load_state(runner.run / "state.pt")["seen"]
    assert 0 < seen < 64
    load_file(runner.run / "model.safetensors")

    runner.processes.clear()
    for process in start():
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
    assert load_state(runner.run / "state.pt")["seen"] == 64
    lines = (runner.run / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["seen"] == 64
