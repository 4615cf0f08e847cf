"""A bounded queue in front of a few threads, so that the event loop never waits for a picture.

Reading and looking at a picture is done outside Python's lock nearly throughout, so threads share
the cores as processes would, and one copy of the weights.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread, get_native_id
from typing import Generic, TypeVar

from featherface.server.limits import Lease, Limits, busy

AHEAD = 2
"""Pictures handed to the threads for each of them: none waits for the event loop in between."""

NICE = 4
"""How much the threads give way to the event loop, which has little to do and must do it soon."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Item(Generic[T]):
    """A picture that waits or is worked on."""

    job: Callable[[], T]
    lease: Lease
    answer: asyncio.Future[T]


class Workers:
    """Threads that work on pictures. To be used by one event loop, all but the jobs in its thread.

    Attributes:
        under_way: pictures that wait or are worked on. One that nobody waits for any longer
            counts until its thread is done with it.
    """

    def __init__(self, limits: Limits) -> None:
        self.under_way = 0
        self._limit = limits.queue
        self._free = AHEAD * limits.workers
        self._waiting: deque[_Item[object]] = deque()
        self._handed: SimpleQueue[_Item[object] | None] = SimpleQueue()  # None ends a thread
        self._threads = [
            Thread(target=self._work, name=f"picture {number}", daemon=True)
            for number in range(limits.workers)
        ]
        for thread in self._threads:
            thread.start()

    def check(self, count: int) -> None:
        """Makes sure that there is room for so many pictures.

        Raises:
            Refusal: the queue is too full.
        """
        if self.under_way + count > self._limit:
            raise busy(f"{self.under_way} pictures are waiting already, {self._limit} may")

    def do(self, jobs: Sequence[Callable[[], T]], lease: Lease) -> asyncio.Future[list[T]]:
        """Does all jobs, as soon as there are threads for them, and gives what they return.

        When the future is cancelled, jobs that have not begun never will.

        Raises:
            Refusal: as `check`.
        """
        self.check(len(jobs))
        return asyncio.gather(*[self._add(job, lease) for job in jobs])

    async def close(self) -> None:
        """Waits for the threads to end."""
        for _ in self._threads:
            self._handed.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _add(self, job: Callable[[], T], lease: Lease) -> asyncio.Future[T]:
        item = _Item(job, lease, asyncio.get_running_loop().create_future())
        lease.hold()
        self.under_way += 1
        self._waiting.append(item)
        item.answer.add_done_callback(lambda _: self._forget(item))
        self._start()
        return item.answer

    def _start(self) -> None:
        """Hands over as much as the threads may have."""
        while self._free and self._waiting:
            self._free -= 1
            self._handed.put(self._waiting.popleft())

    def _forget(self, item: _Item[object]) -> None:
        """Lets go of the bytes of a picture that was cancelled while it waited."""
        if item.answer.cancelled() and item in self._waiting:
            self._waiting.remove(item)
            self._leave(item)

    def _end(self, item: _Item[object], result: object, error: Exception | None) -> None:
        self._free += 1
        self._leave(item)  # before anybody hears of it and comes with the next one
        if error and not item.answer.done():
            item.answer.set_exception(error)
        elif not item.answer.done():
            item.answer.set_result(result)
        self._start()

    def _leave(self, item: _Item[object]) -> None:
        self.under_way -= 1
        item.lease.drop()

    def _work(self) -> None:
        """What each thread does; a picture that nobody waits for any longer is left out."""
        _give_way()
        while item := self._handed.get():
            result: object = None
            failure: Exception | None = None
            try:
                if not item.answer.cancelled():
                    result = item.job()
            except Exception as error:  # belongs to whoever waits for the answer
                failure = error
            item.answer.get_loop().call_soon_threadsafe(self._end, item, result, failure)
            del item, result, failure  # nothing of a picture stays until the next one comes


def _give_way() -> None:
    """Lets the event loop's thread go first; elsewhere than on Linux all threads are alike."""
    if sys.platform == "linux":
        own = get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + NICE)
