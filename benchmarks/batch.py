"""Batches by both engines, turn by turn: the pool of processes, and Ray on two nodes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cyclopts import App
from PIL import Image

from batch_page import PAGE, ROWS, Measured, publish
from featherface import Detector
from featherface.batch import pool
from featherface.batch.part import Job
from featherface.batch.plan import part_name
from machine import this_machine

ROOT = Path(__file__).resolve().parent.parent
SIDE = 640  # of the pictures for speed, which are about so wide
SMALL = 320  # and of those for memory, of which there are many
DIFFERENT = 100  # pictures; the others are links to them
PART = 50  # pictures a part: of 1000, as is usual, there would be too few
PAUSE = 0.2  # seconds between two looks at the memory
EMPTY = 300  # finished parts that go through Ray

app = App(name="python benchmarks/batch.py", help_format="markdown")


class Course(NamedTuple):
    """A run.

    Attributes:
        rate: pictures a second, from the moment the first part is begun until a worker has no
            more to do: a long run has no end to speak of.
        start: seconds from the start of the process until the first part is begun.
        first: most bytes that all its processes held in the first quarter of that time.
        last: and in the last.
    """

    rate: float
    start: float
    first: int
    last: int


def fill(folder: Path, count: int, side: int) -> None:
    """Puts so many JPEG files there: pieces of the collage, each a little another one."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    with Image.open(ROOT / "assets" / "collage.jpg") as collage:
        for number in range(min(count, DIFFERENT)):
            left, top = rng.uniform(0, 0.1, 2) * collage.size
            box = (left, top, left + 0.9 * collage.width, top + 0.9 * collage.height)
            size = (side, round(side * collage.height / collage.width))
            piece = collage.resize(size, Image.Resampling.LANCZOS, box=box)
            piece.save(folder / f"{number:06}.jpg", quality=90)
    for number in range(DIFFERENT, count):
        os.link(folder / f"{number % DIFFERENT:06}.jpg", folder / f"{number:06}.jpg")


@app.command(show=False)
def one(source: str, output: str, engine: str, workers: int, part: int) -> None:
    """A run in this process; prints its pictures, and from when to when they were done."""
    job = Job.begin(source, output, Detector(), part=part)
    numbers = range(job.plan.parts)
    if engine == "ray":
        from featherface.batch import cluster

        cluster.start()
        outcomes = cluster.run(job, numbers, workers=workers)
    else:
        outcomes = pool.run(job, numbers, workers=workers)
    done = [(time.time(), outcome) for outcome in outcomes]
    begun = min(when - outcome.seconds for when, outcome in done)
    idle = sorted(when for when, _ in done)[-workers]
    pictures = sum(
        outcome.pictures * min(1.0, max(0.0, 1 - (when - idle) / (outcome.seconds or 1)))
        for when, outcome in done
    )
    print(json.dumps({"begun": begun, "idle": idle, "pictures": pictures}))


def run(source: Path, engine: str, workers: int, *, part: int = PART) -> Course:
    """A run in a process of its own."""
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, __file__, "one", str(source), output, engine]
        start = time.time()
        held: list[tuple[float, int]] = []
        with subprocess.Popen(
            [*command, str(workers), str(part)], stdout=subprocess.PIPE, text=True
        ) as process:
            while process.poll() is None:
                held.append((time.time(), memory(os.getpid())))
                time.sleep(PAUSE)
            told = process.stdout.read() if process.stdout else ""
    facts = json.loads(told.splitlines()[-1])
    seconds = facts["idle"] - facts["begun"]
    kept = [size for when, size in held if facts["begun"] <= when <= facts["idle"]]
    quarter = max(1, len(kept) // 4)
    return Course(
        facts["pictures"] / seconds,
        facts["begun"] - start,
        max(kept[:quarter], default=0),
        max(kept[-quarter:], default=0),
    )


def memory(top: int) -> int:
    """Bytes in memory of all the processes that a process has started, and those have."""
    parents, sizes = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            number = int(folder.name)
            parents[number] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            sizes[number] = int((folder / "statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            parents.pop(int(folder.name), None)
    family = {top}
    while more := {each for each, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(sizes[each] for each in family - {top}) * os.sysconf("SC_PAGESIZE")


@contextmanager
def two_nodes() -> Iterator[None]:
    """A Ray cluster of two nodes on this machine, with a processor each."""
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    node = {"num_cpus": 1, "object_store_memory": 100 * 1024 * 1024}
    # Ray's actors have niceness 15 otherwise, and would be last wherever others work too.
    head = {**node, "include_dashboard": False, "_system_config": {"worker_niceness": 0}}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(**node)
        cluster.wait_for_nodes()
        os.environ["RAY_ADDRESS"] = cluster.address
        yield
    finally:
        os.environ.pop("RAY_ADDRESS", None)
        cluster.shutdown()


def hand_out(source: Path) -> float:
    """Parts a second that go through Ray when there is nothing to do: all are finished."""
    with tempfile.TemporaryDirectory() as output:
        job = Job.begin(str(source), output, Detector(), part=1)
        job.do(0)
        first = Path(output, part_name(0))
        for number in range(1, job.plan.parts):
            os.link(first, first.with_name(part_name(number)))
        command = [sys.executable, __file__, "one", str(source), output, "ray", "2", "1"]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        facts = json.loads(told.splitlines()[-1])
        return float(facts["pictures"] / (facts["idle"] - facts["begun"]))


def plan(source: Path, count: int) -> tuple[float, float]:
    """Microseconds and bytes a name, for listing a folder and cutting it into parts."""
    detector = Detector()
    with tempfile.TemporaryDirectory() as output:
        start = time.perf_counter()
        Job.begin(str(source), output, detector, part=1000)
        seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as output:
        tracemalloc.start()
        Job.begin(str(source), output, detector, part=1000)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return 1e6 * seconds / count, most / count


def weigh(folder: Path) -> tuple[int, int]:
    """Bytes of a part file, and its faces, for pictures that are all different."""
    with tempfile.TemporaryDirectory() as output:
        job = Job.begin(str(folder), output, Detector(), part=DIFFERENT)
        faces = job.do(0).faces
        return Path(output, part_name(0)).stat().st_size, faces


@app.default
def main(
    *,
    pictures: int = 1000,
    rounds: int = 2,
    many: int = 5000,
    results: Path = ROOT / "benchmarks" / "results",
    page: Path = PAGE,
) -> int:
    """Time one and two workers of both engines, watch their memory, and tell what that means.

    Adds a row to batch.jsonl, and makes batch.md and the table in docs/scale.md from the rows.
    Takes about five minutes; Linux only.

    Args:
        pictures: For speed.
        rounds: For speed.
        many: Pictures for memory.
        results: The folder with the rows.
        page: The page with the table.
    """
    machine = this_machine()
    rates: dict[str, list[float]] = {"pool 1": [], "pool 2": [], "ray 1": [], "ray 2": []}
    starts: dict[str, list[float]] = {"pool": [], "ray": []}
    with tempfile.TemporaryDirectory() as name:
        speed, small, single = Path(name, "speed"), Path(name, "small"), Path(name, "single")
        fill(speed, pictures, SIDE)
        fill(small, many, SMALL)
        fill(single, DIFFERENT, SIDE)
        file_bytes, faces = weigh(single)
        microseconds, name_bytes = plan(small, many)
        read_bytes = statistics.mean(path.stat().st_size for path in single.iterdir())

        def turn(engine: str) -> None:
            for workers in (1, 2):
                course = run(speed, engine, workers)
                rates[f"{engine} {workers}"].append(course.rate)
                starts[engine].append(course.start)

        for number in range(rounds):
            turn("pool")
            if number == 0:
                pool_memory = run(small, "pool", 2)
            with two_nodes():
                turn("ray")
                if number == 0:
                    ray_memory = run(small, "ray", 2)
                    fill(Path(name, "empty"), EMPTY, 32)
                    handed = hand_out(Path(name, "empty"))
    row = Measured(
        date=machine.date,
        processor=machine.processor,
        cores=machine.cores,
        load=machine.load,
        python=machine.python,
        onnxruntime=machine.onnxruntime,
        pyarrow=version("pyarrow"),
        ray=version("ray"),
        featherface=machine.featherface,
        pictures=pictures,
        rounds=rounds,
        rates={engine: statistics.median(found) for engine, found in rates.items()},
        bests={engine: max(found) for engine, found in rates.items()},
        starts={engine: statistics.median(found) for engine, found in starts.items()},
        many=many,
        memory={
            "pool": (pool_memory.first, pool_memory.last),
            "ray": (ray_memory.first, ray_memory.last),
        },
        parts_a_second=handed,
        plan_microseconds=microseconds,
        plan_bytes=name_bytes,
        read_bytes=read_bytes,
        face_bytes=file_bytes / faces,
        faces=faces / DIFFERENT,
    )
    results.mkdir(parents=True, exist_ok=True)
    with (results / ROWS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(row)) + "\n")
    publish(results, page)
    for key, value in asdict(row).items():
        print(f"{key}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
