"""The command line, called as from a shell (in this process where that shows the same)."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from featherface import __version__
from featherface.cli import COMMANDS, Command, main

ROOT = Path(__file__).resolve().parent.parent


def run(*tokens: str) -> int:
    """The exit status."""
    with pytest.raises(SystemExit) as end:
        main(tokens)
    assert isinstance(end.value.code, int)
    return end.value.code


Output = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        (["detect"], "PATHS"),
        (["detect", "in", "--szie", "9"], "--size"),
        (["detect", "in", "--output", "--draw", "out"], "--output"),
        (["detect", "in", "--json", "a.json"], "--json"),
        (["detect", "in", "--size", "big"], "--size"),
        (["detect", "in", "--size", "0"], "size is 0"),
        (["detect", "in", "--score", "2", "--weights", "toy.onnx"], "score is 2"),
        (["detect", "in", "--weights", "gone.onnx"], "gone.onnx: no such file"),
        (["detect", "in", "--weights", "text.jpg"], "text.jpg: is no .onnx file"),
        (["detect", "in", "--weights", "toy.onnx", "--output", "no/where.csv"], "no/where.csv"),
        (["in"], "no command 'in', there are: detect, train"),
    ],
)
def test_misuse(photos: Path, capsys: Output, tokens: list[str], reason: str) -> None:
    assert run(*tokens) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
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
        if command.extra not in ("", "evaluate", "video", "serve", "batch")
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


def test_other_import_errors_are_not_hidden() -> None:
    broken = "import sys; sys.modules['featherface.recipes.train'] = None"
    ran = shell("-c", f"{broken}; from featherface.cli import main; main(['train'])")
    assert "ImportError" in ran.stderr
    assert "featherface.recipes.train" in ran.stderr
    assert ran.returncode == 1


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
    for options in ([], ["--format", "jsonl"], ["--draw", "out"]):
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
