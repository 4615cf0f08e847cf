"""Records as text: JSON, JSON lines, CSV and COCO in one stream; YOLO and WIDER FACE a picture.

Streams are made piece by piece, so that ten thousand pictures take no more memory than one (COCO
keeps the list of pictures). Pictures that could not be read are told in JSON, where there is a
place for a reason, and left out of the other formats.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator

from featherface.runtime.record import Record
from featherface.types import COCO_CATEGORY, LANDMARK_NAMES

LANDMARK_COLUMNS = tuple(f"{name}_{axis}" for name in LANDMARK_NAMES for axis in "xy")
COLUMNS = ("path", "width", "height", "x1", "y1", "x2", "y2", "score", *LANDMARK_COLUMNS)
"""Of a CSV file."""


def json_lines(records: Iterable[Record]) -> Iterator[str]:
    """One object a line and picture: path, width, height, faces; or path, error."""
    for record in records:
        yield json.dumps(record.to_dict()) + "\n"


def json_array(records: Iterable[Record]) -> Iterator[str]:
    """One array of such objects."""
    yield "["
    before = "\n"
    for record in records:
        yield before + json.dumps(record.to_dict())
        before = ",\n"
    yield "\n]\n"


def csv_table(records: Iterable[Record]) -> Iterator[str]:
    """A header with `COLUMNS`, then a row a face, as RFC 4180 wants it but for the line ends."""
    yield ",".join(COLUMNS) + "\n"
    for record in records:
        rows = io.StringIO()
        writer = csv.writer(rows, lineterminator="\n")
        for face in record.faces.to_list():
            points = [value for point in face["landmarks"] for value in point]
            height, width = record.size
            writer.writerow([record.path, width, height, *face["box"], face["score"], *points])
        yield rows.getvalue()


def coco(records: Iterable[Record]) -> Iterator[str]:
    """One COCO file, annotations with five keypoints and a score (Lin et al., 2014)."""
    yield f'{{"categories": [{json.dumps(COCO_CATEGORY)}],\n"annotations": ['
    images: list[str] = []
    count = 0
    for record in records:
        if record.error:
            continue
        height, width = record.size
        image = {"id": len(images) + 1, "file_name": str(record.path)}
        images.append(json.dumps({**image, "width": width, "height": height}))
        for annotation in record.faces.to_coco(len(images), first_id=count + 1):
            yield (",\n" if count else "\n") + json.dumps(annotation)
            count += 1
    yield "\n],\n" + '"images": [\n' + ",\n".join(images) + "\n]}\n"


def yolo(record: Record) -> str:
    """A line `0 cx cy w h` a face, in fractions of the picture: the labels of one YOLO picture."""
    height, width = record.size
    lines = []
    for face in record.faces.to_list():
        x1, y1, x2, y2 = face["box"]
        centre = f"{(x1 + x2) / 2 / width:.6f} {(y1 + y2) / 2 / height:.6f}"
        lines.append(f"0 {centre} {(x2 - x1) / width:.6f} {(y2 - y1) / height:.6f}\n")
    return "".join(lines)


def wider_face(record: Record) -> str:
    """Name, count and a line `x y w h score` a face: the WIDER FACE results of one picture."""
    name = " ".join(record.path.stem.splitlines())
    lines = [f"{name}\n{len(record.faces)}\n"]
    for face in record.faces.to_list():
        x1, y1, x2, y2 = face["box"]
        lines.append(f"{x1:.2f} {y1:.2f} {x2 - x1:.2f} {y2 - y1:.2f} {face['score']:.4f}\n")
    return "".join(lines)


STREAMS: dict[str, Callable[[Iterable[Record]], Iterator[str]]] = {
    "json": json_array,
    "jsonl": json_lines,
    "csv": csv_table,
    "coco": coco,
}
"""Formats that are one text."""

FILES: dict[str, Callable[[Record], str]] = {"yolo": yolo, "txt": wider_face}
"""Formats that are a text file a picture."""
