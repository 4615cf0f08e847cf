"""What the rows of `batch.py` say, as a table of results and as the block in docs/scale.md.

Nothing in them is written by hand; a test compares what is committed with what this makes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from featherface.files import write_atomically
from table import markdown, replace_block

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scale.md"
ROWS, TABLE = "batch.jsonl", "batch.md"
BILLION = 1e9
CORES = (100, 1_000, 10_000)
DEFAULT_PART = 1000  # of the command

HEAD = """\
# Batches

By `python benchmarks/batch.py`, from [the rows](batch.jsonl). JPEG pictures 640 pixels wide, pieces
of `assets/collage.jpg`. Pictures a second from the moment the first part is begun until a worker
has no more to do: medians over rounds in which all take turns, in brackets the best. Pool is the
local engine, Ray a cluster of two nodes with one processor each on this machine; both have 1 or 2
workers of one thread and the same priority, and parts of 50 pictures. For memory the pictures are
320 pixels wide and there are two workers; told is the most that all processes together, Ray's own
too, held in the first and in the last quarter of that time.

"""

BLOCK = """\
{date}, {processor}, {cores} cores, load {load:g} when it began.
Pictures of {kilobytes:.0f} KB, 640 pixels wide, with {faces:.0f} faces each ([row](../benchmarks/results/batch.md)).

{measured}
Extended to a billion such pictures, at the rate of one of two Ray actors, {rate:.1f} pictures a second:

{extended}
- **Scaling.** Two actors did {scaling:.2f} times the work of one, and {share:.0%} of what two processes of the bare pool did.
- **Memory** of all processes went from {pool_first:.0f} to {pool_last:.0f} MB (pool) and from {ray_first:.0f} to {ray_last:.0f} MB (Ray) between the first and the last quarter of {many:,} pictures.
- **Storage.** {read_terabytes:.0f} TB of pictures. The output has {face_bytes:.0f} bytes a face: {one_face:.0f} GB for one face a picture, {all_faces:.1f} TB for as many as here.
- **Hand-out.** Ray gave two idle actors {handed:.0f} parts a second. If its driver can do no more than that, it feeds {fed:,.0f} actors with parts of {part:,} pictures, and ten times as many with `--part 10000`.
- **Listing** single local files takes {plan_time:.0f} microseconds and {plan_bytes:.0f} bytes of memory a name: {plan_hours:.1f} hours and {plan_gigabytes:.0f} GB for a billion, in one process.
"""  # noqa: E501


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run of the benchmark.

    Attributes:
        date: and the machine, as in `machine.Machine`.
        rates: pictures a second by engine and workers, the median over rounds.
        bests: the same, the best round.
        starts: seconds until the first part is begun, by engine.
        many: pictures for memory.
        memory: bytes in the first and the last quarter, by engine.
        parts_a_second: that Ray hands out.
        plan_microseconds: to list and cut, a name.
        plan_bytes: of memory, a name.
        read_bytes: of a picture's file.
        face_bytes: of the output, a face.
        faces: a picture.
    """

    date: str
    processor: str
    cores: int
    load: float
    python: str
    onnxruntime: str
    pyarrow: str
    ray: str
    featherface: str
    pictures: int
    rounds: int
    rates: dict[str, float]
    bests: dict[str, float]
    starts: dict[str, float]
    many: int
    memory: dict[str, tuple[int, int]]
    parts_a_second: float
    plan_microseconds: float
    plan_bytes: float
    read_bytes: float
    face_bytes: float
    faces: float


def read(path: Path) -> list[Measured]:
    """The rows, the latest last."""
    return [Measured(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def publish(results: Path, page: Path) -> None:
    """Makes the table and the block from the rows.

    Raises:
        OSError: no rows there.
        ValueError: the page does not have the two markers.
    """
    rows = read(results / ROWS)
    write_atomically(results / TABLE, table(rows).encode())
    text = replace_block(page.read_text(encoding="utf-8"), block(rows[-1]))
    write_atomically(page, text.encode())


def table(rows: list[Measured]) -> str:
    """All rows, as a page of their own."""
    heading = (
        "date",
        "pictures × rounds",
        *(f"{name}, a second" for name in rows[0].rates),
        "two actors to one",
        "Ray to pool",
        "seconds until the first part, pool and Ray",
        "pictures for memory",
        "pool, MB",
        "Ray, MB",
        "versions",
        "processor",
    )
    return HEAD + markdown(heading, map(_line, rows))


def _line(row: Measured) -> list[str]:
    megabytes = {
        name: " and ".join(f"{each / 1e6:.0f}" for each in ends)
        for name, ends in row.memory.items()
    }
    return [
        row.date,
        f"{row.pictures:,} × {row.rounds}",
        *(f"{rate:.1f} (best {row.bests[name]:.1f})" for name, rate in row.rates.items()),
        f"{_scaling(row):.2f}",
        f"{_share(row):.0%}",
        f"{row.starts['pool']:.1f} and {row.starts['ray']:.1f}",
        f"{row.many:,}",
        megabytes["pool"],
        megabytes["ray"],
        f"featherface {row.featherface}, onnxruntime {row.onnxruntime}, pyarrow {row.pyarrow}, "
        f"ray {row.ray}, Python {row.python}",
        f"{row.processor}, {row.cores} cores, load {row.load:g}",
    ]


def _scaling(row: Measured) -> float:
    return row.rates["ray 2"] / row.rates["ray 1"]


def _share(row: Measured) -> float:
    return row.rates["ray 2"] / row.rates["pool 2"]


def block(row: Measured) -> str:
    """The latest figures, and what they mean for a billion pictures."""
    rate = row.rates["ray 2"] / 2
    measured = markdown(
        ("engine", "1 worker, pictures a second", "2 workers", "ratio", "seconds to begin"),
        [
            (
                name,
                f"{row.rates[f'{key} 1']:.1f}",
                f"{row.rates[f'{key} 2']:.1f}",
                f"{row.rates[f'{key} 2'] / row.rates[f'{key} 1']:.2f}",
                f"{row.starts[key]:.1f}",
            )
            for key, name in (("pool", "local"), ("ray", "ray, two nodes"))
        ],
    )
    extended = markdown(
        ("cores", "hours", "core hours", "read, GB a second", "parts a second"),
        [
            (
                f"{cores:,}",
                f"{BILLION / (rate * cores) / 3600:,.1f}",
                f"{BILLION / rate / 3600:,.0f}",
                f"{rate * cores * row.read_bytes / 1e9:.2f}",
                f"{rate * cores / DEFAULT_PART:.1f}",
            )
            for cores in CORES
        ],
    )
    (pool_first, pool_last), (ray_first, ray_last) = (
        [each / 1e6 for each in row.memory[name]] for name in ("pool", "ray")
    )
    return BLOCK.format(
        date=row.date,
        processor=row.processor,
        cores=row.cores,
        load=row.load,
        kilobytes=row.read_bytes / 1e3,
        faces=row.faces,
        measured=measured,
        rate=rate,
        extended=extended,
        scaling=_scaling(row),
        share=_share(row),
        ray_first=ray_first,
        ray_last=ray_last,
        pool_first=pool_first,
        pool_last=pool_last,
        many=row.many,
        face_bytes=row.face_bytes,
        read_terabytes=BILLION * row.read_bytes / 1e12,
        one_face=BILLION * row.face_bytes / 1e9,
        all_faces=BILLION * row.face_bytes * row.faces / 1e12,
        part=DEFAULT_PART,
        handed=row.parts_a_second,
        fed=row.parts_a_second * DEFAULT_PART / rate,
        plan_time=row.plan_microseconds,
        plan_bytes=row.plan_bytes,
        plan_hours=BILLION * row.plan_microseconds / 1e6 / 3600,
        plan_gigabytes=BILLION * row.plan_bytes / 1e9,
    )
