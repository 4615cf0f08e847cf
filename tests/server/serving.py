"""A server in a thread of this process, and pictures for it."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
from PIL import Image

from featherface import Detections, Detector
from featherface.server.app import build
from featherface.server.desk import Desk
from featherface.server.limits import Limits, Service
from featherface.server.run import Server, listen

BLUR_SCORE = 0.2


class Gate(Detector):
    """A detector that waits, when it is told to, before it looks at a picture."""

    def __init__(self, weights: Path) -> None:
        super().__init__(weights)
        self.open = threading.Event()
        self.open.set()
        self.seen = 0

    def find(self, pictures: Any, *, score: float | None = None) -> list[Detections]:
        assert self.open.wait(20)
        self.seen += 1
        return super().find(pictures, score=score)


class Served(NamedTuple):
    """A server that runs."""

    client: httpx.Client
    desk: Desk
    gate: Gate

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.client.base_url.port or 0

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(self.address, timeout=10)

    def detect(self, content: bytes, **options: Any) -> httpx.Response:
        """Asks for the faces of a picture."""
        headers = {"Content-Type": "application/octet-stream"} | options.pop("headers", {})
        return self.client.post("/v1/detect", content=content, headers=headers, **options)


Serve = Callable[..., Served]


@contextmanager
def serving(gate: Gate, *, token: str = "", **limits: Any) -> Iterator[Served]:
    desk = Desk(Service(gate, Limits(**limits), blur_score=BLUR_SCORE, token=token))
    server = Server(desk, build(desk))
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: desk.is_ready)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield Served(client, desk, gate)
    finally:
        gate.open.set()
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Returns as soon as something is so."""
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end, "it never was"
        time.sleep(0.005)


def picture(faces: int = 1, form: str = "PNG", **options: Any) -> bytes:
    """A file with so many faces for the toy weights, which see red cells of 32 x 32 pixels."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    for face in range(faces):
        pixels[:32, 32 * face : 32 * face + 32, 0] = 255
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()
