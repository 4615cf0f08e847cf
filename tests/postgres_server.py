"""A PostgreSQL server for tests: the system's programs, a temporary folder, this machine only."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PASSWORD = "very-secret"
UNPRIVILEGED = "nobody"  # the server refuses to be root's


def programs() -> Path | None:
    """The folder with `initdb` and `postgres`; Debian leaves it out of PATH."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.get_exec_path())]
    return next((place for place in places if (place / "initdb").is_file()), None)


@contextmanager
def serving() -> Iterator[str]:
    """Runs a server with an empty database; gives its URL."""
    psycopg = pytest.importorskip("psycopg", reason="needs featherface[postgres]")
    place = programs()
    if not place:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)
        secrets = ("-U", "tester", "--pwfile", folder / "password", "-A", "scram-sha-256")
        subprocess.run(
            [place / "initdb", "-D", folder / "data", *secrets, "--no-locale", "-E", "UTF8", "-N"],
            user=user,
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        port = free_port()
        settings = f"listen_addresses=127.0.0.1 port={port} unix_socket_directories= fsync=off"
        options = [word for setting in settings.split() for word in ("-c", setting)]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [place / "postgres", "-D", folder / "data", *options],
                user=user,
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        try:
            url = f"postgresql://tester:{PASSWORD}@127.0.0.1:{port}/postgres"
            deadline = time.monotonic() + 60
            while True:
                try:
                    psycopg.connect(url).close()
                    break
                except psycopg.OperationalError:
                    said = (folder / "log").read_text()
                    assert server.poll() is None, said
                    assert time.monotonic() < deadline, said
                    time.sleep(0.05)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # ends sessions, then the server
            server.wait(60)


def free_port() -> int:
    """On the loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
