"""Many pictures through one detector, by one thread or several.

Decoding, resizing and the network leave Python to others while they work, so threads share the
cores as well as processes do, without a start and a copy of the network for each.

Results come in the order of the pictures, and only a handful is ever under way, so that memory
does not grow with their number.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from featherface.image import SUFFIXES, ImageError, load
from featherface.runtime.crop import crop
from featherface.runtime.detector import Detector
from featherface.runtime.draw import draw, encode
from featherface.runtime.formats import FILES
from featherface.runtime.record import Record

AHEAD = 3
"""Pictures under way for each thread, the one it is at included."""


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
    """Does tasks, for several threads if they like.

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


def work(tasks: Iterable[Task], worker: Worker, *, threads: int) -> Iterator[Outcome]:
    """Does all tasks, in their order.

    Args:
        tasks: what to do.
        worker: does it.
        threads: 1 does everything in this one.
    """
    if threads == 1:
        yield from map(worker, tasks)
        return
    under_way: deque[Future[Outcome]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for task in tasks:
            under_way.append(pool.submit(worker, task))
            if len(under_way) >= AHEAD * threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
