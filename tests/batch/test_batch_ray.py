"""The Ray engine on a real cluster of two nodes, reading from and writing to a real S3 server."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface import Detector

pytest.importorskip("pyarrow", reason='needs pyarrow: pip install "featherface[batch]"')
pytest.importorskip("ray", reason='needs Ray: pip install "featherface[ray]"')

import ray
from batch_inputs import (
    STUCK,
    Deadly,
    Slow,
    do_all,
    files_of,
    names_in,
    rows_of,
    start,
    wait_until_stuck,
)
from ray.cluster_utils import Cluster
from s3 import serving

from featherface.batch import cluster as engine
from featherface.batch.attempts import Attempt
from featherface.batch.part import GUILTY, Job
from featherface.batch.places import place_of
from featherface.recipes import batch

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="a cluster on one machine is for Linux"),
]

SETTINGS = {
    "worker_niceness": 0,  # others that work on this machine would hold the actors up
    # A node is dead when it has not answered five times, instead of half a minute.
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 3000,
    "health_check_failure_threshold": 5,
}
NODE = {"num_cpus": 1, "object_store_memory": 80 * 1024 * 1024}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two nodes with a processor each, and this process connected to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(Path(__file__).parent)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("FEATHERFACE_TEST_PAUSE", "0.1")
        patch.setenv(STUCK, str(tmp_path_factory.mktemp("stuck") / "stuck"))
        head = {**NODE, "include_dashboard": False, "_system_config": SETTINGS}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            cluster.add_node(**NODE)
            cluster.wait_for_nodes()
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def children(parent: int) -> dict[int, str]:
    """The processes that a process has started, and what they call themselves."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            owner = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            name = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        if owner == parent:
            found[int(folder.name)] = name
    return found


def raylet_of(node: object) -> int:
    """The process that is a node."""
    return int(node.all_processes["raylet"][0].process.pid)  # type: ignore[attr-defined]


def wait_for_end_of_actors(nodes: Cluster) -> None:
    """Ray ends them when their driver has died."""
    deadline = time.monotonic() + 120
    while any(
        "MapWorker" in name
        for node in nodes.list_all_nodes()
        for name in children(raylet_of(node)).values()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_command_gives_what_a_run_here_gives(
    nodes: Cluster, pictures: Path, tmp_path: Path, toy_graph: Path, detector: Detector
) -> None:
    whole = do_all(pictures, tmp_path / "whole", detector, part=2)
    out = tmp_path / "out"
    status = batch.main(str(pictures), str(out), engine="ray", part=2, weights=str(toy_graph))
    assert status == 0
    assert rows_of(out) == whole
    assert files_of(out) == files_of(tmp_path / "whole")


def test_a_picture_that_kills_its_actor_gets_an_error(
    nodes: Cluster, pictures: Path, tmp_path: Path, toy_graph: Path, detector: Detector
) -> None:
    whole = do_all(pictures, tmp_path / "whole", detector, part=12)
    job = Job.begin(str(pictures), str(tmp_path / "out"), Deadly(toy_graph), part=12)
    (outcome,) = engine.run(job, [0], workers=1)
    assert outcome.failure == ""
    rows = rows_of(tmp_path / "out")
    (guilty,) = (at for at, row in enumerate(rows) if row["error"] == GUILTY)
    assert rows[guilty]["path"] == f"{pictures}/sub/11.png"
    assert [rows[:guilty], rows[guilty + 1 :]] == [whole[:guilty], whole[guilty + 1 :]]


def test_a_driver_killed_at_one_picture_again_and_again(
    nodes: Cluster,
    pictures: Path,
    tmp_path: Path,
    toy_graph: Path,
    detector: Detector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = do_all(pictures, tmp_path / "whole", detector, part=12)
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    stuck = Path(os.environ[STUCK])
    stuck.touch()
    for _ in range(3):  # after the first of them, pictures are noted
        driver = start(pictures, tmp_path / "out", toy_graph, "cluster")
        wait_until_stuck()
        driver.kill()
        driver.communicate()
        wait_for_end_of_actors(nodes)
    stuck.unlink()
    assert do_all(pictures, tmp_path / "out", detector, part=12) == whole


def test_an_actor_and_then_a_node_are_killed(
    nodes: Cluster, tmp_path: Path, toy_graph: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(40):
        pixels = np.zeros((64, 64, 3), np.uint8)
        pixels[: 32 * (number % 3), :, 0] = 255
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    whole = do_all(folder, tmp_path / "whole", Slow(toy_graph), part=2)
    with serving() as bucket:
        source, output = bucket.uri("in"), bucket.uri("out")
        for name in names_in(folder):
            (place_of(source) / name).write((folder / name).read_bytes())
        job = Job.begin(source, output, Slow(toy_graph), part=2)
        for number in range(20):  # as if all had been begun before: pictures are noted
            Attempt(place_of(output), number, job.run)
        (second,) = (node for node in nodes.list_all_nodes() if node is not nodes.head_node)
        killed = []
        numbers = []
        for outcome in engine.run(job, range(20), workers=2):
            assert outcome.failure == ""
            numbers.append(outcome.number)
            if len(numbers) == 3:
                actors = children(raylet_of(nodes.head_node))
                killed += [pid for pid, name in actors.items() if "MapWorker" in name]
                os.kill(killed[0], signal.SIGKILL)
            if len(numbers) == 8:
                raylet = raylet_of(second)
                everything = [*children(raylet), raylet]
                assert any("MapWorker" in name for name in children(raylet).values())
                for process in everything:
                    os.kill(process, signal.SIGKILL)
                killed += everything
        assert len(killed) > 2
        assert sorted(set(numbers)) == list(range(20))
        rows = rows_of(output)
        notes = place_of(output) / "_attempts"
        assert notes.names() == []
    names = [row["path"].rpartition("/")[2] for row in rows]
    assert names == names_in(folder)  # each picture once
    assert [{**row, "path": ""} for row in rows] == [{**row, "path": ""} for row in whole]
    deadline = time.monotonic() + 30
    while sum(node["Alive"] for node in ray.nodes()) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)
