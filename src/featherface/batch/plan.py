"""What is to be done, fixed once: the input's files, cut into parts that never change again.

`_plan.json` in the output holds the options that decide what comes out, and is written last: if it
is there, so is the rest. Beside it, `_plan/` holds the parts, a hundred a file and each readable by
itself, so that neither the driver nor a worker ever holds them all. Part k becomes the file
`part-000000k.parquet`, and is finished when that file exists; nothing else is kept about it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import partial
from io import BytesIO
from itertools import islice
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from featherface.batch.columns import column_of
from featherface.batch.listing import Kind, Listing, locate, look_up, top_of
from featherface.batch.places import Place, as_bytes, from_bytes, place_of

NAME = "_plan.json"
FOLDER = "_plan"
DIGITS = 7  # of part numbers in file names
TOGETHER = 100  # parts a file of the plan
LOOKS = 16  # footers of Parquet files that are read at once

PARTS = pa.schema([("names", pa.list_(pa.binary())), ("first", pa.int64()), ("rows", pa.int64())])


class Part(NamedTuple):
    """One piece of work.

    Attributes:
        names: pictures, or one Parquet file, or one tar.
        first: row of the Parquet file to begin with.
        rows: of the Parquet file, to go through; -1 for a file that could not be opened.
    """

    names: list[str]
    first: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All that decides what a run makes; a second start must have the same.

    Attributes:
        featherface: version.
        weights: SHA-256 of them.
        score: as the detector's, like the next two.
        size: of the longer side.
        tiles: of large pictures.
        input: as it is shown.
        part: pictures a part, at most.
        column: of Parquet files, with the pictures; "" to find it.
    """

    featherface: str
    weights: str
    score: float
    size: int | Literal["original"]
    tiles: int | None
    input: str
    part: int
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan that lies in an output.

    Attributes:
        options: what it was made for.
        kind: of the input's files.
        is_list: their names stand for themselves.
        top: path of the folder that names are below.
        shown: the same for people and rows.
        parts: how many there are.
    """

    options: Options
    kind: Kind
    is_list: bool
    top: str
    shown: str
    parts: int


def part_name(number: int) -> str:
    """The file that a part becomes."""
    return f"part-{number:0{DIGITS}}.parquet"


def settle(source: Place, output: Place, options: Options) -> Plan:
    """The plan in `output`; made now if there is none yet.

    Raises:
        ValueError: the one that is there was made for other options; or there is something else;
            or the input has nothing to look at.
        OSError: the input cannot be reached, or the output cannot be written.
    """
    there = output / NAME
    if there.is_file():
        facts = json.loads(there.read())
        plan = Plan(**{**facts, "options": Options(**facts["options"])})
        _compare(plan.options, options, output)
        return plan
    if any(not name.startswith("_") for name in output.names()):
        raise ValueError(
            f"{output.shown}: holds files that are no output of ours; name a new folder"
        )
    listing = look_up(source)
    top = top_of(source, listing)
    for folder in (output, output / FOLDER):
        folder.make_folder()
    count = 0
    parts = _cut(listing, top, options)
    while chunk := list(islice(parts, TOGETHER)):
        _write(output, count // TOGETHER, chunk)
        count += len(chunk)
    plan = Plan(
        options=options,
        kind=listing.kind,
        is_list=listing.is_list,
        top=top.path,
        shown=top.shown,
        parts=count,
    )
    there.write(json.dumps(asdict(plan), indent=2).encode() + b"\n")
    return plan


def finished(output: Place) -> set[int]:
    """The parts that are done."""
    return {
        int(name[len("part-") : -len(".parquet")])
        for name in output.names()
        if name.startswith("part-") and name.endswith(".parquet")
    }


def part_of(output: Place, number: int) -> Part:
    """Reads one part of the plan in `output`.

    Raises:
        OSError: it cannot be read.
    """
    with (output / FOLDER / f"{number // TOGETHER:0{DIGITS}}").open() as file:
        table = pq.ParquetFile(file).read_row_group(number % TOGETHER)
    (facts,) = table.to_pylist()
    return Part([from_bytes(name) for name in facts["names"]], facts["first"], facts["rows"])


def top_for(plan: Plan, source: Place) -> Place:
    """What the names in the parts lie below, as `listing.locate` wants it."""
    files = place_of(plan.top).files if plan.is_list else source.files
    return Place(files, plan.top, plan.shown)


def _compare(then: Options, now: Options, output: Place) -> None:
    changes = [
        f"{field.name} {before!r}, now {wanted!r}"
        for field in fields(Options)
        if (before := getattr(then, field.name)) != (wanted := getattr(now, field.name))
    ]
    if changes:
        raise ValueError(
            f"{output.shown}: was begun with {'; '.join(changes)}. "
            "Give the same options to go on with it, or name another folder"
        )


def _write(output: Place, chunk: int, parts: Sequence[Part]) -> None:
    rows = [
        {"names": [as_bytes(name) for name in part.names], "first": part.first, "rows": part.rows}
        for part in parts
    ]
    buffer = BytesIO()
    with pq.ParquetWriter(buffer, PARTS, compression="zstd") as writer:
        for row in rows:  # each a row group, readable by itself
            writer.write_table(pa.Table.from_pylist([row], schema=PARTS))
    (output / FOLDER / f"{chunk:0{DIGITS}}").write(buffer.getvalue())


def _cut(listing: Listing, top: Place, options: Options) -> Iterator[Part]:
    """Pictures by the number, Parquet files by rows, tars as they are."""
    names, most = listing.names, options.part
    if listing.kind == "pictures":
        for start in range(0, len(names), most):
            yield Part(names[start : start + most])
    elif listing.kind == "tar":
        yield from (Part([name]) for name in names)
    else:
        look = partial(
            _cut_rows, top=top, is_list=listing.is_list, column=options.column, most=most
        )
        with ThreadPoolExecutor(LOOKS) as pool:
            for parts in pool.map(look, names):
                yield from parts


def _cut_rows(name: str, *, top: Place, is_list: bool, column: str, most: int) -> list[Part]:
    """Whole row groups together up to `most` rows; a larger one is cut."""
    try:
        with locate(name, top, is_list=is_list).open() as file:
            opened = pq.ParquetFile(file)
            column_of(opened.schema_arrow, column, locate(name, top, is_list=is_list).shown)
            metadata = opened.metadata
    except pa.ArrowInvalid:  # a ValueError too, so this one has to be told apart
        return [Part([name], rows=-1)]
    parts: list[Part] = []
    first = at = 0
    for group in range(metadata.num_row_groups):
        end = at + metadata.row_group(group).num_rows
        if end - first > most and at > first:
            parts.append(Part([name], first, at - first))
            first = at
        while end - first > most:
            parts.append(Part([name], first, most))
            first += most
        at = end
    if at > first:
        parts.append(Part([name], first, at - first))
    return parts
