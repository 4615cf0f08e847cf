"""Trials on disk or on a server: taken over, shared between processes, counted exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import postgres_server
import pytest

from featherface.models.mobilenet import DENSE
from featherface.models.nano_b import NanoBConfig
from featherface.pruning.config import SearchConfig, SearchError
from featherface.pruning.groups import Budget, realised, size_of
from featherface.pruning.proposals import propose
from featherface.pruning.search import Search, Trial
from featherface.pruning.storage import Database, Disk, Storage

Place = Callable[[], Storage]

ROOT = Path(__file__).resolve().parents[2]
NETWORK = NanoBConfig(widths=DENSE)
BUDGET = Budget()
POINT = partial(propose, NETWORK, BUDGET, SearchConfig(startup=3), 0)


def loss(network: NanoBConfig, folder: Path) -> float:
    assert size_of(NETWORK, network, BUDGET).is_allowed, "an infeasible point is never trained"
    return sum(realised(NETWORK, network)[:3])


def nothing(_: list[Trial]) -> None:
    pass


@pytest.fixture(params=["disk", "database"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The test's own study, as each process opens it."""
    if request.param == "disk":
        return partial(Disk, tmp_path)
    return partial(Database, request.getfixturevalue("database"), tmp_path.name)


def test_trials_stay_and_go_on(tmp_path: Path, place: Place) -> None:
    told: list[int] = []
    first = Search(tmp_path, {"seed": 0}, place())
    first.run(3, POINT, loss, report=lambda t: told.append(len(t)))
    again = Search(tmp_path, {"seed": 0}, place())
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


def test_a_trial_that_was_left_is_taken_over(tmp_path: Path, place: Place) -> None:
    seen: list[NanoBConfig] = []

    def leave(network: NanoBConfig, folder: Path) -> float | None:
        seen.append(network)
        return None if len(seen) == 3 else loss(network, folder)

    Search(tmp_path, {}, place()).run(5, POINT, leave, report=nothing)
    assert [trial.loss is None for trial in Search(tmp_path, {}, place()).trials()] == [
        False,
        False,
        True,
    ]
    Search(tmp_path, {}, place()).run(5, POINT, leave, report=nothing)
    assert seen[2] == seen[3]
    assert len(seen) == 6
    assert Search(tmp_path, {}, place()).is_complete(5)


def test_a_network_that_diverges_is_counted_and_passed_over(tmp_path: Path, place: Place) -> None:
    calls: list[Path] = []

    def diverge(network: NanoBConfig, folder: Path) -> float:
        calls.append(folder)
        if len(calls) == 2:
            raise FloatingPointError
        return loss(network, folder)

    search = Search(tmp_path, {}, place())
    search.run(5, POINT, diverge, report=nothing)
    assert len(set(calls)) == 5
    assert [trial.loss is None for trial in search.trials()] == [False, True, False, False, False]
    assert search.is_complete(5)
    assert search.best().loss is not None


def test_other_settings_are_refused(tmp_path: Path, place: Place) -> None:
    Search(tmp_path, {"seed": 0, "budget": {"macs": 0.9}}, place())
    with pytest.raises(SearchError, match="another budget") as error:
        Search(tmp_path, {"seed": 0, "budget": {"macs": 0.8}}, place())
    assert str(error.value).startswith(str(place()))
    assert postgres_server.PASSWORD not in str(error.value)


def test_nothing_measured(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"study\.db: no trial has a result"):
        Search(tmp_path, {}).best()


def test_studies_of_a_database_are_apart(tmp_path: Path, database: str) -> None:
    for name in ("one", "other"):
        place = Database(database, f"{tmp_path.name}-{name}")
        Search(tmp_path, {"name": name}, place).run(2, POINT, loss, report=nothing)
        assert len(Search(tmp_path, {"name": name}, place).trials()) == 2


def test_a_hold_that_the_server_lost(tmp_path: Path, database: str) -> None:
    """Another one takes the trial over; both end it, it counts once, and the search goes on."""
    psycopg = pytest.importorskip("psycopg")
    places: list[str] = []

    def finish_elsewhere(network: NanoBConfig, folder: Path) -> float:
        places.append(f"{folder.name} there")
        return loss(network, folder)

    def disturbed(network: NanoBConfig, folder: Path) -> float:
        places.append(f"{folder.name} here")
        if len(places) == 1:
            with psycopg.connect(database, autocommit=True) as admin:
                end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                admin.execute(
                    f"{end} where backend_type = 'client backend' and pid <> pg_backend_pid()"
                )
            other = Search(tmp_path, {}, Database(database, tmp_path.name))
            other.run(2, POINT, finish_elsewhere, report=nothing)
        return loss(network, folder) + 1

    search = Search(tmp_path, {}, Database(database, tmp_path.name))
    search.run(3, POINT, disturbed, report=nothing)
    assert places == ["trial-000 here", "trial-000 there", "trial-001 there", "trial-002 here"]
    trials = search.trials()
    assert [trial.number for trial in trials] == [0, 1, 2]
    added = [(trial.loss or 0) - loss(trial.network, tmp_path) for trial in trials]
    assert added == pytest.approx([0, 0, 1]), "the first result stays"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("study.db", "--storage: Could not parse"),
        ("mysql://me:very-secret@host/base", r"mysql://me:\*\*\*@host/base is not postgresql://"),
        (
            "postgresql://me:very-secret@127.0.0.1:1/base",
            r"me:\*\*\*@127\.0\.0\.1:1/base: .*refused",
        ),
    ],
)
def test_no_such_database(url: str, message: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(SearchError, match=message) as error:
        Database(url, "prune")
    assert "very-secret" not in str(error.value)


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
from featherface.pruning.storage import Database, Disk

folder = Path(sys.argv[1])
place = Database(sys.argv[2], folder.name) if sys.argv[2:] else Disk(folder)

def evaluate(network, place):
    print(place.name, flush=True)
    time.sleep(0.05)
    return float(sum(network.widths[1]))

point = partial(propose, NanoBConfig(widths=DENSE), Budget(), SearchConfig(startup=7), 0)
Search(folder, {}, place).run(8, point, evaluate, report=lambda _: None)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["disk", "database"])
def test_several_processes_keep_the_number_of_trials(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = [request.getfixturevalue("database")] if kind == "database" else []
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), *url],
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
    search = Search(tmp_path, {}, Database(*url, tmp_path.name) if url else None)
    assert search.is_complete(8)
    assert len({trial.network for trial in search.trials()}) == 8


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
