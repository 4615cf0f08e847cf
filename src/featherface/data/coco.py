"""Boxes, and five landmarks where there are any, from a COCO JSON file (Lin et al., 2014)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from featherface.data.labelled import LabelError, LabelledImage, Rows, assemble, picture_folder


def read_coco(path: Path, text: str, images: Path | None) -> list[LabelledImage]:
    """Parse the `text` of the file `path`.

    Every box is a face, whatever its category (with mask, without mask); but if boxes of a
    category called "face" occur, only these. Crowd regions (`iscrowd`) and those marked `ignore`
    are ignore regions. Keypoints count when there are five, in the order left eye, right eye,
    nose, left mouth corner, right mouth corner as seen in the picture; if all are known, as set
    by a person.

    Args:
        path: the file, for messages, and to look for pictures near it.
        text: its contents.
        images: the folder that `file_name` is relative to; by default the file's own, or its
            `images`, or the same one folder up, where the pictures are.

    Raises:
        LabelError: naming the file and the line or the entry.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise LabelError.at(path, error.lineno, f"broken JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise LabelError.at(path, None, f"broken JSON: {error}") from error
    names: dict[str, int] = {}  # to the position in the file
    index: dict[int | str, int] = {}
    for position, (place, entry) in enumerate(_entries(path, data, "images")):
        name, key = entry.get("file_name"), _key(path, place, entry, "id")
        if not isinstance(name, str) or not name:
            raise LabelError.at(path, place, "has no file_name")
        if name in names or key in index:
            raise LabelError.at(path, place, f"repeats the id or file_name of another: {name}")
        names[name] = index[key] = position
    if not names:
        raise LabelError.at(path, None, 'lists no picture: "images" is empty')

    faces = _face_categories(path, data)
    found: list[tuple[int, str, dict[str, Any]]] = []
    for place, entry in _entries(path, data, "annotations"):
        key = _key(path, place, entry, "image_id")
        if key not in index:
            raise LabelError.at(path, place, f"no picture has the id {key!r}")
        if not faces or entry.get("category_id") in faces:
            found.append((index[key], place, entry))
    found.sort(key=lambda item: item[0])

    places = [place for _, place, _ in found]
    boxes = Rows(path, places, [_numbers(path, place, e, "bbox", 4) for _, place, e in found])
    points = Rows(path, places, [_keypoints(path, place, e) for _, place, e in found])
    xywh = boxes.values.reshape(-1, 4)
    boxes.require((xywh[:, 2:] >= 0).all(axis=1), "the width or the height is negative")
    marks = points.values.reshape(-1, 5, 3)
    beside = [path.parent, path.parent / "images", path.parent.parent]
    beside.append(path.parent.parent / "images")
    folder = picture_folder(list(names), [images] if images else beside)
    return assemble(
        [folder / name for name in names],
        np.bincount([picture for picture, _, _ in found], minlength=len(names)).tolist(),
        boxes=xywh,
        ignore=np.array([bool(e.get("iscrowd") or e.get("ignore")) for _, _, e in found], np.bool_),
        landmarks=np.where(marks[:, :, 2:] > 0, marks[:, :, :2], np.nan),
    )


def _entries(path: Path, data: object, name: str) -> list[tuple[str, dict[str, Any]]]:
    """The dictionaries of one of the lists of a COCO file, with what to call each."""
    items = data.get(name) if isinstance(data, dict) else None
    if not isinstance(items, list):
        problem = f'a COCO file is an object with a list "{name}"'
        raise LabelError.at(path, None, problem)
    entries = [(f"{name}[{position}]", item) for position, item in enumerate(items)]
    for place, item in entries:
        if not isinstance(item, dict):
            raise LabelError.at(path, place, "wanted an object")
    return entries


def _key(path: Path, place: str, entry: dict[str, Any], name: str) -> int | str:
    value = entry.get(name)
    if not isinstance(value, int | str):
        raise LabelError.at(
            path, place, f'wanted a number or a text as "{name}", not {value!r:.80}'
        )
    return value


def _face_categories(path: Path, data: dict[str, Any]) -> set[int | str]:
    """Categories called face, if a box uses one (some tools add one that none uses)."""
    if "categories" not in data:
        return set()
    named = {
        _key(path, place, entry, "id")
        for place, entry in _entries(path, data, "categories")
        if str(entry.get("name")).lower() in ("face", "faces")
    }
    if not named:
        return set()
    used = [
        _key(path, place, entry, "category_id")
        for place, entry in _entries(path, data, "annotations")
    ]
    return named.intersection(used)


def _numbers(path: Path, place: str, entry: dict[str, Any], name: str, count: int) -> list[float]:
    values = entry.get(name)
    if not isinstance(values, list) or len(values) != count:
        raise LabelError.at(path, place, f'wanted {count} numbers as "{name}", not {values!r:.80}')
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise LabelError.at(path, place, f'{value!r:.80} in "{name}" is not a number')
    return values


def _keypoints(path: Path, place: str, entry: dict[str, Any]) -> list[float]:
    """Five points x y v; all unknown for the keypoints of another skeleton, or none."""
    points = entry.get("keypoints")
    if not isinstance(points, list) or len(points) != 15:
        return [0.0] * 15
    return _numbers(path, place, entry, "keypoints", 15)
