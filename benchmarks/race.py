"""Times all detectors turn by turn, so that whatever slows the machine slows them alike.

Every detector has its own process for each number of threads: no memory, thread pool or cache
allocator is shared, and a process that is not asked does nothing. One-thread processes are bound
to one core, two-thread ones to two. In a round each detector runs a few times in a row, the first
time for nothing; the round counts with the median. Ratios are taken within a round, where the
machine was in one state, and the median of the ratios is told.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Literal, NamedTuple

import numpy as np

from entrants import OPEN, Entrant
from featherface.image import fit
from featherface.runtime.foreign import planar
from featherface.runtime.session import open_graph
from featherface.types import Pixels, Size

Stage = Literal["forward", "end", "fit"]
STAGES: tuple[Stage, ...] = ("forward", "end", "fit")
"""The network alone; decoded picture to boxes in its pixels; and of that, resizing and padding."""

SCORE = 0.5
"""Faces above this are looked for when times are taken."""


class Event(NamedTuple):
    """What is timed, apart from who."""

    size: Size
    threads: int
    stage: Stage


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of one event.

    Attributes:
        rounds: (detectors, rounds).
    """

    rounds: np.ndarray

    def median(self) -> list[float]:
        """Of each detector."""
        return [float(value) for value in np.median(self.rounds, axis=1)]

    def best(self) -> list[float]:
        """Of each detector."""
        return [float(value) for value in self.rounds.min(axis=1)]

    def ratio(self, reference: int) -> list[float]:
        """Of each detector to one of them: the median of the ratios within a round."""
        return [float(v) for v in np.median(self.rounds / self.rounds[reference], axis=1)]


def race(
    entrants: Sequence[Entrant],
    pictures: dict[Size, Pixels],
    *,
    threads: Sequence[int],
    rounds: int,
    repeats: int,
    tell: Callable[[int], None],
) -> dict[Event, Times]:
    """Times every detector in every event.

    Args:
        entrants: the detectors.
        pictures: for every input size a decoded picture that is resized to it, end to end.
        threads: numbers of threads.
        rounds: how often everybody has a turn.
        repeats: timed runs in one turn.
        tell: is called before each round with its number.
    """
    events = [Event(size, n, stage) for size in pictures for n in threads for stage in STAGES]
    found = {event: np.zeros((len(entrants), rounds)) for event in events}
    with _processes(entrants, pictures, threads) as ask:
        for turn in range(rounds):
            tell(turn)
            for event in events:
                for place in range(len(entrants)):
                    who = (place + turn) % len(entrants)  # nobody always runs after the same one
                    found[event][who, turn] = ask(who, event, repeats)
    return {event: Times(values) for event, values in found.items()}


@contextmanager
def _processes(
    entrants: Sequence[Entrant], pictures: dict[Size, Pixels], threads: Sequence[int]
) -> Iterator[Callable[[int, Event, int], float]]:
    """Starts everybody; gives a function that lets one of them run and returns its time."""
    context = get_context("spawn")  # a fork would carry this process's memory along
    lines: dict[tuple[int, int], Connection] = {}
    workers = []
    try:
        for who, entrant in enumerate(entrants):
            for count in threads:
                line, end = context.Pipe()
                worker = context.Process(target=_work, args=(end, entrant, pictures, count))
                worker.start()
                end.close()  # so that a worker that dies is noticed
                workers.append(worker)
                lines[who, count] = line

        def ask(who: int, event: Event, repeats: int) -> float:
            line = lines[who, event.threads]
            try:
                line.send((event, repeats))
                return float(line.recv())
            except (EOFError, OSError) as error:
                raise RuntimeError(
                    f"{entrants[who].name} failed; its error stands above"
                ) from error

        yield ask
    finally:
        for line in lines.values():
            line.close()
        for worker in workers:
            worker.join()


def _work(line: Connection, entrant: Entrant, pictures: dict[Size, Pixels], threads: int) -> None:
    """One detector's process: runs when it is asked to, until the line is cut."""
    bind(threads)  # before any thread is started, since threads inherit it
    finder = OPEN[entrant.family](entrant.graph, threads=threads)
    network = open_graph(entrant.forward.read_bytes(), threads=threads)
    (entry,) = network.get_inputs()
    feeds = {}
    for size, picture in pictures.items():
        pixels = fit(picture, long_side=max(size)).pixels
        is_raw = entry.type == "tensor(uint8)"
        value = pixels[None] if is_raw else planar(pixels, order=(0, 1, 2))
        feeds[size] = {entry.name: value}
    stages: dict[Stage, Callable[[Size], object]] = {
        "forward": lambda size: network.run(None, feeds[size]),
        "end": lambda size: finder.find([fit(pictures[size], long_side=max(size))], score=SCORE),
        "fit": lambda size: fit(pictures[size], long_side=max(size)),
    }
    try:
        while True:
            event, repeats = line.recv()
            line.send(_median_time(stages[event.stage], event.size, repeats))
    except EOFError:
        return


def _median_time(run: Callable[[Size], object], size: Size, repeats: int) -> float:
    """Milliseconds."""
    run(size)  # the caches are somebody else's
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(size)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1000


def bind(threads: int) -> None:
    """Keeps this process on as many cores as it has threads, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
