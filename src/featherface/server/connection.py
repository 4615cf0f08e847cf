"""An HTTP connection that ends when its client is too slow, for which uvicorn has no means.

uvicorn closes connections on which nothing comes between two requests. Here are the other ways to
hold one open for ever: a head that never ends, a body that goes on after its answer, and an answer
that is never taken. (The time for a body that is wanted is the application's affair.)
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = 10.0
"""Seconds for the head of a request, from the connection or from the answer before it."""

LONGEST_HEAD = 65_536
"""Bytes that a head may have."""

REST = 2.0
"""Seconds for which the rest of a body is read and thrown away, and a closed connection waits for
its last bytes to go: who sends before reading would otherwise never see why it was refused."""

ANSWER = 30.0
"""Seconds within which the larger part of an answer has to be taken."""

MOST = 900
"""Connections at once: most systems give a process 1,024 file descriptors, and one that has run
out of them can take no connection at all for a while."""


class Connection(HttpToolsProtocol):
    """One connection."""

    _watched: str | None = None
    _is_in_body = False
    _head_bytes = 0  # of a head that is not complete yet
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
        """Takes what comes; a head is kept until it is complete, so its length is bounded too."""
        if self._watched == "head":
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > LONGEST_HEAD:
            self.transport.abort()
        self._watch()

    def on_headers_complete(self) -> None:
        """A request begins."""
        self._is_in_body, self._head_bytes = True, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Its body is complete."""
        self._is_in_body = False
        super().on_message_complete()

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
        elif self.cycle and not self.cycle.response_complete:
            self._expect(None, 0)
        elif self._is_in_body:
            self._expect("rest", REST)
        else:
            self._expect("head", HEAD)

    def _expect(self, what: str | None, seconds: float) -> None:
        if what == self._watched:
            return
        self._watched = what
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if what:
            self._timer = self.loop.call_later(seconds, self.transport.abort)
