"""A run that was stopped goes on: no part twice, no picture lost, the output as if undisturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface import Detector
from featherface.cli import main

pytest.importorskip("pyarrow", reason='needs pyarrow: pip install "featherface[batch]"')

from batch_inputs import STUCK, Rows, do_all, files_of, rows_of, start, wait_until_stuck

from featherface.batch.attempts import ALONE, BEFORE, DEADLY, HOPELESS, Attempt, PartError
from featherface.batch.part import GUILTY, Job
from featherface.batch.places import place_of

ROOT = Path(__file__).resolve().parents[2]
Output = pytest.CaptureFixture[str]


PARTS = ("--part", "4")


def batch(*options: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["batch", "in", "out", "--weights", "toy.onnx", *(options or PARTS)])
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def here(pictures: Path, toy_graph: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with pictures and weights."""
    (pictures.parent / "toy.onnx").write_bytes(toy_graph.read_bytes())
    monkeypatch.chdir(pictures.parent)
    return pictures.parent


def test_the_command_does_all_and_then_nothing(here: Path, answer: Rows, capsys: Output) -> None:
    assert batch(*PARTS, "--workers", "2") == 0
    assert "12 pictures, " in capsys.readouterr().out
    rows = rows_of("out")
    assert rows == [{**row, "path": f"in/{row['path']}"} for row in answer]
    times = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.parquet")}
    assert len(times) == 3
    assert batch() == 0
    assert "3 of 3 parts are done already" in capsys.readouterr().err
    assert times == {path: path.stat().st_mtime_ns for path in Path("out").glob("*.parquet")}


def test_only_what_is_missing_is_done(here: Path, detector: Detector) -> None:
    whole = do_all("in", "out", detector)
    files = files_of(Path("out"))
    Path("out/part-0000001.parquet").unlink()
    times = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.parquet")}
    drafts = (Path("out/.part-0000001.parquet.4711"), Path("out/_attempts/.0000001.4711"))
    for draft in drafts:
        draft.write_bytes(b"half a part")
    (here / "in" / "000.png").write_bytes(b"a new one, which the plan does not know")
    assert batch() == 0
    assert rows_of("out") == whole
    assert files_of(Path("out")) == files
    assert not any(draft.exists() for draft in drafts)
    assert (
        times.items()
        <= {path: path.stat().st_mtime_ns for path in Path("out").glob("*.parquet")}.items()
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([*PARTS, "--score", "0.4"], "score 0.5, now 0.4"),
        ([*PARTS, "--size", "64"], "size 'original', now 64"),
        ([*PARTS, "--tiles", "320"], "tiles None, now 320"),
        (["--part", "5"], "part 4, now 5"),
        ([*PARTS, "--column", "jpg"], "column '', now 'jpg'"),
    ],
)
def test_other_options_are_refused(
    here: Path, detector: Detector, capsys: Output, options: list[str], told: str
) -> None:
    Job.begin("in", "out", detector, part=4)
    assert batch(*options) == 2
    assert f"out: was begun with {told}. Give the same options" in capsys.readouterr().err


def test_other_weights_and_inputs_are_refused(
    here: Path, detector: Detector, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    Job.begin("in", "out", detector, part=4)
    (here / "in").rename("moved")
    (here / "in").symlink_to("moved")
    with pytest.raises(ValueError, match=r"input '.*in', now '.*moved'"):
        Job.begin("moved", "out", detector, part=4)
    monkeypatch.setattr(detector, "sha256", "another")
    with pytest.raises(ValueError, match=r"weights '.*', now 'another'"):
        Job.begin("in", "out", detector, part=4)


def test_folders_with_something_else_in_them_are_refused(here: Path, capsys: Output) -> None:
    Path("out").mkdir()
    Path("out/letter.txt").write_text("Dear reader")
    assert batch() == 2
    assert "out: holds files that are no output of ours" in capsys.readouterr().err
    assert sorted(path.name for path in Path("out").iterdir()) == ["_lock", "letter.txt"]


def test_a_second_run_at_the_same_time_is_refused(here: Path, capsys: Output) -> None:
    fcntl = pytest.importorskip("fcntl")
    Path("out").mkdir()
    with Path("out/_lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert batch() == 2
    assert "out: another run is writing to it" in capsys.readouterr().err


def test_planning_that_was_stopped_begins_anew(here: Path, detector: Detector) -> None:
    whole = do_all("in", "whole", detector)
    Job.begin("in", "out", detector, part=1)
    Path("out/_plan.json").unlink()  # which is written last
    assert do_all("in", "out", detector) == whole


def test_a_part_that_failed_is_told_and_tried_again(
    here: Path, detector: Detector, capsys: Output
) -> None:
    whole = do_all("in", "whole", detector)
    Job.begin("in", "out", detector, part=4)
    Path("out/part-0000001.parquet").mkdir()  # so that no file can take its place
    assert batch() == 1
    told = capsys.readouterr()
    assert "part 1 failed: " in told.err
    assert "1 of 3 parts are not done, the same command tries them again" in told.err
    assert "8 pictures" in told.out
    Path("out/part-0000001.parquet").rmdir()
    assert batch() == 0
    assert rows_of("out") == whole
    assert list(Path("out/_attempts").iterdir()) == []


def many(folder: Path) -> None:
    """Adds pictures that take their time."""
    rng = np.random.default_rng(0)
    for number in range(60):
        pixels = rng.integers(0, 256, (320, 320, 3), np.uint8)
        pixels[:32, :32] = (255, 0, 0)
        Image.fromarray(pixels).save(folder / f"many{number:02}.png")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_with_its_workers(here: Path, detector: Detector) -> None:
    many(here / "in")
    whole = do_all("in", "whole", detector)
    command = [sys.executable, "-m", "featherface", "batch", "in", "out", "--part", "4"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        [*command, "--weights", "toy.onnx", "--workers", "2"],
        env=environment,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while len(files_of(Path("out"))) < 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.wait()
    if process.stderr:
        process.stderr.read()  # ends when the workers have ended too
        process.stderr.close()
    done = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.parquet")}
    assert 4 <= len(done) < 18
    assert batch(*PARTS, "--workers", "2") == 0
    for path, when in done.items():
        assert path.stat().st_mtime_ns == when, "done twice"
    assert rows_of("out") == whole
    assert files_of(Path("out")) == files_of(Path("whole"))
    assert [path.name for path in Path("out").glob(".*")] == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("is_whole", [True, False], ids=["all processes", "the first process"])
def test_a_run_killed_at_one_picture_again_and_again_ends_as_if_undisturbed(
    here: Path,
    toy_graph: Path,
    detector: Detector,
    monkeypatch: pytest.MonkeyPatch,
    is_whole: bool,
) -> None:
    whole = do_all(here / "in", "whole", detector, part=12)
    Path("stuck").touch()
    monkeypatch.setenv(STUCK, str(here / "stuck"))
    for _ in range(3):  # after the first of them, pictures are noted
        process = start(here / "in", here / "out", toy_graph, "pool")
        wait_until_stuck()
        if is_whole:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.communicate()  # ends when the workers have ended too
    assert do_all(here / "in", "out", detector, part=12) == whole


def die(run: str, *, last: int) -> Attempt:
    """Somebody of this run looks at pictures of the first part, and does not outlive the last."""
    attempt = Attempt(place_of("out"), 0, run)
    for index in range(last + 1):
        attempt.at(index)
    return attempt


def test_a_picture_that_kills_is_found_out(here: Path, detector: Detector) -> None:
    job = Job.begin("in", "out", detector, part=12)
    die(job.run, last=BEFORE)
    for _ in range(DEADLY // ALONE):
        attempt = die(job.run, last=7)
        assert attempt.is_careful
        assert attempt.guilty == frozenset()
    assert job.do(0).failure == ""
    rows = rows_of("out")
    assert [row["error"] for row in rows].count(GUILTY) == 1
    assert rows[7]["error"] == GUILTY
    assert len(rows) == 12


def test_a_picture_that_takes_the_run_down_each_time_is_found_out(
    here: Path, detector: Detector
) -> None:
    whole = do_all("in", "whole", detector, part=12)
    for last in (BEFORE, *DEADLY * [7]):
        attempt = die(Job.begin("in", "out", detector, part=12).run, last=last)
        assert attempt.guilty == frozenset()
    assert Job.begin("in", "out", detector, part=12).do(0).failure == ""
    rows = rows_of("out")
    assert rows[7]["error"] == GUILTY
    assert [*rows[:7], *rows[8:]] == [*whole[:7], *whole[8:]]


def test_a_part_that_always_kills_is_given_up_and_may_be_tried_again(
    here: Path, detector: Detector
) -> None:
    job = Job.begin("in", "out", detector, part=12)
    for _ in range(HOPELESS // ALONE):
        die(job.run, last=BEFORE)
    assert "the processes that began it died" in job.do(0).failure
    assert job.do(0).failure == ""


def test_who_dies_just_after_finishing_leaves_no_note(here: Path, detector: Detector) -> None:
    job = Job.begin("in", "out", detector, part=12)
    first = job.do(0)
    die(job.run, last=BEFORE)  # its part was there already
    assert job.do(0)[:2] == first[:2]
    assert place_of("out/_attempts").names() == []


def test_deaths_here_and_there_blame_nobody(here: Path, detector: Detector) -> None:
    whole = do_all("in", "whole", detector, part=12)
    job = Job.begin("in", "out", detector, part=12)
    for last in (0, 4, 2, 8):
        die(job.run, last=last)
    assert job.do(0).failure == ""
    assert rows_of("out") == whole


def test_runs_that_end_before_the_first_picture_do_not_give_a_part_up_soon(
    here: Path, detector: Detector
) -> None:
    (here / "out" / "_attempts").mkdir(parents=True)
    for number in range(HOPELESS):
        die(f"run {number}", last=BEFORE)
    with pytest.raises(PartError, match="the processes that began it died"):
        die("the last", last=BEFORE)


def test_a_missing_ray_is_named(
    here: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "featherface.batch.cluster", raising=False)
    monkeypatch.delattr("featherface.batch.cluster", raising=False)  # another test imported it
    monkeypatch.setitem(sys.modules, "ray", None)
    assert batch(*PARTS, "--engine", "ray") == 2
    assert 'needs ray, please: pip install "featherface[ray]"' in capsys.readouterr().err
