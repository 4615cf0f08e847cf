"""One line a box under `# picture` headers: the 20 numbers of this project, and RetinaFace's.

Both begin `x y w h  (x y v) x 5` (RetinaFace, Deng et al., 2020). Ours ends with a whole number,
the kind of box, and in the soft form with a probability after it; RetinaFace ends with a quality,
a fraction, or stops at 4 or 19 numbers. The first box line decides for the whole file, and all
others must agree with it, so that a slip of the pen is an error and never a change of meaning.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from featherface.data.labelled import (
    Doubles,
    LabelError,
    LabelledImage,
    Rows,
    assemble,
    picture_folder,
)
from featherface.files import write_atomically

_KINDS = _HUMAN, _IGNORE, _MACHINE, _PROBABLE = ("0", "1", "2", "3")  # of box


def read_label_text(path: Path, text: str, images: Path | None) -> list[LabelledImage]:
    """Parse the `text` of the file `path`.

    Points are known unless their v is -1; they are a person's when all five v are 0 (in
    RetinaFace's files, where v = 1 is a hidden point, always). Kind 1 and probability 0 are
    ignore regions. RetinaFace took some boxes of no or negative width over from WIDER FACE; they
    are ignore regions too, while a negative size in our own layout is an error.

    Args:
        path: the file, for messages, and to look for pictures beside it.
        text: its contents.
        images: the folder that the names are relative to; by default that of the file or its
            subfolder `images`, where the pictures are.

    Raises:
        LabelError: naming the file and the line.
    """
    names, counts, fields, places = _split(path, text)
    width = len(fields[0]) if fields else 20
    ours = not fields or width == 21 or (width == 20 and fields[0][19] in _KINDS)
    rows = Rows(path, places, fields)
    values = rows.values.reshape(-1, width)
    points = values[:, 4:19].reshape(len(values), 5 if width > 4 else 0, 3)
    flags = points[:, :, 2]
    rows.require(np.isin(flags, (-1, 0, 1)).all(axis=1), "the v of a point is -1, 0 or 1")
    ignore = np.zeros(len(values), np.bool_)
    probability = np.ones(len(values))
    beside = [path.parent, path.parent / "images"]
    if ours:
        rows.require((values[:, 2:4] >= 0).all(axis=1), "the width or the height is negative")
        rows.require(
            np.isin(values[:, 19], (0, 1, 2, 3)),
            "the kind, the 20th number, is 0, 1, 2 or 3"
            " (a RetinaFace file has a fraction there from its first box line on)",
        )
        if width == 21:
            probability = values[:, 20]
        good = (probability >= 0) & (probability <= 1)
        rows.require(good, "the probability is not within 0 and 1")
        ignore = (values[:, 19] == int(_IGNORE)) | (probability == 0)
    else:
        beside.reverse()
        quality = values[:, 19:]  # (N, 1 or 0)
        rows.require(
            (np.abs(quality) <= 1).all(axis=1),
            "the quality, the 20th number, is not within -1 and 1 (this was taken for a RetinaFace"
            " file because its first box line does not end with a kind 0, 1, 2 or 3)",
        )
    folder = picture_folder(names, [images] if images else beside)
    return assemble(
        [folder / name for name in names],
        counts,
        boxes=values[:, :4],
        ignore=ignore,
        landmarks=np.where(flags[..., None] < 0, np.nan, points[..., :2]) if width > 4 else None,
        human=(flags == 0).all(axis=1) if ours else None,
        probability=probability,
    )


def _split(path: Path, text: str) -> tuple[list[str], list[int], list[list[str]], list[int]]:
    """Names of the pictures, boxes of each, the fields of all box lines, their line numbers."""
    names: dict[str, int] = {}  # to the line that named it
    counts: list[int] = []
    fields: list[list[str]] = []
    places: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("#"):
            name = line[1:].strip()
            if not name:
                raise LabelError.at(path, number, "no picture is named after '#'")
            if name in names:
                raise LabelError.at(path, number, f"{name} was listed in line {names[name]}")
            names[name] = number
            counts.append(0)
        elif row := line.split():
            if not names:
                raise LabelError.at(path, number, "wanted a line '# picture' before the first box")
            if len(row) not in (4, 19, 20, 21):
                problem = (
                    f"a box has 4 numbers (x y w h), 19 (and five points x y v), 20 (and a kind or"
                    f" quality) or 21 (and a probability), not {len(row)}"
                )
                raise LabelError.at(path, number, problem)
            if fields and len(row) != len(fields[0]):
                problem = f"{len(row)} numbers, but {len(fields[0])} in line {places[0]}"
                raise LabelError.at(path, number, problem)
            counts[-1] += 1
            fields.append(row)
            places.append(number)
    if not names:
        raise LabelError.at(path, None, "lists no picture")
    return list(names), counts, fields, places


def write_labels(path: str | Path, images: Sequence[LabelledImage], *, human: bool = False) -> None:
    """Write labels in this project's layout, whole or not at all.

    The soft form is taken when a probability says more than face or ignore. Pixels are rounded to
    hundredths; what `read_labels` makes of the file differs by no more than that, and is written
    again as the same text.

    Args:
        path: the file, usually `labels.txt` beside a folder of pictures.
        images: pictures, written relative to the file's folder.
        human: a person drew the boxes (kind 0); otherwise they are machine-made (2, or 3 where
            the probability is less than 1).

    Raises:
        ValueError: no pictures, two entries for one, a name that a line cannot hold, boxes that
            are not finite or inside out, or a probability out of 0 to 1.
    """
    path = Path(path)
    soft = any((image.probability[~image.ignore] != 1).any() for image in images)
    entries: dict[str, str] = {}
    for image in images:
        entry = label_entry(image, path.parent, human=human, soft=soft)
        name = entry.partition("\n")[0]
        if name in entries:
            raise ValueError(f"{image.path} is given twice")
        entries[name] = entry
    if not entries:
        raise ValueError(f"{path}: wanted at least one picture to write")
    write_atomically(path, "".join(entries.values()).encode())


def label_entry(image: LabelledImage, folder: Path, *, human: bool, soft: bool) -> str:
    """The lines of one picture, its name relative to `folder`.

    Raises:
        ValueError: as `write_labels`.
    """
    name = Path(os.path.relpath(image.path, folder)).as_posix()
    if name != name.strip() or not {"\n", "\r"}.isdisjoint(name):
        raise ValueError(f"{image.path}: a label file cannot hold this name, rename it")
    if not np.isfinite(image.boxes).all() or (image.boxes[:, 2:] < image.boxes[:, :2]).any():
        raise ValueError(f"{image.path}: a box is not finite or is turned inside out")
    if not ((image.probability >= 0) & (image.probability <= 1)).all():
        raise ValueError(f"{image.path}: a probability is not within 0 and 1")
    return "".join(f"{line}\n" for line in [f"# {name}", *_box_lines(image, human, soft)])


def _box_lines(image: LabelledImage, human: bool, soft: bool) -> Iterator[str]:
    corners: Doubles = image.boxes.astype(np.float64).round(2)
    corners[:, 2:] = (corners[:, 2:] - corners[:, :2]).round(2)
    for row, numbers in enumerate(corners + 0.0):  # no -0.0
        fields = [str(number) for number in numbers.tolist()]
        flag = "0" if image.human_landmarks[row] else "1"
        for point in image.landmarks[row].astype(np.float64).round(2) + 0.0:
            known = bool(np.isfinite(point).all())
            fields += [*map(str, point.tolist()), flag] if known else ["-1", "-1", "-1"]
        chance = image.probability[row]
        if image.ignore[row]:
            fields += [_IGNORE, "0"]
        else:
            kind = _HUMAN if human else _MACHINE if chance == 1 else _PROBABLE
            fields += [kind, str(chance)]  # the shortest text that gives this float32 back
        yield " ".join(fields if soft else fields[:-1])
