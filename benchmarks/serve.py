"""`featherface serve` under load, beside the bare detector on the same cores; and its memory.

    python benchmarks/serve.py

Starts a server on this machine, lets 1 to 64 clients ask it turn by turn with a detector in
threads, then watches its memory over many requests, and appends a row to results/serve.md.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cyclopts import App
from PIL import Image

import load
from featherface import Detector
from featherface.evaluation.tables import append_row
from machine import this_machine

ROOT = Path(__file__).resolve().parent.parent
SIDE = 640  # longer side of the pictures for speed
SIDES = range(160, 321, 20)  # and of those for memory, of which there are many
CLIENTS = (1, 2, 4, 8, 16, 32, 64)
PAUSE = 0.2  # seconds between two looks at the memory
MANY = 16  # clients while memory is watched

HEAD = f"""# The server under load

`featherface serve` with a worker a core, asked for the faces of a JPEG copy of `assets/collage.jpg`
(47 faces), 640 pixels wide, by `python benchmarks/serve.py`; the clients run on the same cores and
take some of their time. The bare detector is `Detector.detect` with the same bytes, in as many
threads as there are cores, all with one detector. Turn by turn, the median over rounds; in brackets
the median share of the bare detector's pictures within a round (for one client, who never has more
than one picture in the server, that of one thread), then the median and the 99th percentile of all
times from a request to its answer. Processor time a picture counts the server's process alone and
depends less on whatever else may be running. For memory, {MANY} clients ask for pictures of nine
sizes; told is the most that the server held in the first and in the last quarter of the requests.

"""

app = App(name="python benchmarks/serve.py", help_format="markdown")


class Turn(NamedTuple):
    """Pictures a second, and milliseconds of processor time a picture."""

    rate: float
    work: float


class Server(NamedTuple):
    """A server that runs."""

    process: int
    port: int


@contextmanager
def serving(workers: int, *options: str) -> Iterator[Server]:
    """Starts a server on a free port of this machine."""
    command = [sys.executable, "-m", "featherface", "serve", "--port", "0"]
    with subprocess.Popen(
        [*command, "--workers", str(workers), *options], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        url = json.loads(process.stderr.readline())["url"]
        reader = threading.Thread(target=lambda: [None for _ in process.stderr or ()])
        reader.start()  # a log that nobody reads would stop the server
        try:
            yield Server(process.pid, int(url.rpartition(":")[2]))
        finally:
            process.terminate()
            reader.join()


def picture(side: int) -> bytes:
    """A JPEG file of the collage, so many pixels wide."""
    with Image.open(ROOT / "assets" / "collage.jpg") as collage:
        height = round(side * collage.height / collage.width)
        stream = io.BytesIO()
        collage.resize((side, height), Image.Resampling.LANCZOS).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def bare(detector: Detector, content: bytes, *, threads: int, seconds: float) -> Turn:
    """The detector without a server."""
    counts = [0] * threads
    start = time.perf_counter()
    before = time.process_time()

    def detect(thread: int) -> None:
        while time.perf_counter() - start < seconds:
            detector.detect(content)
            counts[thread] += 1

    pool = [threading.Thread(target=detect, args=(thread,)) for thread in range(threads)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    took = time.perf_counter() - start
    work = time.process_time() - before
    return Turn(sum(counts) / took, 1000 * work / sum(counts))


def worked(process: int) -> float:
    """Seconds of processor time of a process."""
    numbers = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def held(process: int) -> int:
    """Bytes in memory of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def memory(server: Server, *, requests: int) -> list[int]:
    """Bytes that the server held, at equal distances in time."""
    seen: list[int] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(PAUSE):
            seen.append(held(server.process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        load.run(server.port, [picture(side) for side in SIDES], clients=MANY, requests=requests)
    finally:
        is_over.set()
        watcher.join()
    return seen


@app.default
def main(
    *,
    rounds: int = 5,
    seconds: float = 5,
    requests: int = 20_000,
    results: Path = ROOT / "benchmarks" / "results" / "serve.md",
) -> int:
    """Time the server beside the bare detector, and watch its memory.

    Appends a row to the table of results. Takes about seven minutes; Linux only.

    Args:
        rounds: Turns that each number of clients has.
        seconds: Of a turn.
        requests: For memory.
        results: The table.
    """
    machine = this_machine()
    content = picture(SIDE)
    detector = Detector()
    cores = machine.cores
    alone: dict[int, list[Turn]] = {threads: [] for threads in sorted({1, cores})}
    rates: dict[int, list[float]] = {clients: [] for clients in CLIENTS}
    times: dict[int, list[float]] = {clients: [] for clients in CLIENTS}
    work: dict[int, list[float]] = {clients: [] for clients in CLIENTS}
    with serving(cores) as server:
        load.run(server.port, [content], clients=cores, seconds=seconds)
        for _ in range(rounds):
            for threads, turns in alone.items():
                turns.append(bare(detector, content, threads=threads, seconds=seconds))
            for clients, found in rates.items():
                before = worked(server.process)
                turn = load.run(server.port, [content], clients=clients, seconds=seconds)
                spent = worked(server.process) - before
                found.append(turn.rate)
                times[clients] += turn.times
                work[clients].append(1000 * spent / len(turn.times))
        seen = memory(server, requests=requests)
    quarter = len(seen) // 4
    row = {"date": machine.date, "rounds x seconds": f"{rounds} x {seconds:g}"}
    for threads, turns in alone.items():
        name = f"bare, {threads} thread{'s' * (threads > 1)}, a second"
        row[name] = f"{statistics.median(turn.rate for turn in turns):.1f}"
    for clients, found in rates.items():
        reference = alone[1 if clients == 1 else cores]
        pairs = zip(found, reference, strict=True)
        share = statistics.median(rate / turn.rate for rate, turn in pairs)
        middle, last = 1000 * np.percentile(times[clients], (50, 99))
        row[f"{clients} client{'s' * (clients > 1)}"] = (
            f"{statistics.median(found):.1f} ({share:.0%}), {middle:.0f} and {last:.0f} ms"
        )
    most = CLIENTS[-1]
    row["processor time a picture, ms"] = (
        f"bare {min(turn.work for turn in alone[cores]):.1f}, server {min(work[most]):.1f}"
    )
    row["requests for memory"] = f"{requests:,}"
    row["first quarter, MB"] = f"{max(seen[:quarter]) / 1e6:.0f}"
    row["last quarter, MB"] = f"{max(seen[-quarter:]) / 1e6:.0f}"
    row["versions"] = (
        f"featherface {machine.featherface}, onnxruntime {machine.onnxruntime}, "
        f"fastapi {version('fastapi')}, uvicorn {version('uvicorn')}, Python {machine.python}"
    )
    row["processor"] = f"{machine.processor}, {cores} cores, load {machine.load:g}"
    append_row(results, row, head=HEAD)
    for name, value in row.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
