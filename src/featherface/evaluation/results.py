"""The official WIDER FACE result files, one text a picture: anybody's are read, ours written.

`event/picture.txt` holds the picture's name, the number of boxes, and a line `x y w h score` for
each. Numbers are written in full: whole pixels cost small faces their overlap.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from featherface.evaluation.matching import Doubles, Scored, ScoredBoxes
from featherface.files import write_atomically

NAMED = 10  # missing files that a warning names

logger = logging.getLogger(__name__)


class ResultError(ValueError):
    """Result files that cannot be used; the message begins with the file or the folder."""


def write_results(folder: Path, names: Sequence[str], predictions: Iterable[Scored]) -> None:
    """Write one file for each picture; what was in those files is replaced.

    Args:
        folder: made if it is not there.
        names: "event/picture" of each picture, without a suffix.
        predictions: of each picture.

    Raises:
        ResultError: two pictures have the same name.
    """
    for path, found in zip(_paths(folder, names), predictions, strict=True):
        boxes = np.asarray(found.boxes, np.float64)
        order = np.argsort(-found.scores, kind="stable")
        rows = np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2], found.scores])[order]
        lines = [" ".join(map(str, row)) for row in rows.tolist()]
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join([path.stem, str(len(lines)), *lines])
        write_atomically(path, f"{text}\n".encode())


def read_results(folder: Path, names: Sequence[str]) -> list[ScoredBoxes]:
    """Read the predictions of the named pictures.

    A missing file counts as no predictions, and is named in a warning.

    Args:
        folder: with a sub-folder for each event.
        names: "event/picture" of each picture, without a suffix.

    Raises:
        ResultError: there is no file for any of the pictures, or one is malformed, or two
            pictures have the same name.
    """
    paths = _paths(folder, names)
    missing = [path for path in paths if not path.is_file()]
    if paths and len(missing) == len(paths):
        raise ResultError(
            f"{folder}: no result files for these pictures; wanted, for example, {paths[0]}"
        )
    if missing:
        listed = ", ".join(str(path.relative_to(folder)) for path in missing[:NAMED])
        logger.warning(
            "%s: %d of %d result files are missing and count as no faces found: %s%s",
            *(folder, len(missing), len(paths), listed, ", ..." * (len(missing) > NAMED)),
        )
    gone = set(missing)
    return [_parse(path, "") if path in gone else _read(path) for path in paths]


def _paths(folder: Path, names: Sequence[str]) -> list[Path]:
    """The file of each picture."""
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise ResultError(f"{folder}: two of the pictures would have the file {twice}.txt")
    return [folder / f"{name}.txt" for name in names]


def _read(path: Path) -> ScoredBoxes:
    try:
        return _parse(path, path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ResultError(f"{path}: is not UTF-8 text") from error


def _parse(path: Path, text: str) -> ScoredBoxes:
    lines = [(n, line.split()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if lines and not (len(lines) > 1 and lines[1][1][0].isdecimal()):
        raise ResultError(f"{path}:{lines[-1][0]}: wanted the picture's name, and a count after it")
    boxes = lines[2:]
    try:
        rows: Doubles = np.array([fields for _, fields in boxes], np.float64).reshape(len(boxes), 5)
        good = np.isfinite(rows).all(axis=1)
    except ValueError:  # not numbers, or not as many in each line
        good = np.array([_is_box(fields) for _, fields in boxes])
    if not good.all():
        number = boxes[int(np.argmin(good))][0]
        raise ResultError(f"{path}:{number}: wanted `x y w h score`, five numbers that are finite")
    if lines and len(rows) != int(lines[1][1][0]):
        raise ResultError(f"{path}: {lines[1][1][0]} boxes promised, {len(rows)} there")
    return ScoredBoxes(
        np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1), rows[:, 4]
    )


def _is_box(fields: list[str]) -> bool:
    try:
        return len(fields) == 5 and all(math.isfinite(float(field)) for field in fields)
    except ValueError:
        return False
