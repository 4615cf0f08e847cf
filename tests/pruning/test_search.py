"""Trials on disk: taken over, shared between processes, counted exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from featherface.models.mobilenet import DENSE
from featherface.models.nano_b import NanoBConfig
from featherface.pruning.config import SearchConfig, SearchError
from featherface.pruning.groups import Budget, realised, size_of
from featherface.pruning.proposals import propose
from featherface.pruning.search import Search, Trial

ROOT = Path(__file__).resolve().parents[2]
NETWORK = NanoBConfig(widths=DENSE)
BUDGET = Budget()
POINT = partial(propose, NETWORK, BUDGET, SearchConfig(startup=3), 0)


def loss(network: NanoBConfig, folder: Path) -> float:
    assert size_of(NETWORK, network, BUDGET).is_allowed, "an infeasible point is never trained"
    return sum(realised(NETWORK, network)[:3])


def nothing(_: list[Trial]) -> None:
    pass


def test_trials_stay_on_disk_and_go_on(tmp_path: Path) -> None:
    told: list[int] = []
    Search(tmp_path, {"seed": 0}).run(3, POINT, loss, report=lambda t: told.append(len(t)))
    again = Search(tmp_path, {"seed": 0})
    assert again.is_complete(3)
    assert not again.is_complete(5)
    again.run(5, POINT, loss, report=lambda t: told.append(len(t)))
    assert told == [1, 2, 3, 4, 5]
    whole = Search(_folder(tmp_path / "whole"), {"seed": 0})
    whole.run(5, POINT, loss, report=nothing)
    assert whole.trials() == again.trials()
    assert again.best() == min(again.trials(), key=lambda trial: trial.loss or 0)
    for trial in again.trials():
        assert trial.loss == loss(trial.network, tmp_path)
        assert trial.refused > 0


def test_a_trial_that_was_left_is_taken_over(tmp_path: Path) -> None:
    seen: list[NanoBConfig] = []

    def leave(network: NanoBConfig, folder: Path) -> float | None:
        seen.append(network)
        return None if len(seen) == 3 else loss(network, folder)

    Search(tmp_path, {}).run(5, POINT, leave, report=nothing)
    assert [trial.loss is None for trial in Search(tmp_path, {}).trials()] == [False, False, True]
    Search(tmp_path, {}).run(5, POINT, leave, report=nothing)
    assert seen[2] == seen[3]
    assert len(seen) == 6
    assert Search(tmp_path, {}).is_complete(5)


def test_a_network_that_diverges_is_counted_and_passed_over(tmp_path: Path) -> None:
    calls: list[Path] = []

    def diverge(network: NanoBConfig, folder: Path) -> float:
        calls.append(folder)
        if len(calls) == 2:
            raise FloatingPointError
        return loss(network, folder)

    search = Search(tmp_path, {})
    search.run(5, POINT, diverge, report=nothing)
    assert len(set(calls)) == 5
    assert [trial.loss is None for trial in search.trials()] == [False, True, False, False, False]
    assert search.is_complete(5)
    assert search.best().loss is not None


def test_other_settings_are_refused(tmp_path: Path) -> None:
    Search(tmp_path, {"seed": 0, "budget": {"macs": 0.9}})
    with pytest.raises(SearchError, match=r"study\.db.*another budget"):
        Search(tmp_path, {"seed": 0, "budget": {"macs": 0.8}})


def test_nothing_measured(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="no trial has a result"):
        Search(tmp_path, {}).best()


WORKER = """
import sys, time
from functools import partial
from pathlib import Path
from featherface.models.mobilenet import DENSE
from featherface.models.nano_b import NanoBConfig
from featherface.pruning.config import SearchConfig
from featherface.pruning.groups import Budget
from featherface.pruning.proposals import propose
from featherface.pruning.search import Search

folder = Path(sys.argv[1])

def evaluate(network, place):
    print(place.name, flush=True)
    time.sleep(0.05)
    return float(sum(network.widths[1]))

point = partial(propose, NanoBConfig(widths=DENSE), Budget(), SearchConfig(startup=7), 0)
Search(folder, {}).run(8, point, evaluate, report=lambda _: None)
"""


@pytest.mark.slow
def test_several_processes_keep_the_number_of_trials(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path)],
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    places: list[str] = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        places += out.split()
    assert sorted(places) == [f"trial-{number:03}" for number in range(8)]
    search = Search(tmp_path, {})
    assert search.is_complete(8)
    assert len({trial.network for trial in search.trials()}) == 8


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
