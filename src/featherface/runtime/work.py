"""Many pictures through one detector, or through one in each of several processes.

Results come in the order of the pictures, and only a handful is ever under way, so that memory
does not grow with their number.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import NamedTuple

from featherface.image import SUFFIXES, ImageError, load
from featherface.runtime.crop import crop
from featherface.runtime.detector import Detector
from featherface.runtime.draw import draw, encode
from featherface.runtime.formats import FILES
from featherface.runtime.record import Record

AHEAD = 3
"""Pictures under way for each process, the one it is at included."""


class Task(NamedTuple):
    """A picture, and what is to be made of it.

    Attributes:
        picture: its path.
        drawing: where a copy with boxes goes, if it is wanted.
        crops: the faces go beside this path, if they are wanted, under its name with _1, _2, ...
        label: where a text with the faces goes, if it is wanted.
    """

    picture: Path
    drawing: Path | None = None
    crops: Path | None = None
    label: Path | None = None


class Outcome(NamedTuple):
    """What came out for a picture.

    Attributes:
        record: what is told about it.
        files: what is to be written, and where.
        seconds: that finding took, reading included.
    """

    record: Record
    files: list[tuple[Path, bytes]]
    seconds: float


@dataclass(frozen=True, slots=True)
class Worker:
    """Does tasks; can be sent to another process.

    Attributes:
        detector: finds the faces.
        margin: of crops, as for `Detections.crop`.
        label: the format of texts, a key of `formats.FILES`.
    """

    detector: Detector
    margin: float | None = None
    label: str = ""

    def __call__(self, task: Task) -> Outcome:
        """Nothing is written here: who keeps the journal writes, in the order of the journal."""
        start = time.perf_counter()
        try:
            if task.picture.is_dir():
                suffixes = ", ".join(SUFFIXES)
                raise ImageError(f"{task.picture}: no pictures in this folder ({suffixes})")
            fitted = self.detector.fit(task.picture)
            record = Record(task.picture, fitted.fit.size, self.detector.find([fitted])[0])
            seconds = time.perf_counter() - start
            files = list(self._make(task, record))
        except (ImageError, MemoryError) as error:
            reason = str(error) if isinstance(error, ImageError) else f"{task.picture}: {error}"
            record = Record(task.picture, error=reason)
            return Outcome(record, [], time.perf_counter() - start)
        return Outcome(record, files, seconds)

    def _make(self, task: Task, record: Record) -> Iterator[tuple[Path, bytes]]:
        """The files that are wanted of a picture."""
        if task.label:
            text = FILES[self.label](record)
            yield task.label, text.encode("utf-8", "backslashreplace")
        if not (task.drawing or task.crops):
            return
        pixels = load(task.picture)
        if task.drawing:
            yield task.drawing, encode(draw(pixels, record.faces), task.drawing.suffix)
        if task.crops:
            for number, face in enumerate(crop(pixels, record.faces, margin=self.margin), 1):
                path = task.crops.with_name(f"{task.crops.name}_{number}.png")
                yield path, encode(face, path.suffix)


def work(tasks: Iterable[Task], worker: Worker, *, processes: int) -> Iterator[Outcome]:
    """Does all tasks, in their order.

    Args:
        tasks: what to do.
        worker: does it, a copy of it in each process.
        processes: 1 does everything in this one.

    Raises:
        ChildProcessError: one of the processes has died.
    """
    if processes == 1:
        yield from map(worker, tasks)
        return
    under_way: deque[Future[Outcome]] = deque()
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(worker,)
    )
    try:
        for task in tasks:
            under_way.append(pool.submit(_do, task))
            if len(under_way) >= AHEAD * processes:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a worker process was killed, most often for want of memory; try fewer --workers, "
            "or --tiles or --size for large pictures"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_worker: Worker  # of a process of the pool, which has no other place to keep it


def _begin(worker: Worker) -> None:
    """The first thing in a process of the pool."""
    global _worker
    _worker = worker
    warnings.filterwarnings("ignore", module="PIL")  # as the command line does
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """A pool whose process was killed would wait for work for ever."""
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _do(task: Task) -> Outcome:
    return _worker(task)
