"""Processes of the local engine die, and nothing is lost but time."""

from __future__ import annotations

import os
import signal
from multiprocessing import active_children
from pathlib import Path

import pytest

from featherface import Detector

pytest.importorskip("pyarrow", reason='needs pyarrow: pip install "featherface[batch]"')

from batch_inputs import Deadly, Slow, do_all, files_of, rows_of

from featherface.batch import pool
from featherface.batch.part import GUILTY, Job

needs_kill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")


@needs_kill
def test_a_worker_that_is_killed_is_replaced(
    pictures: Path, tmp_path: Path, toy_graph: Path, detector: Detector
) -> None:
    whole = do_all(pictures, tmp_path / "whole", detector, part=2)
    job = Job.begin(str(pictures), str(tmp_path / "out"), Slow(toy_graph), part=2)
    numbers = []
    for outcome in pool.run(job, range(6), workers=2):
        assert outcome.failure == ""
        if not numbers:
            victim = next(child for child in active_children() if child.is_alive())
            assert victim.pid
            os.kill(victim.pid, signal.SIGKILL)
        numbers.append(outcome.number)
    assert sorted(numbers) == list(range(6))
    assert rows_of(tmp_path / "out") == whole
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    assert active_children() == []


@needs_kill
def test_a_picture_that_kills_its_worker_gets_an_error_and_the_others_their_faces(
    pictures: Path, tmp_path: Path, toy_graph: Path, detector: Detector
) -> None:
    whole = do_all(pictures, tmp_path / "whole", detector, part=12)
    job = Job.begin(str(pictures), str(tmp_path / "out"), Deadly(toy_graph), part=12)
    (outcome,) = pool.run(job, [0], workers=2)
    rows = rows_of(tmp_path / "out")
    (guilty,) = (at for at, row in enumerate(rows) if row["error"] == GUILTY)
    assert rows[guilty]["path"] == f"{pictures}/sub/11.png"
    assert rows[guilty]["faces"] is None
    assert [rows[:guilty], rows[guilty + 1 :]] == [whole[:guilty], whole[guilty + 1 :]]
    assert outcome.errors == 2


def test_leaving_early_ends_the_workers(pictures: Path, tmp_path: Path, toy_graph: Path) -> None:
    job = Job.begin(str(pictures), str(tmp_path / "out"), Slow(toy_graph), part=1)
    outcomes = pool.run(job, range(12), workers=2)
    next(outcomes)
    outcomes.close()
    assert active_children() == []
    assert len(files_of(tmp_path / "out")) < 12


class Dead:
    """A job whose processes die as soon as they hear of it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (1,)


def test_processes_that_cannot_begin_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ChildProcessError, match="3 processes died before they could begin"):
        list(pool.run(Dead(), range(5), workers=2))  # type: ignore[arg-type]
    assert active_children() == []


def test_other_weights_on_the_way_are_refused(
    pictures: Path, tmp_path: Path, toy_graph: Path
) -> None:
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(toy_graph.read_bytes())
    job = Job.begin(str(pictures), str(tmp_path / "out"), Detector(copy), part=12)
    import onnx

    other = onnx.load(copy)
    other.doc_string = "changed meanwhile"
    onnx.save(other, copy)
    with pytest.raises(ValueError, match="weights on this machine are not those"):
        list(pool.run(job, [0], workers=1))
