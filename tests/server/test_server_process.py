"""`featherface serve` as a process: its start, its log and its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import picture

from featherface.cli import main

ROOT = Path(__file__).resolve().parents[2]
POST = b"POST /v1/detect?score=0.123 HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"


class Process:
    """A server, and what it has logged so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next line that tells of an event."""
        assert self.process.stderr
        for text in self.process.stderr:
            self.lines.append(json.loads(text))
            if self.lines[-1]["event"] == event:
                return self.lines[-1]
        raise AssertionError(f"{event} is not among {self.lines}")


@contextmanager
def running(weights: Path, *options: str, **environment: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "featherface", "serve", "--port", "0", "--weights", weights]
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment
    with subprocess.Popen(
        [*command, *options], env=variables, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


def test_a_stop_finishes_what_has_begun_and_takes_nothing_new(toy_graph: Path) -> None:
    content = picture()
    with running(toy_graph) as server:
        url = httpx.URL(server.wait_for("listening")["url"])
        address = (url.host, url.port or 0)
        with (
            socket.create_connection(address, timeout=10) as client,
            socket.create_connection(address, timeout=10) as idle,
        ):
            client.sendall(POST + f"Content-Length: {len(content)}\r\n\r\n".encode())
            client.sendall(content[:10])
            httpx.get(f"{url}/healthz")  # by now the other request has begun
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("stopping")
            assert idle.recv(10) == b""
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, timeout=10)
            client.sendall(content[10:])
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert len(json.loads(answer.partition(b"\r\n\r\n")[2])[0]["faces"]) == 1
        server.wait_for("stopped")
        assert server.process.wait(10) == 0


def test_ctrl_c_is_a_regular_end(toy_graph: Path) -> None:
    with running(toy_graph) as server:
        server.wait_for("listening")
        server.process.send_signal(signal.SIGINT)
        server.wait_for("stopped")
        assert server.process.wait(10) == 0


def test_the_log_is_json_and_has_nothing_that_a_client_sent(toy_graph: Path) -> None:
    with running(toy_graph) as server:
        url = server.wait_for("listening")["url"]
        with httpx.Client(base_url=url) as client:
            files = {"private": ("private-name.png", picture())}
            id_header = {"X-Request-ID": "abc"}
            client.post("/v1/detect?score=0.123", files=files, headers=id_header)
            client.get("/private-name.png")
            client.request("PROPFIND", "/healthz")
            client.request("PRIVATE", "/healthz")  # whose line says no more than "invalid"
            client.post("/v1/detect", files={"a": ("private.jpg", b"private text")})
            broken = {"Content-Type": "multipart/form-data; boundary=private"}
            client.post("/v1/detect", content=b"--private\r\nprivate\x00", headers=broken)
            client.post("/v1/detect?size=private", files=files)
        wrong = socket.create_connection((httpx.URL(url).host, httpx.URL(url).port or 0))
        with wrong:
            wrong.sendall(b"private private private\r\n\r\n")
            assert b" 400 " in wrong.recv(4096)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("stopped")
        lines = server.lines
    assert "private" not in json.dumps(lines).lower()
    assert "0.123" not in json.dumps(lines)
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == [200, 404, 405, 415, 400, 422]
    assert [line["path"] for line in requests[:3]] == ["/v1/detect", "other", "/healthz"]
    assert requests[0]["request_id"] == "abc"
    assert requests[0]["pictures"] == 1
    assert requests[0]["bytes"] == len(picture())
    assert requests[2]["method"] == "other"
    assert all({"time", "level", "ms", "method"} <= set(line) for line in requests)


def test_the_token_comes_from_the_environment_or_a_file(toy_graph: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    for options, variables, token in [
        ((), {"FEATHERFACE_TOKEN": "from-environment"}, "from-environment"),
        (("--token-file", str(tmp_path / "token")), {"FEATHERFACE_TOKEN": "no"}, "from-file"),
    ]:
        with running(toy_graph, *options, **variables) as server:
            url = server.wait_for("listening")["url"]
            assert httpx.get(f"{url}/metrics").status_code == 401
            headers = {"Authorization": f"Bearer {token}"}
            assert httpx.get(f"{url}/metrics", headers=headers).status_code == 200


def test_listening_to_other_machines_without_a_token_is_told(toy_graph: Path) -> None:
    with running(toy_graph, "--host", "0.0.0.0") as server:
        server.wait_for("listening")
        assert [line["level"] for line in server.lines] == ["warning", "info"]
        assert "FEATHERFACE_TOKEN" in server.lines[0]["fix"]
    with running(toy_graph, "--host", "0.0.0.0", FEATHERFACE_TOKEN="abc") as server:
        server.wait_for("listening")
        assert [line["level"] for line in server.lines] == ["info"]


def test_a_start_that_cannot_be_is_told(
    toy_graph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*options: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(["serve", "--weights", str(toy_graph), *options])
        assert end.value.code == 2
        return capsys.readouterr().err

    (tmp_path / "empty").write_text("\n")
    assert "wanted a token" in fails("--token-file", str(tmp_path / "empty"))
    assert "gone" in fails("--token-file", str(tmp_path / "gone"))
    assert "workers is 0" in fails("--workers", "0")
    assert "queue is 3" in fails("--queue", "3")
    assert "no address" in fails("--host", "no.such.host.invalid")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "name another --port" in fails("--port", str(taken.getsockname()[1]))
    monkeypatch.setenv("FEATHERFACE_TOKEN", "")
    assert "FEATHERFACE_TOKEN: wanted a token" in fails()


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "python_multipart", "prometheus_client"])
def test_a_missing_extra_is_named(package: str) -> None:
    program = (
        "import sys\n"
        f"sys.modules[{package!r}] = None  # as if it were not installed\n"
        "from featherface.cli import main\n"
        "main(['serve'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    wanted = f'serve needs {package}, please: pip install "featherface[serve]"'
    assert ran.stderr == f"featherface: {wanted}\n"
    assert ran.returncode == 2


def test_the_server_imports_no_torch(toy_graph: Path) -> None:
    program = (
        "import sys, featherface.recipes.serve\n"
        "print({'torch', 'onnx', 'scipy', 'matplotlib'} & set(sys.modules) or 'light')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout.strip() == "light", ran.stderr
