"""`featherface detect`: pictures in; lines, files of the usual formats, drawings and crops out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from cyclopts import Parameter

from featherface import __version__
from featherface.files import replacing, write_atomically
from featherface.runtime.detector import Detector
from featherface.runtime.folder import expand, find_pictures
from featherface.runtime.formats import STREAMS
from featherface.runtime.journal import Journal
from featherface.runtime.outputs import Outputs
from featherface.runtime.progress import Progress, one_line
from featherface.runtime.record import Record
from featherface.runtime.work import Task, Worker, work

FAILED = 1  # exit status: some pictures could not be read


def main(
    *paths: Annotated[Path, Parameter(required=True)],
    weights: str | None = None,
    score: float = 0.5,
    size: Annotated[Literal["original"] | int, Parameter(show_choices=False)] = "original",
    tiles: int | None = None,
    format: Literal["json", "jsonl", "csv", "coco", "yolo", "txt"] | None = None,
    output: Path | None = None,
    draw: Path | None = None,
    crop: Path | None = None,
    margin: float | None = None,
    threads: int = 1,
    workers: int = 1,
) -> int:
    """Find the faces in pictures.

    Args:
        paths: Pictures; folders, which are searched for pictures with all their sub-folders;
            patterns in quotation marks; "-" for a list of names on stdin, one a line or
            separated by zero bytes.
        weights: Name of weights that come with featherface, or an .onnx file of your own.
        score: Report faces that score more than this, 0 to 1.
        size: "original", or the pixels that the longer side of each picture is scaled to. The
            original size finds the smallest faces, and takes longest on large pictures.
        tiles: Look at larger pictures in overlapping tiles of so many pixels (640 is a good
            choice), and shrunk for large faces: the network's memory does not grow with them.
        format: json, jsonl, csv and coco are one file; yolo (labels) and txt (WIDER FACE results)
            are a file a picture.
        output: The file, the folder, or "-" for stdout. A name that ends in .json, .jsonl or .csv
            needs no --format.
        draw: Put copies of the pictures with boxes and landmarks into this folder.
        crop: Put the faces into this folder, each turned and scaled to 112 x 112 pixels as
            networks for recognition want them.
        margin: Put them there as they lie, with this share of their box's sides around it.
        threads: Processor threads that share the work on a picture.
        workers: Pictures looked at side by side; where there are many, better than threads that
            share one.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, wanted at least 1")
    if margin is not None and (crop is None or not margin >= 0):
        raise ValueError(f"margin is {margin}, wanted 0 or more, and --crop FOLDER with it")
    outputs = Outputs.of(format, output, draw=draw, crop=crop)
    detector = Detector(weights, score=score, size=size, tiles=tiles, threads=threads)
    given = expand(paths, listed=sys.stdin.buffer)
    pictures = find_pictures(given, without=[folder for folder in (draw, crop) if folder])
    tasks = outputs.tasks(pictures, given)
    outputs.prepare()
    run = Run(tasks, Worker(detector, margin, outputs.format), workers, outputs)
    if outputs.journal is None:
        return run.status()
    if not outputs.journal.exists():
        outputs.check_apart(given)
    settings = {
        "featherface": __version__,
        "weights": detector.sha256,
        "options": [score, size, tiles, outputs.format, margin],
        "folders": [str(path and path.absolute()) for path in (Path(), output, draw, crop)],
    }
    with closing(Journal(outputs.journal, settings)) as journal:
        try:
            status = run.status(journal)
        except KeyboardInterrupt:
            print("\nfeatherface: stopped, the same command goes on from here", file=sys.stderr)
            raise
        journal.finish()
    return status


class Step(NamedTuple):
    """A picture that is done; its time is None if an earlier run has done it."""

    record: Record
    seconds: float | None


@dataclass(slots=True)
class Run:
    """One call of the command.

    Attributes:
        tasks: what is to be done, in the order of the output.
        worker: does it.
        workers: threads, each at a picture of its own.
        outputs: where all goes.
        faces: found so far.
        broken: pictures that could not be read.
    """

    tasks: Sequence[Task]
    worker: Worker
    workers: int
    outputs: Outputs
    faces: int = 0
    broken: int = 0
    _bar: Progress = field(init=False)

    def status(self, journal: Journal | None = None) -> int:
        """Does everything and writes it where it belongs; gives the exit status.

        Raises:
            OSError: something cannot be written; what is done so far stays in the journal.
        """
        todo = [task for task in self.tasks if not (journal and journal.is_done(task.picture))]
        before = len(self.tasks) - len(todo)
        if journal and journal.is_resumed:
            state = f"{before} of {len(self.tasks)} pictures are done"
            print(f"featherface: going on with a run that was stopped, {state}", file=sys.stderr)
            if journal.killed:
                self.outputs.sweep(todo[0] if todo else None, journal.killed)
        self._bar = Progress(len(self.tasks), unit="pictures", done=before)
        steps = self._steps(todo, journal)
        form, stream = self.outputs.format, self.outputs.stream
        if form in STREAMS:
            texts = STREAMS[form](step.record for step in steps)
            if stream:
                write_stream(texts, stream)
            else:
                self._print(texts)
        elif form:
            for _ in steps:  # the files are the output
                pass
        else:
            self._print(map(line, steps))
        self._bar.finish(f"{len(self.tasks)} pictures, {self.faces} faces")
        return FAILED if self.broken else 0

    def _steps(self, todo: Sequence[Task], journal: Journal | None) -> Iterator[Step]:
        """All pictures in their order, those that are done already as they stand in the journal."""
        outcomes = work(todo, self.worker, threads=min(self.workers, max(1, len(todo))))
        waiting = {task.picture for task in todo}
        for number, task in enumerate(self.tasks):
            self._bar.show(number)
            if journal and task.picture not in waiting:
                step = Step(journal.read(task.picture), None)
            else:
                outcome = next(outcomes)
                for path, content in outcome.files:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_atomically(path, content)
                if journal:
                    journal.add(outcome.record)
                step = Step(outcome.record, outcome.seconds)
            self.faces += len(step.record.faces)
            if step.record.error:
                self.broken += 1
                self._bar.clear()
                print(f"featherface: {one_line(step.record.error)}", file=sys.stderr)
            yield step
        self._bar.clear()

    def _print(self, texts: Iterable[str]) -> None:
        for text in texts:
            if text:
                self._bar.clear()
                print(text, end="", flush=True)


def write_stream(texts: Iterable[str], path: Path) -> None:
    """Writes a file that is there when it is complete."""
    with (
        replacing(path) as draft,
        draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        file.writelines(texts)


def line(step: Step) -> str:
    """What people are told of a picture; nothing if it could not be read."""
    if step.record.error:
        return ""
    count = len(step.record.faces)
    time = "done before" if step.seconds is None else f"{1000 * step.seconds:.0f} ms"
    return f"{one_line(str(step.record.path))}: {count} face{'s' * (count != 1)}, {time}\n"
