"""The pictures of a part, one after the other, as bytes with a path to tell them by."""

from __future__ import annotations

import tarfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from featherface.batch.columns import column_of
from featherface.batch.listing import locate
from featherface.batch.places import Place, as_text
from featherface.batch.plan import Part, Plan
from featherface.image import SUFFIXES

READS = 4  # files that are read at once, so that a distant store does not keep the detector waiting
ROWS = 16  # of a Parquet file that are in memory at once
BUFFER = 8 << 20  # bytes of a shard that are fetched at once


class Given(NamedTuple):
    """A picture's bytes, or why there are none.

    Attributes:
        path: to tell it by.
        content: of the picture's file.
        error: why it could not be had.
    """

    path: str
    content: bytes = b""
    error: str | None = None


def read(part: Part, plan: Plan, top: Place) -> Iterator[Given]:
    """The pictures of a part, in an order that never changes.

    A picture that is not there or may not be read is given with the error, and so is a file that
    holds pictures and is broken.

    Raises:
        OSError: a file cannot be reached, which may be over in an hour.
        ValueError: a Parquet file has no column of pictures any more.
    """
    places = [locate(name, top, is_list=plan.is_list) for name in part.names]
    if plan.kind == "pictures":
        yield from _files(places)
    elif plan.kind == "tar":
        for place in places:
            yield from _members(place)
    else:
        for place in places:
            yield from _cells(place, part, plan.options.column)


def _files(places: list[Place]) -> Iterator[Given]:
    under_way: deque[Future[Given]] = deque()
    with ThreadPoolExecutor(READS) as pool:
        for place in places:
            under_way.append(pool.submit(_file, place))
            if len(under_way) >= READS:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _file(place: Place) -> Given:
    path = as_text(place.shown)
    try:
        return Given(path, place.read())
    except FileNotFoundError:
        return Given(path, error="no such file")
    except (PermissionError, IsADirectoryError) as error:
        return Given(path, error=f"cannot be read ({error.strerror or error})")


def _members(place: Place) -> Iterator[Given]:
    """The pictures in a tar; one that breaks off has an error at its end."""
    name = as_text(place.shown)
    end = 0
    try:
        with place.open() as file, tarfile.open(fileobj=file, mode="r|", bufsize=BUFFER) as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined] # it would grow with the file
                if member.isfile() and PurePosixPath(member.name).suffix.lower() in SUFFIXES:
                    stream = tar.extractfile(member)
                    content = stream.read() if stream else b""
                    yield Given(f"{name}/{as_text(member.name)}", content)
            end = tar.offset
    except tarfile.TarError as error:
        yield Given(name, error=f"is broken, or no tar ({error}); pictures may be missing")
        return
    with place.open() as file:  # tarfile takes nearly anything for the end
        file.seek(end)
        mark = file.read(tarfile.BLOCKSIZE)
    if mark != bytes(tarfile.BLOCKSIZE):
        yield Given(name, error=f"has no end mark at byte {end:,}; pictures may be missing")


def _cells(place: Place, part: Part, column: str) -> Iterator[Given]:
    """Rows of a Parquet file."""
    name = as_text(place.shown)
    if part.rows < 0:
        yield Given(name, error="is broken, or no Parquet file")
        return
    last = part.first + part.rows
    with place.open() as file:
        opened = pq.ParquetFile(file, buffer_size=BUFFER)
        wanted = column_of(opened.schema_arrow, column, name)
        columns = [wanted, *(("path",) if "path" in opened.schema_arrow.names else ())]
        groups, at = [], 0
        start = None
        for group in range(opened.metadata.num_row_groups):
            end = at + opened.metadata.row_group(group).num_rows
            if at < last and end > part.first:
                groups.append(group)
                start = at if start is None else start
            at = end
        row = start or 0
        for batch in opened.iter_batches(
            ROWS, row_groups=groups, columns=columns, use_threads=False
        ):
            for cell in batch.to_pylist() if row + len(batch) > part.first else ():
                if part.first <= row < last:
                    yield _given(cell, wanted, f"{name}#{row}")
                row += 1
            if row < part.first:
                row += len(batch)
            if row >= last:
                return


def _given(cell: dict[str, Any], column: str, place: str) -> Given:
    value, path = cell[column], cell.get("path")
    if isinstance(value, dict):  # as Hugging Face's datasets keep pictures
        path = path or value.get("path")
        value = value["bytes"]
    path = place if path is None else str(path)
    return Given(path, value) if value is not None else Given(path, error="has no bytes")
