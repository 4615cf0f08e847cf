"""The server process: it begins to listen when it can answer, and ends when it has answered."""

from __future__ import annotations

import logging
import signal
import socket
from contextlib import suppress

import numpy as np
import uvicorn
from starlette.types import ASGIApp

from featherface.server.app import build
from featherface.server.connection import Connection
from featherface.server.desk import Desk
from featherface.server.limits import Service
from featherface.server.logs import tell

SPARE_SECONDS = 5.0
"""What a stop waits longer than the time for a request, for answers on their way."""

WAITING = 1024
"""Connections that the system holds until they are taken."""

WARM_UP = (640, 640, 3)

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn, which tells where it listens, and is not ready any longer when it stops."""

    def __init__(self, desk: Desk, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="auto",
                http=Connection,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nothing here depends on who asks
                backlog=WAITING,
                timeout_graceful_shutdown=round(desk.service.limits.seconds + SPARE_SECONDS),
            )
        )
        self._desk = desk

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to listen."""
        await super().startup(sockets)
        self._desk.is_ready = True
        for each in sockets or []:
            tell(logger, "listening", url=url_of(each))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes nothing new, and finishes what has begun."""
        self._desk.is_ready = False
        tell(logger, "stopping", pictures=self._desk.workers.under_way)
        await super().shutdown(sockets)
        tell(logger, "stopped")


def serve(service: Service, listener: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what has begun; again SIGINT ends at once.

    Args:
        service: what to serve with.
        listener: where, bound already.
    """
    service.detector.detect(np.zeros(WARM_UP, np.uint8))  # the first picture takes longest
    desk = Desk(service)
    server = Server(desk, build(desk))
    # uvicorn raises the signal that stopped it once more, for whoever had handled it before.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address; port 0 takes one that is free.

    Raises:
        ValueError: there is no such address here, or it is taken.
    """
    try:
        (family, kind, *_, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listener = socket.socket(family, kind)
    except OSError as error:
        raise ValueError(f"{host}: no address to listen on ({error.strerror})") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        reason = f"cannot listen on it ({error.strerror}); name another --port"
        raise ValueError(f"{host}:{port}: {reason}") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a socket listens."""
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
