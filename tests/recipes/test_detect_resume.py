"""A run that was stopped goes on: no picture twice, none lost, outputs as if undisturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface import Detector, files
from featherface.cli import main
from featherface.types import Detections

ROOT = Path(__file__).resolve().parents[2]
Output = pytest.CaptureFixture[str]
ALL = ("--draw", "out/drawn", "--crop", "out/faces", "--format", "coco", "--output", "out/f.json")
RUNS = {  # -> files that a run writes
    ("--output", "out/f.jsonl"): 1,
    ("--format", "yolo", "--output", "out/labels"): 3,
    ("--draw", "out"): 3,
    ALL: 7,
}


def detect(*options: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["detect", "in", "text.jpg", "--weights", "toy.onnx", *options])
    assert isinstance(end.value.code, int)
    return end.value.code


def tree(folder: Path) -> dict[str, bytes]:
    """Every file in it, hidden ones too."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


class Killed(BaseException):
    """Stops the process in the middle of something, as far as a test can do that from within."""


def stop_at(monkeypatch: pytest.MonkeyPatch, write: int) -> None:
    """Breaks off at a write, leaving the draft of it behind, as a kill does."""
    count = 0

    whole = Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == write:
            raise Killed
        return whole(self, target)

    monkeypatch.setattr(os, "getpid", lambda: 4711)  # the next run is another process
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)


@pytest.mark.parametrize(
    ("options", "write"),
    [(options, write + 1) for options, writes in RUNS.items() for write in range(writes)],
)
def test_stopped_anywhere(
    photos: Path,
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    write: int,
) -> None:
    (photos / "out").mkdir()
    assert detect(*options) == 1
    wanted = tree(photos / "out")
    errors = capsys.readouterr().err
    (photos / "out").rename("wanted")
    (photos / "out").mkdir()
    stop_at(monkeypatch, write)
    with pytest.raises(Killed):
        main(["detect", "in", "text.jpg", "--weights", "toy.onnx", *options])
    monkeypatch.undo()
    os.chdir(photos)
    (journal,) = (photos / "out").rglob("*.unfinished")
    done = journal.read_bytes()
    journal.write_bytes(done + b'{"path": "in/sub/b.jp')  # the last line was not written to its end
    looked: list[str] = []
    fit = Detector.fit
    monkeypatch.setattr(
        Detector, "fit", lambda self, picture: looked.append(str(picture)) or fit(self, picture)
    )
    capsys.readouterr()
    assert detect(*options) == 1
    assert tree(photos / "out") == wanted
    before = [json.loads(line)["path"] for line in done.splitlines()[1:]]
    assert sorted(before + looked) == ["in/a.png", "in/sub/b.jpg", "in/sub/none.png", "text.jpg"]
    note, *rest = capsys.readouterr().err.splitlines(keepends=True)
    assert f"going on with a run that was stopped, {len(before)} of 4 pictures are done" in note
    assert "".join(rest) == errors


def shell(*options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "featherface", "detect", "in", "--weights", "toy.onnx"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen([*command, *options], env=environment, stderr=subprocess.PIPE)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_with_its_workers(photos: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(60):
        pixels = rng.integers(0, 256, (320, 320, 3), np.uint8)
        pixels[:32, :32] = (255, 0, 0)
        Image.fromarray(pixels).save(photos / "in" / f"{number:02}.png")
    (photos / "out").mkdir()
    process = shell(*ALL, "--workers", "2")
    journal = photos / "out" / "f.json.unfinished"
    deadline = time.monotonic() + 60
    while not (journal.is_file() and journal.read_bytes().count(b"\n") > 10):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()
    if process.stderr:
        process.stderr.read()  # ends when the workers have ended too
        process.stderr.close()
    done = {json.loads(line).get("path") for line in journal.read_bytes().splitlines()[:-1]}
    made = {path: path.stat().st_mtime_ns for path in (photos / "out" / "drawn").rglob("*.png")}
    assert 9 <= len(done) < 63
    second = shell(*ALL, "--workers", "2")
    _, errors = second.communicate()
    assert second.returncode == 0, errors
    for path, when in made.items():
        if f"in/{path.name}" in done:
            assert path.stat().st_mtime_ns == when, "done twice"
    resumed = tree(photos / "out")
    (photos / "out").rename("resumed")
    (photos / "out").mkdir()
    undisturbed = shell(*ALL)
    undisturbed.communicate()
    assert resumed == tree(photos / "out")
    assert len(json.loads(resumed["f.json"])["images"]) == 63


def stop_after_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        found = iter([Detections.empty()])
        patch.setattr(Detector, "find", lambda self, pictures: [next(found)])
        with pytest.raises(RuntimeError):
            main(["detect", "in", "text.jpg", "--weights", "toy.onnx", "--output", "f.jsonl"])


def paths_looked_at(monkeypatch: pytest.MonkeyPatch, *options: str) -> list[str]:
    looked: list[str] = []
    fit = Detector.fit
    with monkeypatch.context() as patch:
        patch.setattr(
            Detector, "fit", lambda self, picture: looked.append(str(picture)) or fit(self, picture)
        )
        assert detect("--output", "f.jsonl", *options) == 1
    return looked


def test_other_settings_begin_anew(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after_first(monkeypatch)
    assert len(paths_looked_at(monkeypatch, "--score", "0.4")) == 4


def test_what_has_changed_since_is_done_again(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after_first(monkeypatch)
    (photos / "in" / "0.png").write_bytes((photos / "in" / "a.png").read_bytes())
    os.utime(photos / "in" / "a.png", ns=(1, 1))
    assert paths_looked_at(monkeypatch)[:2] == ["in/0.png", "in/a.png"]
    lines = (photos / "f.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines][:2] == ["in/0.png", "in/a.png"]
    assert len(lines) == 5


def test_lines_of_another_kind_in_a_journal_are_no_reason_to_stop(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after_first(monkeypatch)
    journal = Path("f.jsonl.unfinished")
    first, done = journal.read_text().splitlines()
    strange = ["[1]", '{"path": 7}', '{"path": "in/sub/b.jpg"}', "null", "\0", '{"stamp": 1}']
    journal.write_text("\n".join([first, *strange, done, ""]))
    assert len(paths_looked_at(monkeypatch)) == 3


def test_what_a_journal_names_as_its_process_is_a_number(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the names of drafts that are deleted."""
    stop_after_first(monkeypatch)
    journal = Path("f.jsonl.unfinished")
    first, done = journal.read_text().splitlines()
    settings = json.loads(first) | {"process": "keep"}
    journal.write_text(f"{json.dumps(settings)}\n{done}\n")
    Path(".mine.keep").write_text("mine")
    assert len(paths_looked_at(monkeypatch)) == 3
    assert Path(".mine.keep").exists()


def test_a_journal_that_somebody_changed(
    photos: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after_first(monkeypatch)
    journal = Path("f.jsonl.unfinished")
    journal.write_text(journal.read_text().replace('"faces"', '"fakes"'))
    assert detect("--output", "f.jsonl") == 2
    assert "f.jsonl.unfinished: is damaged, delete it to begin anew" in capsys.readouterr().err


def test_two_at_once_do_not_mix(photos: Path, capsys: Output) -> None:
    fcntl = pytest.importorskip("fcntl")
    with Path("f.jsonl.unfinished").open("w") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        assert detect("--output", "f.jsonl") == 2
    assert "f.jsonl.unfinished: another run is writing to it" in capsys.readouterr().err


def test_a_run_resumed_onto_stdout_tells_everything(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        with pytest.raises(Killed):
            main(["detect", "in", "text.jpg", "--weights", "toy.onnx", "--draw", "out"])
    capsys.readouterr()
    assert detect("--draw", "out") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "in/a.png: 1 face, done before"
    assert lines[1].startswith("in/sub/b.jpg: 2 faces, ")
    assert lines[1].endswith(" ms")


def test_files_are_replaced_by_the_module_that_is_tested_for_it() -> None:
    """`stop_at` reaches every write through this."""
    assert "draft.replace(path)" in Path(files.__file__).read_text()
