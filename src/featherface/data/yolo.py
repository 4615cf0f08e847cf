"""Boxes, and five landmarks where there are any, from a YOLO folder: one text file a picture.

A line is `class cx cy w h`, in fractions of the picture's width and height, and in the pose form
five points after it, `x y` or `x y v` (as in yolov5-face and in Ultralytics).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from featherface.data.labelled import Doubles, LabelError, LabelledImage, Rows, assemble
from featherface.image import ImageError, shown_size
from featherface.types import Size

_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def yolo_folders(folder: Path, images: Path | None) -> tuple[Path, Path] | None:
    """Where the pictures and the labels of a data set are, or None if it is not a YOLO one.

    `folder` holds both `images` and `labels`; or it is the folder of pictures, `images/train`, and
    the labels are in `labels/train`; or, when `images` says where the pictures are, it holds
    `labels` or is the folder of labels itself.
    """
    labels = folder / "labels"
    if images:
        labels = labels if labels.is_dir() else folder
        return (images, labels) if next(labels.rglob("*.txt"), None) else None
    if labels.is_dir() and (folder / "images").is_dir():
        return folder / "images", labels
    parts = folder.absolute().parts
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        labels = Path(*parts[:last], "labels", *parts[last + 1 :])
        if labels.is_dir():
            return folder, labels
    return None


def read_yolo(images: Path, labels: Path) -> list[LabelledImage]:
    """Read the label files in `labels` for all pictures in `images`, subfolders included.

    Every box is a face, whatever its class. A picture without a label file has no face. Pixels are
    those of the picture as it is shown, its EXIF orientation applied. A point is not known where v
    is 0 or, without v, where x or y is negative or both are 0; five known points count as set by
    a person.

    Raises:
        LabelError: naming the label file and the line; the picture, if its size cannot be read;
            the folder, if it has no pictures, or none of them a label file.
    """
    named = (path for path in images.rglob("*") if path.suffix.lower() in _PICTURES)
    pictures = sorted(path for path in named if not path.is_dir())
    if not pictures:
        raise LabelError.at(images, None, "holds no picture")
    result = []
    with_file = 0
    for picture in pictures:
        file = (labels / picture.relative_to(images)).with_suffix(".txt")
        text = _text(file)
        with_file += text is not None
        result.append(_read_one(picture, file, text or ""))
    if not with_file:
        problem = f"no picture in {images} has a label file here, wanted for example {file.name}"
        raise LabelError.at(labels, None, problem)
    return result


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise LabelError.at(file, None, "is not UTF-8 text") from error


def _read_one(picture: Path, file: Path, text: str) -> LabelledImage:
    lines = [(n, line.split()) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, fields in lines:
        if len(fields) not in (5, 15, 20):
            problem = (
                f"a box has 5 numbers (class cx cy w h), 15 (and five points x y) or 20 (and five"
                f" points x y v), not {len(fields)}"
            )
            raise LabelError.at(file, number, problem)
        if len(fields) != len(lines[0][1]):
            problem = f"{len(fields)} numbers, but {len(lines[0][1])} in line {lines[0][0]}"
            raise LabelError.at(file, number, problem)
    rows = Rows(file, [number for number, _ in lines], [fields for _, fields in lines])
    values = rows.values
    box, points = values[:, 1:5], values[:, 5:]
    rows.require(
        ((box > -0.01) & (box < 1.01)).all(axis=1),
        "cx cy w h are not fractions of the picture, within 0 and 1",
    )
    rows.require((box[:, 2:] >= 0).all(axis=1), "the width or the height is negative")
    if not lines:
        box, points = np.zeros((0, 4)), np.zeros((0, 0))
    height, width = _shown_size(picture) if lines else (0, 0)
    scale = np.array([width, height])
    corner = (box[:, :2] - box[:, 2:] / 2) * scale
    return assemble(
        [picture],
        [len(box)],
        boxes=np.concatenate([corner, box[:, 2:] * scale], axis=1),
        ignore=np.zeros(len(box), np.bool_),
        landmarks=_landmarks(points) * scale if points.size else None,
    )[0]


def _landmarks(points: Doubles) -> Doubles:
    """(N, 10 or 15) -> (N, 5, 2), NaN where a point is not known."""
    points = points.reshape(len(points), 5, -1)
    place = points[:, :, :2]
    if points.shape[2] == 3:
        known = points[:, :, 2] > 0
    else:
        known = np.asarray((place >= 0).all(axis=2) & (place > 0).any(axis=2))
    return np.where(known[:, :, None], place, np.nan)


def _shown_size(picture: Path) -> Size:
    try:
        return shown_size(picture)
    except ImageError as error:
        problem = "no size can be read from this picture, and its YOLO labels need one"
        raise LabelError.at(picture, None, problem) from error
