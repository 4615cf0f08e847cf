"""The rows of the output, one a picture, and the Parquet file of a part.

| column | type | |
|---|---|---|
| path | string | of the picture |
| width, height | int32 | of the upright picture; null with an error |
| faces | list of struct | box (4 float32, xyxy), score (float32), landmarks (10 float32, xy) |
| error | string | why it could not be looked at; null if it was, and then faces are not |
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from featherface.batch.places import Place
from featherface.types import Detections, Size

FACE = pa.struct(
    [
        ("box", pa.list_(pa.float32(), 4)),
        ("score", pa.float32()),
        ("landmarks", pa.list_(pa.float32(), 10)),
    ]
)
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("faces", pa.list_(FACE)),
        ("error", pa.string()),
    ]
)

KEY = b"featherface"
"""Of a file's metadata: what made it, and counts, so that nobody has to read rows to count them."""


class Row(NamedTuple):
    """What came out for a picture: size and faces, or an error.

    Attributes:
        path: of the picture.
        size: (height, width), upright.
        faces: in pixels of the upright picture.
        error: why it could not be looked at.
    """

    path: str
    size: Size | None = None
    faces: Detections | None = None
    error: str | None = None


class Counts(NamedTuple):
    """What a part holds."""

    pictures: int
    faces: int
    errors: int


def table(rows: Sequence[Row]) -> pa.Table:
    """Rows as `SCHEMA` has them."""
    found = [row.faces for row in rows if row.faces is not None]
    faces = pa.StructArray.from_arrays(
        [
            _lists([each.boxes for each in found], 4),
            pa.array(_flat([each.scores for each in found])),
            _lists([each.landmarks for each in found], 10),
        ],
        fields=list(FACE),
    )
    ends = np.cumsum([0, *(len(row.faces or ()) for row in rows)])
    mask = pa.array([row.faces is None for row in rows], pa.bool_())
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), faces, mask=mask)
    columns = [
        pa.array([row.path for row in rows], pa.string()),
        pa.array([row.size and row.size[1] for row in rows], pa.int32()),
        pa.array([row.size and row.size[0] for row in rows], pa.int32()),
        lists,
        pa.array([row.error for row in rows], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def write(rows: Sequence[Row], place: Place, facts: Mapping[str, str]) -> Counts:
    """Puts the rows into a file, whole or not at all.

    Args:
        rows: of a part.
        place: of the file.
        facts: for the file's metadata.

    Raises:
        OSError: it cannot be written.
    """
    counts = Counts(
        pictures=len(rows),
        faces=sum(len(row.faces or ()) for row in rows),
        errors=sum(row.error is not None for row in rows),
    )
    told = {KEY: json.dumps({**facts, **counts._asdict()}).encode()}
    buffer = BytesIO()
    pq.write_table(table(rows).replace_schema_metadata(told), buffer, compression="zstd")
    place.write(buffer.getvalue())
    return counts


def count(place: Place) -> Counts:
    """What a file of `write` holds.

    Raises:
        OSError: it cannot be read.
    """
    with place.open() as file:
        told = json.loads(pq.ParquetFile(file).schema_arrow.metadata[KEY])
    return Counts(*(told[name] for name in Counts._fields))


def _flat(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """One row of numbers from many arrays, which may be none."""
    return np.concatenate([np.zeros(0, np.float32), *(array.ravel() for array in arrays)])


def _lists(arrays: Sequence[np.ndarray], length: int) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(_flat(arrays)), length)
