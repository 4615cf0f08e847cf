"""The page on the server keeps its word: its commands and its snippet run, in their order."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
COMMANDS = dict(re.findall(r"<!-- command: (.+?) -->\n```sh\n(.+?)```\n", PAGE, flags=re.DOTALL))
PORT = "8000"

pytestmark = [
    pytest.mark.skipif(not shutil.which("curl"), reason="needs curl"),
    pytest.mark.skipif(not shutil.which("bash"), reason="needs bash"),
    pytest.mark.skipif(
        not (ROOT / "src/featherface/weights/nano_b_enhanced.onnx").is_file(),
        reason="src/featherface/weights/nano_b_enhanced.onnx is absent",
    ),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the page presumes."""
    shutil.copytree(ROOT / "assets", tmp_path / "assets")
    return tmp_path


@contextmanager
def started(command: str, folder: Path) -> Iterator[str]:
    """Starts a server by a command of the page, on a port that is free, which it gives."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    program = f"{sys.executable} -m featherface serve --port {port}"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(
        ["bash", "-c", command.strip().replace("featherface serve", f"exec {program}")],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert json.loads(process.stderr.readline())["event"] == "listening"
        try:
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            process.stderr.read()
    assert process.returncode == 0


def ask(command: str, folder: Path, port: str) -> str:
    """What a command of the page prints."""
    ran = subprocess.run(
        [
            "bash",
            "-euo",
            "pipefail",
            "-c",
            command.replace("curl", "curl -fsS").replace(PORT, port),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_commands_and_the_snippet_of_the_page_run(folder: Path) -> None:
    assert PAGE.count("```sh") == len(COMMANDS) == 7
    (snippet,) = re.findall(r"```python\n(.+?)```", PAGE, flags=re.DOTALL)
    with started(COMMANDS["start"], folder) as port:
        (found,) = json.loads(ask(COMMANDS["detect"], folder, port))
        assert set(found) == {"path", "width", "height", "faces"}
        good, bad = json.loads(ask(COMMANDS["several"], folder, port))
        assert (good["path"], bad["path"]) == ("astronaut.jpg", "README.md")
        assert "error" in bad
        assert ask(COMMANDS["blur"], folder, port) == ""
        assert (folder / "clean.jpg").read_bytes().startswith(b"\xff\xd8")
        assert "featherface_requests_total" in ask(COMMANDS["watch"], folder, port)
        program = [sys.executable, "-c", snippet.replace(PORT, port)]
        ran = subprocess.run(program, cwd=folder, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        assert re.fullmatch(r"\d+ faces\n", ran.stdout)


def test_the_commands_with_a_token_run(folder: Path) -> None:
    with started(COMMANDS["start with a token"], folder) as port:
        assert len(json.loads(ask(COMMANDS["ask with a token"], folder, port))) == 1
