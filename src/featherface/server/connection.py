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
        super().connection_made(transport)
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
