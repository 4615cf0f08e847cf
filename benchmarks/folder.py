"""A folder of pictures through `featherface detect`: two workers against one, and memory."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cyclopts import App
from PIL import Image

from featherface.evaluation.tables import append_row
from machine import this_machine

ROOT = Path(__file__).resolve().parent.parent
SIDE = 640  # longer side of the pictures for speed
SMALL = 320  # and of those for memory, of which there are many
PAUSE = 0.2  # seconds between two looks at the memory

HEAD = """# A folder of pictures

`featherface detect FOLDER --output faces.jsonl --workers N`, from the start of the process to its
end; by `python benchmarks/folder.py`. The pictures are JPEG copies of `assets/collage.jpg` (47
faces), 640 pixels wide for speed: medians over rounds in which both numbers of workers take turns,
and the best of them, which tells more where other programs share the machine. The processor time a
picture shows what a second worker adds (its start, the messages) whatever else may be running. For
memory the pictures are 320 pixels wide, and there are two workers; told is the most that all
processes together held in the first and in the last quarter of the time.

"""

app = App(name="python benchmarks/folder.py", help_format="markdown")


class Course(NamedTuple):
    """What a run took.

    Attributes:
        seconds: from start to end.
        work: seconds of all processors.
        memory: bytes that all its processes held, at equal distances in time.
    """

    seconds: float
    work: float
    memory: list[int]


def fill(folder: Path, count: int, side: int) -> None:
    """Puts so many pictures there, which share one file's content."""
    folder.mkdir()
    first = folder / "0.jpg"
    with Image.open(ROOT / "assets" / "collage.jpg") as collage:
        height = round(side * collage.height / collage.width)
        collage.resize((side, height), Image.Resampling.LANCZOS).save(first, quality=92)
    for number in range(1, count):
        os.link(first, folder / f"{number}.jpg")


def detect(folder: Path, workers: int) -> Course:
    """Runs the command."""
    output = folder.with_suffix(".jsonl")
    command = [sys.executable, "-m", "featherface", "detect", str(folder)]
    start = time.perf_counter()
    before = worked()
    memory = []
    with subprocess.Popen([*command, "--output", output, "--workers", str(workers)]) as process:
        while process.poll() is None:
            memory.append(held(process.pid))
            time.sleep(PAUSE)
    seconds = time.perf_counter() - start
    lines = output.read_text().count("\n")
    if process.returncode or lines != len(list(folder.iterdir())):
        raise RuntimeError(f"status {process.returncode}, {lines} lines")
    return Course(seconds, worked() - before, memory)


def worked() -> float:
    """Seconds of all processors, of processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def held(parent: int) -> int:
    """Bytes in memory of a process and of its children."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            numbers = (folder / "stat").read_text().rpartition(")")[2].split()
            if parent in (int(folder.name), int(numbers[1])):
                total += int((folder / "statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
    return total * os.sysconf("SC_PAGESIZE")


@app.default
def main(
    *,
    pictures: int = 1200,
    rounds: int = 2,
    many: int = 10_000,
    results: Path = ROOT / "benchmarks" / "results" / "folder.md",
) -> int:
    """Time two workers against one, and watch the memory over many pictures.

    Appends a row to the table of results. Takes about two minutes; Linux only.

    Args:
        pictures: For speed.
        rounds: For speed.
        many: Pictures for memory.
        results: The table.
    """
    machine = this_machine()
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name, "speed"), pictures, SIDE)
        fill(Path(name, "memory"), many, SMALL)
        rates: dict[int, list[float]] = {1: [], 2: []}
        work: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(rounds):
            for workers, found in rates.items():
                course = detect(Path(name, "speed"), workers)
                found.append(pictures / course.seconds)
                work[workers].append(1000 * course.work / pictures)
        memory = detect(Path(name, "memory"), 2).memory
    quarter = len(memory) // 4
    first, last = max(memory[:quarter]), max(memory[-quarter:])

    def ratio(choose: Callable[[list[float]], float]) -> float:
        return choose(rates[2]) / choose(rates[1])

    row = {
        "date": machine.date,
        "pictures": str(pictures),
        "1 worker, a second": f"{statistics.median(rates[1]):.1f} (best {max(rates[1]):.1f})",
        "2 workers, a second": f"{statistics.median(rates[2]):.1f} (best {max(rates[2]):.1f})",
        "ratio": f"{ratio(statistics.median):.2f} (best {ratio(max):.2f})",
        "processor time a picture, ms": f"{min(work[1]):.1f} and {min(work[2]):.1f}",
        "pictures for memory": f"{many:,}",
        "first quarter, MB": f"{first / 1e6:.0f}",
        "last quarter, MB": f"{last / 1e6:.0f}",
        "versions": f"featherface {machine.featherface}, onnxruntime {machine.onnxruntime}, "
        f"Python {machine.python}",
        "processor": f"{machine.processor}, {machine.cores} cores, load {machine.load:g}",
    }
    append_row(results, row, head=HEAD)
    for name, value in row.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
