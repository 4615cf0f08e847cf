"""A load generator: so many clients that each ask for a picture's faces again and again.

Bounded in time or in number, and to servers on this machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Load:
    """What clients saw.

    Attributes:
        seconds: from the first request to the last answer.
        times: seconds from a request to its answer, all clients together.
    """

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.times) / self.seconds


def run(
    port: int,
    bodies: Sequence[bytes],
    *,
    clients: int,
    seconds: float = float("inf"),
    requests: int | None = None,
) -> Load:
    """Asks for the faces of pictures, over a connection for each client.

    Args:
        port: of a server on this machine.
        bodies: JPEG files, taken in turn.
        clients: requests at the same time.
        seconds: after which no request begins.
        requests: after which none begins either.

    Raises:
        RuntimeError: an answer has another status than 200.
    """
    if requests is None and seconds == float("inf"):
        raise ValueError("a load without an end; name seconds or requests")
    load = Load()
    asyncio.run(_run(port, [_request(body) for body in bodies], clients, seconds, requests, load))
    return load


def _request(body: bytes) -> bytes:
    head = (
        "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _run(
    port: int,
    messages: Sequence[bytes],
    clients: int,
    seconds: float,
    requests: int | None,
    load: Load,
) -> None:
    begun = 0
    start = time.perf_counter()

    async def ask() -> None:
        nonlocal begun
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() - start < seconds and (requests is None or begun < requests):
            message = messages[begun % len(messages)]
            begun += 1
            before = time.perf_counter()
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"the server said: {body.decode()}")
            load.times.append(time.perf_counter() - before)
        writer.close()

    await asyncio.gather(*[ask() for _ in range(clients)])
    load.seconds = time.perf_counter() - start
