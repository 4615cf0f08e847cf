"""An S3 server for tests: moto's, by HTTP, on this machine only."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest


@dataclass
class Bucket:
    """A bucket, and what was asked of its server.

    Attributes:
        address: host and port.
        requests: method and path of each, in their order.
    """

    address: str
    requests: list[str] = field(default_factory=list)
    name: str = "pictures"
    secret: str = "very-secret"

    def uri(self, key: str) -> str:
        """Of a key or of what keys begin with."""
        options = f"endpoint_override={self.address}&scheme=http&region=us-east-1"
        return f"s3://key:{self.secret}@{self.name}/{key}?{options}"


@contextmanager
def serving() -> Iterator[Bucket]:
    """Runs a server with an empty bucket."""
    server = pytest.importorskip("moto.server", reason="needs an S3 server: pip install moto[s3]")
    fs = pytest.importorskip("pyarrow.fs")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    bucket = Bucket(f"{host}:{port}")

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            asked = re.search(r"\b(GET|HEAD|PUT|POST|DELETE) \S+", record.getMessage())
            if asked:
                bucket.requests.append(unquote(asked[0]))

    log = logging.getLogger("werkzeug")
    level, listener = log.level, Listener()
    log.addHandler(listener)
    log.setLevel(logging.INFO)
    try:
        files = fs.S3FileSystem(
            access_key="key",
            secret_key=bucket.secret,
            endpoint_override=bucket.address,
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
        )
        files.create_dir(bucket.name)
        yield bucket
    finally:
        log.removeHandler(listener)
        log.setLevel(level)
        running.stop()
