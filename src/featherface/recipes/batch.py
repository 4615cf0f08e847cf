"""`featherface batch`: millions of pictures, from files anywhere, into a Parquet dataset."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from featherface.batch import pool
from featherface.batch.attempts import FOLDER as NOTES
from featherface.batch.part import Job, Outcome
from featherface.batch.places import Place, place_of
from featherface.batch.plan import finished
from featherface.runtime.detector import Detector
from featherface.runtime.progress import Progress

try:
    import fcntl
except ImportError:  # on Windows nobody stops a second run of the same command
    fcntl = None  # type: ignore[assignment]

FAILED = 1  # exit status: some parts could not be done
LOCK = "_lock"


def main(
    source: Annotated[str, Parameter(name="INPUT")],
    output: str,
    /,
    *,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    part: int = 1000,
    column: str = "",
    weights: str | None = None,
    score: float = 0.5,
    size: Annotated[Literal["original"] | int, Parameter(show_choices=False)] = "original",
    tiles: int | None = None,
) -> int:
    """Find the faces in millions of pictures: featherface batch INPUT OUTPUT.

    OUTPUT becomes a Parquet dataset with a row a picture: path, width, height, and faces or the
    error. It is written part by part, each whole or not at all. The same command goes on where it
    was stopped or killed, and never does a finished part again. INPUT and OUTPUT may be anywhere
    that pyarrow or fsspec opens, such as s3://bucket/folder.

    Args:
        source: A folder of pictures, of Parquet files with a column of bytes, or of WebDataset
            tars; one such file; or a .txt file with one path a line.
        output: A new folder, or one that a run was stopped in.
        engine: local is processes on this machine; ray is actors on a Ray cluster, the one that
            RAY_ADDRESS tells of.
        workers: Processes or actors, with one thread each; as many as there are processors if
            none is said.
        part: Pictures in a file of the output. A tar is one part, whatever it holds.
        column: The column of Parquet files that holds the pictures, if it cannot be told.
        weights: Name of weights that come with featherface, or an .onnx file of your own.
        score: Report faces that score more than this, 0 to 1.
        size: "original", or the pixels that the longer side of each picture is scaled to.
        tiles: Look at larger pictures in overlapping tiles of so many pixels.
    """
    for name, number in (("workers", workers), ("part", part)):
        if number is not None and number < 1:
            raise ValueError(f"{name} is {number}, wanted at least 1")
    detector = Detector(weights, score=score, size=size, tiles=tiles)
    target = place_of(output)
    with _alone(target):
        for folder in (target, target / NOTES):
            folder.sweep()
        job = Job.begin(source, output, detector, part=part, column=column)
        return _follow(job, finished(target), engine, workers)


def _follow(job: Job, done: set[int], engine: str, workers: int | None) -> int:
    """Does what is left to do, and gives the exit status."""
    parts = job.plan.parts
    todo = [number for number in range(parts) if number not in done]
    if done:
        print(f"featherface: {len(done)} of {parts} parts are done already", file=sys.stderr)
    if not todo:
        return 0
    bar = Progress(parts, unit="parts", done=len(done))
    pictures = faces = errors = failed = 0
    with closing(_outcomes(job, todo, engine, workers)) as outcomes:
        try:
            for count, outcome in enumerate(outcomes, len(done) + 1):
                pictures += outcome.pictures
                faces += outcome.faces
                errors += outcome.errors
                if outcome.failure:
                    failed += 1
                    bar.clear()
                    told = f"part {outcome.number} failed: {outcome.failure}"
                    print(f"featherface: {told}", file=sys.stderr)
                bar.show(count)
        except KeyboardInterrupt:
            print("\nfeatherface: stopped, the same command goes on from here", file=sys.stderr)
            raise
    bar.clear()
    print(f"{pictures:,} pictures, {faces:,} faces, {errors:,} pictures with an error")
    if failed:
        again = "the same command tries them again"
        print(f"featherface: {failed} of {parts} parts are not done, {again}", file=sys.stderr)
    return FAILED if failed else 0


def _outcomes(
    job: Job, todo: Sequence[int], engine: str, workers: int | None
) -> Generator[Outcome]:
    if engine == "local":
        count = workers or _processors()
        return pool.run(job, todo, workers=min(count, len(todo)))
    try:
        from featherface.batch import cluster  # here, since Ray is an extra of its own
    except ModuleNotFoundError as error:
        wanted = 'pip install "featherface[ray]"'
        raise ValueError(f"--engine ray needs {error.name}, please: {wanted}") from error

    most = cluster.start()
    return cluster.run(job, todo, workers=min(workers or most, len(todo)))


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _alone(output: Place) -> Iterator[None]:
    """Keeps a second run out of a local output."""
    if fcntl is None or not output.is_local:
        yield
        return
    Path(output.path).mkdir(parents=True, exist_ok=True)
    with Path(output.path, LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"{output.shown}: another run is writing to it") from None
        yield
