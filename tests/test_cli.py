"""The command line, called as from a shell (in this process where that shows the same)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface import Detector, __version__
from featherface.cli import COMMANDS, Command, main

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def photos(tmp_path: Path, toy_graph: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with pictures, a broken one and weights."""
    for name, faces in {"in/a.png": 1, "in/sub/b.jpg": 2, "in/sub/none.png": 0}.items():
        pixels = np.zeros((64, 96, 3), np.uint8)
        for face in range(faces):
            pixels[:32, 64 * face : 64 * face + 32, 0] = 255
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (tmp_path / "text.jpg").write_text("Dear reader")
    (tmp_path / "toy.onnx").write_bytes(toy_graph.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*tokens: str) -> int:
    """The exit status."""
    with pytest.raises(SystemExit) as end:
        main(tokens)
    assert isinstance(end.value.code, int)
    return end.value.code


def detect(*tokens: str) -> int:
    return run("detect", "--weights", "toy.onnx", *tokens)


Output = pytest.CaptureFixture[str]


def test_a_line_for_each_picture(photos: Path, capsys: Output) -> None:
    assert detect("in") == 0
    out, err = capsys.readouterr()
    lines = [line.rsplit(",", 1) for line in out.splitlines()]
    names = [str(Path(name)) for name in ("in/a.png", "in/sub/b.jpg", "in/sub/none.png")]
    assert [line[0] for line in lines] == [
        f"{name}: {count}"
        for name, count in zip(names, ("1 face", "2 faces", "0 faces"), strict=True)
    ]
    assert all(line[1].endswith(" ms") for line in lines)
    assert err == ""


def test_json_lines_say_what_the_detector_finds(photos: Path, capsys: Output) -> None:
    assert detect("in/sub/b.jpg", "in/sub/none.png", "--json", "-", "--score", "0.2") == 0
    out, _ = capsys.readouterr()
    faces, none = (json.loads(line) for line in out.splitlines())
    found = Detector("toy.onnx", score=0.2).detect("in/sub/b.jpg")
    assert faces == {
        "path": str(Path("in/sub/b.jpg")),
        "width": 96,
        "height": 64,
        "faces": found.to_list(),
    }
    assert len(faces["faces"]) == 2
    assert none["faces"] == []


def test_json_file_is_written_at_the_end(photos: Path, capsys: Output) -> None:
    (photos / "faces.jsonl").write_text("old")
    assert detect("in", "--json", "faces.jsonl") == 0
    assert len((photos / "faces.jsonl").read_text().splitlines()) == 3
    assert capsys.readouterr().out == ""


def test_the_size_is_that_of_the_picture_whatever_it_is_scaled_to(
    photos: Path, capsys: Output
) -> None:
    for size in ("original", "48", "640"):
        assert detect("in/a.png", "--json", "-", "--size", size) == 0
        record = json.loads(capsys.readouterr().out)
        assert (record["width"], record["height"]) == (96, 64)


def test_a_broken_picture_is_named_and_the_others_come_out(photos: Path, capsys: Output) -> None:
    Path("void").mkdir()
    assert detect("text.jpg", "in/a.png", "gone.png", "void", "--json", "-") == 1
    out, err = capsys.readouterr()
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["path"] for record in records] == ["text.jpg", "in/a.png", "gone.png", "void"]
    assert ["error" in record for record in records] == [True, False, True, True]
    errors = err.splitlines()
    assert len(errors) == 3
    assert errors[0].startswith("featherface: text.jpg: ")
    assert errors[1] == "featherface: gone.png: no such file"
    assert errors[2].startswith("featherface: void: no pictures in this folder")
    assert "faces" not in records[0]


def test_drawings_keep_names_and_sub_folders(photos: Path) -> None:
    assert detect("in", "--draw", "out") == 0
    found = sorted(path.relative_to(photos).as_posix() for path in (photos / "out").rglob("*.*"))
    assert found == ["out/a.png", "out/sub/b.jpg", "out/sub/none.png"]
    drawn = np.asarray(Image.open(photos / "out" / "a.png"))
    assert drawn.shape == (64, 96, 3)
    assert (drawn != np.asarray(Image.open(photos / "in" / "a.png"))).any()


def test_drawings_do_not_overwrite_the_pictures(photos: Path, capsys: Output) -> None:
    before = (photos / "in" / "a.png").read_bytes()
    assert detect("in/a.png", "--draw", "in") == 2
    assert "would overwrite" in capsys.readouterr().err
    assert (photos / "in" / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        (["detect"], "PATHS"),
        (["detect", "in", "--szie", "9"], "--size"),
        (["detect", "in", "--json", "--draw", "out"], "--json"),
        (["detect", "in", "--size", "big"], "--size"),
        (["detect", "in", "--size", "0"], "size is 0"),
        (["detect", "in", "--score", "2", "--weights", "toy.onnx"], "score is 2"),
        (["detect", "in", "--weights", "gone.onnx"], "gone.onnx: no such file"),
        (["detect", "in", "--weights", "text.jpg"], "text.jpg: is no .onnx file"),
        (["detect", "in", "--weights", "toy.onnx", "--json", "no/where"], "no/where"),
        (["in"], "no command 'in', there are: detect, train"),
    ],
)
def test_misuse(photos: Path, capsys: Output, tokens: list[str], reason: str) -> None:
    assert run(*tokens) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("name", ["detect", *(command.name for command in COMMANDS)])
def test_help_names_every_command(name: str, capsys: Output) -> None:
    assert run("--help") == 0
    assert f" {name} " in capsys.readouterr().out


def test_version(capsys: Output) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    "command",
    [
        command
        for command in COMMANDS
        if command.extra not in ("evaluate", "video")
        and find_spec(command.target.partition(":")[0])
    ],
    ids=lambda command: command.name,
)
def test_a_missing_extra_is_named(command: Command) -> None:
    program = (
        "import sys\n"
        "sys.modules['torch'] = None  # as if it were not installed\n"
        "from featherface.cli import main\n"
        f"main([{command.name!r}])"
    )
    ran = shell("-c", program)
    wanted = f'{command.name} needs torch, please: pip install "featherface[{command.extra}]"'
    assert ran.stderr == f"featherface: {wanted}\n"
    assert ran.returncode == 2


def test_other_import_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "featherface.recipes.train", None)
    with pytest.raises(ImportError, match=r"featherface\.recipes\.train"):
        main(["train"])


def shell(*tokens: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, *tokens], env=environment, capture_output=True, text=True, check=False
    )


def test_as_a_module_without_torch(photos: Path) -> None:
    ran = shell(
        "-X", "importtime", "-m", "featherface", "detect", "in/a.png", "--weights", "toy.onnx"
    )
    assert ran.returncode == 0
    assert ran.stdout.startswith(f"{Path('in/a.png')}: 1 face, ")
    imported = {line.rsplit("|", 1)[-1].strip() for line in ran.stderr.splitlines()}
    assert "onnxruntime" in imported
    assert not {"torch", "onnx", "matplotlib", "scipy"} & imported


@pytest.mark.skipif(sys.platform != "linux", reason="file names are not bytes on this system")
def test_file_names_that_are_no_text(photos: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (photos / "in" / "a.png").rename(name)
    for options in ([], ["--json", "-"], ["--draw", "out"]):
        ran = shell("-m", "featherface", "detect", name, "--weights", "toy.onnx", *options)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith(("caf\\udce9.png: 1 face", '{"path": "caf\\udce9.png"'))


def test_a_reader_that_has_seen_enough(photos: Path) -> None:
    command = [sys.executable, "-m", "featherface", "detect", "in", "--weights", "toy.onnx"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
