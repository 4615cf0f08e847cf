"""How much a client may ask for, and the answer to one who asks for more.

Everything that a request can make grow has a bound that is checked before it grows: bytes while
they arrive, pixels before they are decoded, pictures before they are queued, time throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from featherface.runtime.detector import Detector

AHEAD = 32
"""Pictures that may wait or be worked on, for each worker, unless `--queue` says otherwise."""

HELD = 8
"""Bodies and answers of all requests together may take this many times the bytes of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request, and all of them together, may take.

    Attributes:
        workers: pictures that are worked on at the same time, each by a thread of its own.
        queue: pictures that may be worked on or wait for it.
        max_bytes: of a request's body.
        max_pixels: of a picture as it goes through the network: scaled, and padded to multiples
            of 32; also as it lies in its file.
        max_pictures: in one request.
        seconds: from the first byte of a request to its answer.

    Raises:
        ValueError: one of them is out of range, or they contradict each other.
    """

    workers: int = 1
    queue: int = AHEAD
    max_bytes: int = 20_000_000
    max_pixels: int = 26_000_000
    max_pictures: int = 16
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for name in ("workers", "queue", "max_bytes", "max_pixels", "max_pictures"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, wanted at least 1")
        if not self.seconds > 0:
            raise ValueError(f"seconds is {self.seconds}, wanted more than 0")
        if self.queue < max(self.workers, self.max_pictures):
            raise ValueError(
                f"queue is {self.queue}, wanted room for {self.workers} workers and for the "
                f"{self.max_pictures} pictures of one request"
            )

    @property
    def held_bytes(self) -> int:
        """Bytes of bodies and answers that all requests together may hold."""
        return HELD * self.max_bytes


@dataclass(slots=True, eq=False)
class Refusal(Exception):
    """A request, or one of its pictures, that is not served.

    Attributes:
        status: of HTTP.
        reason: what was given, what is wanted, what to do.
        headers: of the answer.
    """

    status: int
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.reason


def busy(reason: str) -> Refusal:
    """A refusal because of what others have asked for."""
    return Refusal(503, f"{reason}; try again in a second", {"Retry-After": "1"})


class Budget:
    """Bytes that all requests share. For the event loop's thread only.

    Attributes:
        limit: bytes that may be taken.
        taken: bytes that are taken now.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def take(self, count: int) -> None:
        """Takes bytes.

        Raises:
            Refusal: there are not so many left.
        """
        if self.taken + count > self.limit:
            raise busy("the pictures of other requests fill the memory set aside for them")
        self.taken += count

    def give(self, count: int) -> None:
        """Gives bytes back."""
        self.taken -= count


class Lease:
    """The bytes of one request, given back when it and all its work are over.

    A picture that a thread is at cannot be taken from it, so a request that ran out of time holds
    its bytes until that thread is done: `hold` and `drop` count who needs them.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._bytes = 0
        self._holders = 1

    def take(self, count: int) -> None:
        """Takes bytes more.

        Raises:
            Refusal: as `Budget.take`.
        """
        self._budget.take(count)
        self._bytes += count

    def hold(self) -> None:
        """One more needs the bytes."""
        self._holders += 1

    def drop(self) -> None:
        """One less; the last one gives them back."""
        self._holders -= 1
        if self._holders == 0:
            self._budget.give(self._bytes)


@dataclass(frozen=True, slots=True)
class Service:
    """What the server serves with.

    Attributes:
        detector: finds the faces; its score and size are what a request gets that names none.
        limits: for requests.
        blur_score: of `detector`, where faces are looked for to be covered.
        token: what clients have to send; empty for none.
    """

    detector: Detector
    limits: Limits
    blur_score: float
    token: str = ""
