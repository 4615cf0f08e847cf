"""The engine for one machine: processes that do parts, replaced when they die.

Not `concurrent.futures`, whose pool is lost with the first of its processes.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Generator, Iterable
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, cast

import pyarrow as pa

from featherface.batch.part import Job, Outcome

PATIENCE = 3  # processes that may die one after the other before any is ready for work

READY = "ready"


class _Worker:
    """A process that does parts.

    Attributes:
        number: of the part it is at, or that is meant for it when it is ready.
        is_ready: it has its detector.
    """

    number: int
    is_ready: bool

    def __init__(self, job: Job, number: int) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(theirs, job), daemon=True)
        self.process.start()
        theirs.close()  # or its death would not end the pipe
        self.number = number
        self.is_ready = False

    def hear(self) -> object:
        """Its next message; None when it has died."""
        try:
            message: object = self.pipe.recv()
        except (EOFError, ConnectionError):
            return None
        return message

    def send(self, number: int) -> None:
        """Gives it a part. If it has just died, that is heard as the next thing."""
        self.number = number
        with suppress(ConnectionError):
            self.pipe.send(number)

    def stop(self) -> None:
        """Ends it, wherever it is."""
        self.pipe.close()
        self.process.terminate()
        self.process.join()


def run(job: Job, numbers: Iterable[int], *, workers: int) -> Generator[Outcome]:
    """Does parts in so many processes, and tells of each when it is done.

    A part whose process died is done again by a new one. No more parts are under way than there
    are processes.

    Raises:
        ChildProcessError: processes die before they can begin.
        Exception: what a process raised before it could begin.
    """
    todo = iter(numbers)
    crew: dict[Connection, _Worker] = {}
    stillborn = 0

    def hire(number: int) -> None:
        worker = _Worker(job, number)
        crew[worker.pipe] = worker

    try:
        for _, number in zip(range(workers), todo, strict=False):
            hire(number)
        while crew:
            for pipe in wait(list(crew)):
                worker = crew[cast(Connection, pipe)]
                message = worker.hear()
                if message is None:
                    stillborn = 0 if worker.is_ready else stillborn + 1
                    if stillborn >= PATIENCE:
                        raise ChildProcessError(
                            f"{PATIENCE} processes died before they could begin, most often for "
                            "want of memory; try fewer --workers"
                        )
                    worker.stop()
                    del crew[worker.pipe]
                    hire(worker.number)
                elif isinstance(message, Exception):
                    raise message
                elif message == READY:
                    worker.is_ready = True
                    stillborn = 0
                    worker.send(worker.number)
                else:
                    following = next(todo, None)
                    if following is None:
                        worker.stop()
                        del crew[worker.pipe]
                    else:
                        worker.send(following)
                    yield cast(Outcome, message)
    finally:
        for worker in crew.values():
            worker.stop()


def _serve(pipe: Any, job: Job) -> None:
    """What a process does all its life."""
    warnings.filterwarnings("ignore", module="PIL")  # as the command line does
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pa.set_cpu_count(1)
    try:
        job.check()
    except Exception as error:
        pipe.send(error)
        return
    pipe.send(READY)
    while True:
        try:
            number = pipe.recv()
        except EOFError:
            return
        pipe.send(job.do(number))


def _end_with_parent() -> None:
    """A pool whose process was killed would wait for work for ever."""
    if parent := parent_process():
        parent.join()
        os._exit(1)
