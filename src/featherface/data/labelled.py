"""What every label reader returns, and what the readers share: the error, numbers, assembly."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featherface.types import Bools, Floats

Doubles = NDArray[np.float64]
Place = int | str  # a line number, or the name of an entry


class LabelError(ValueError):
    """Labels that cannot be understood; the message begins with the file and the line."""

    @classmethod
    def at(cls, path: Path, place: Place | None, problem: str) -> LabelError:
        """The error for a line, a named entry, or the file `path` as a whole."""
        where = {int: f":{place}", str: f": {place}"}.get(type(place), "")
        return cls(f"{path}{where}: {problem}")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImage:
    """One picture and the faces that somebody marked in it.

    Attributes:
        path: the picture.
        boxes: (N, 4) float32, xyxy in pixels of the stored picture.
        landmarks: (N, 5, 2) float32 pixels, NaN where a point is not known.
        human_landmarks: (N,) bool, all five points were set by a person.
        probability: (N,) float32, how likely the box is a face; 1 for hard labels.
        ignore: (N,) bool, regions that are neither face nor background.
    """

    path: Path
    boxes: Floats
    landmarks: Floats
    human_landmarks: Bools
    probability: Floats
    ignore: Bools

    def __post_init__(self) -> None:
        count = len(self.boxes)
        rest = (self.landmarks, self.human_landmarks, self.probability, self.ignore)
        found = (self.boxes.shape, *(value.shape for value in rest))
        wanted = ((count, 4), (count, 5, 2), (count,), (count,), (count,))
        if found != wanted:
            raise ValueError(f"the labels of {self.path} have shapes {found}, wanted {wanted}")

    def shrunk(self, times: float) -> LabelledImage:
        """The labels of the picture made so many times smaller."""
        boxes, landmarks = (v / np.float32(times) for v in (self.boxes, self.landmarks))
        return replace(self, boxes=boxes, landmarks=landmarks)

    def __len__(self) -> int:
        """Boxes, ignore regions included."""
        return len(self.boxes)


class Rows:
    """The numbers of a label file, (N, C), which remember where they stood.

    Raises:
        LabelError: for anything that is not a finite number of a size that a picture can have.
    """

    values: Doubles

    def __init__(
        self, path: Path, places: Sequence[Place], fields: Sequence[Sequence[str | float]]
    ) -> None:
        self._path, self._places = path, places
        try:
            numbers = [list(map(float, row)) for row in fields]
        except (ValueError, OverflowError):
            numbers = [[_number(field) for field in row] for row in fields]
        width = len(fields[0]) if fields else 0
        self.values = np.array(numbers, np.float64).reshape(len(fields), width)
        usable = np.abs(self.values) < 1e9
        if not usable.all():
            row, column = np.argwhere(~usable)[0]
            problem = f"{fields[row][column]!r:.40} is not a usable number"
            raise LabelError.at(path, places[row], problem)

    def require(self, good: Bools | np.bool_, problem: str) -> None:
        """Raise a LabelError with `problem` for the first row where `good` (N,) is false."""
        if not good.all():
            raise LabelError.at(self._path, self._places[int(np.argmin(good))], problem)


def _number(field: str | float) -> float:
    with suppress(ValueError, OverflowError):
        return float(field)
    return float("nan")


def assemble(
    paths: Sequence[Path],
    counts: Sequence[int],
    *,
    boxes: Doubles,
    ignore: Bools,
    landmarks: Doubles | None = None,
    human: Bools | np.bool_ | None = None,
    probability: Doubles | None = None,
) -> list[LabelledImage]:
    """Deal the rows of a whole file out to its pictures.

    Boxes without area become ignore regions. Ignore regions get the probability 0, so that a user
    who forgets about them at least does not learn them as faces.

    Args:
        paths: the pictures.
        counts: how many rows belong to each, in this order.
        boxes: (N, 4) xywh pixels.
        ignore: (N,).
        landmarks: (N, 5, 2), NaN where not known; None when the format has none.
        human: (N,), a person set all five landmarks; None for all that are complete.
        probability: (N,), None for hard labels.
    """
    extent = np.maximum(boxes[:, 2:], 0)
    xyxy = np.concatenate([boxes[:, :2], boxes[:, :2] + extent], axis=1).astype(np.float32)
    ignore = ignore | (extent == 0).any(axis=1)
    if landmarks is None:
        landmarks = np.full((len(boxes), 5, 2), np.nan)
    by_person = np.asarray(np.isfinite(landmarks).all(axis=(1, 2)) if human is None else human)
    chance = np.where(ignore, 0, 1 if probability is None else probability).astype(np.float32)
    points = landmarks.astype(np.float32)
    ends = np.cumsum(counts, dtype=np.int64)
    return [
        LabelledImage(path, xyxy[a:b], points[a:b], by_person[a:b], chance[a:b], ignore[a:b])
        for path, a, b in zip(paths, ends - counts, ends, strict=True)
    ]


def picture_folder(names: Sequence[str], candidates: Sequence[Path]) -> Path:
    """The first candidate that holds one of the named pictures; the first of all if none does.

    A missing picture is no error here: labels may be read on a machine without the pictures.
    """
    some = names[:100]  # enough to tell, and quick on a network disk
    for folder in candidates:
        if any(_exists(folder / name) for name in some):
            return folder
    return candidates[0]


def _exists(path: Path) -> bool:
    with suppress(OSError, ValueError):  # names too long or with a null byte
        return path.exists()
    return False
