"""An HTTP connection that ends when its client is too slow, for which uvicorn has no means.

uvicorn closes connections on which nothing comes between two requests. Here are the other ways to
hold one open for ever: a head that never ends, a body that goes on after its answer, and an answer
that is never taken. (The time for a body that is wanted is the application's affair.)
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD = 10.0
"""Seconds for the head of a request, from the connection or from the answer before it."""

REST = 2.0
"""Seconds for which the rest of a body is read and thrown away, and a closed connection waits for
its last bytes to go: who sends before reading would otherwise never see why it was refused."""

ANSWER = 30.0
"""Seconds within which the larger part of an answer has to be taken."""

MOST = 900
"""Connections at once: most systems give a process 1,024 file descriptors, and one that has run
out of them can take no connection at all for a while."""


class Connection(H11Protocol):
    """One connection."""

    _watched: object = None
    _timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Turns it away if there are too many."""
        super().connection_made(_Joined(transport, self.loop))
        if len(self.connections) > MOST:
            transport.abort()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks."""
        super().connection_lost(exc)
        for timer in (self._timer, self._answer_timer):
            if timer:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Takes what comes."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """An answer is on its way."""
        super().on_response_complete()
        self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for a while."""
        super().timeout_keep_alive_handler()
        self._expect("end", REST)

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is given."""
        super().pause_writing()
        if not self._answer_timer:
            self._answer_timer = self.loop.call_later(ANSWER, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken most of it."""
        super().resume_writing()
        if self._answer_timer:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _watch(self) -> None:
        """Starts a clock when something new is waited for, and leaves it alone otherwise."""
        if self.transport.is_closing():
            self._expect("end", REST)
        elif self.conn.their_state is h11.IDLE:
            self._expect("head", HEAD)
        elif self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE:
            self._expect("rest", REST)
        else:
            self._expect(None, 0)

    def _expect(self, what: str | None, seconds: float) -> None:
        if what == self._watched:
            return
        self._watched = what
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if what:
            self._timer = self.loop.call_later(seconds, self.transport.abort)


class _Joined(asyncio.Transport):
    """A transport that sends the head and the body of an answer together.

    Each would cost both sides a call of the system, which counts beside a small picture.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(bytes(data))

    def _flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces:
            self._transport.write(b"".join(pieces))

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._pieces = []
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._transport.get_extra_info(name, default)
