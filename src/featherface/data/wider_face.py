"""The annotation text of WIDER FACE (Yang et al., 2016), `wider_face_train_bbx_gt.txt`.

For each picture its path, the number of boxes, and a line of ten numbers a box: x y w h blur
expression illumination invalid occlusion pose. There are no landmarks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from featherface.data.labelled import LabelError, LabelledImage, Rows, assemble, picture_folder


def read_wider_face(path: Path, text: str, images: Path | None) -> list[LabelledImage]:
    """Parse the `text` of the file `path`.

    Boxes marked invalid, and the few of no or negative width in the official files, become ignore
    regions. A picture with a count of 0 is followed by one dummy line, or by none.

    Args:
        path: the file, for messages, and to look for pictures near it.
        text: its contents.
        images: the folder that the names are relative to; by default the first that holds them
            of the file's own, `images`, `WIDER_train/images` and `WIDER_val/images`, the latter
            also one folder up (where the official archives put them).

    Raises:
        LabelError: naming the file and the line.
    """
    lines = [(n, line.strip()) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    names: dict[str, int] = {}  # to the line that named it
    counts: list[int] = []
    fields: list[list[str]] = []
    places: list[int] = []
    at = 0
    while at < len(lines):
        number, name = lines[at]
        if name in names:
            raise LabelError.at(path, number, f"{name} was listed in line {names[name]}")
        if at + 1 == len(lines) or not _is_count(lines[at + 1][1]):
            problem = f"wanted the name of a picture and a count after it, not {name[:80]!r}"
            raise LabelError.at(path, number, problem)
        count = int(lines[at + 1][1])
        boxes = lines[at + 2 : at + 2 + count]
        if len(boxes) < count:
            raise LabelError.at(path, number, f"{count} boxes promised, {len(boxes)} there")
        for place, box in boxes:
            row = box.split()
            if len(row) != 10:
                problem = f"a box has 10 numbers (x y w h and six attributes), not {len(row)}"
                raise LabelError.at(path, place, problem)
            fields.append(row)
            places.append(place)
        names[name] = number
        counts.append(count)
        at += 2 + count
        if count == 0 and at < len(lines) and lines[at][1].split() == ["0"] * 10:
            at += 1
    rows = Rows(path, places, fields)
    values = rows.values.reshape(-1, 10)
    beside = path.parent
    official = [f"WIDER_{split}/images" for split in ("train", "val")]
    candidates = [
        beside,
        beside / "images",
        *(folder / name for folder in (beside, beside.parent) for name in official),
    ]
    folder = picture_folder(list(names), [images] if images else candidates)
    return assemble(
        [folder / name for name in names],
        counts,
        boxes=values[:, :4],
        ignore=np.asarray(values[:, 7] != 0),
    )


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 8


def is_wider_face(text: str) -> bool:
    """Whether the second line with anything on it is a count."""
    lines = (line.strip() for line in text.split("\n"))
    filled = (line for line in lines if line)
    next(filled, None)
    return _is_count(next(filled, ""))
