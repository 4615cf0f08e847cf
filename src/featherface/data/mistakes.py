"""Where an earlier network saw faces that are none, so that training shows it these places."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featherface.boxes import area, intersection
from featherface.data.labelled import LabelError, LabelledImage
from featherface.types import Bools, Floats

TOUCH = 0.1  # share of the smaller box; what shares more with a label is no clear mistake


def read_mistakes(path: Path, images: Sequence[LabelledImage]) -> list[Floats]:
    """The boxes that touch no label, whether face or ignore region, for each picture.

    Args:
        path: what `featherface detect PICTURES --output FILE.jsonl` wrote of these pictures; some
            may be missing there. The --score it was given decides which mistakes count.
        images: the labelled pictures.

    Returns:
        (N, 4) xyxy in pixels for each of `images`, in their order.

    Raises:
        LabelError: a line is no such record (the message names file and line), or the file knows
            none of the pictures.
        OSError: the file cannot be read.
    """
    found: dict[Path, Floats] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            record = json.loads(line)
            boxes = [face["box"] for face in record.get("faces", [])]
            found[Path(record["path"]).resolve()] = np.array(boxes, np.float32).reshape(-1, 4)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            wanted = "wanted a line of `featherface detect --output FILE.jsonl`"
            raise LabelError.at(path, number, f"{wanted} ({error})") from error
    nothing = np.zeros((0, 4), np.float32)
    known = [found.get(image.path.resolve()) for image in images]
    if all(boxes is None for boxes in known):
        raise LabelError.at(path, None, f"knows none of the pictures, such as {images[0].path}")
    return [
        nothing if boxes is None else boxes[~_touches(boxes, image.boxes)]
        for boxes, image in zip(known, images, strict=True)
    ]


def _touches(boxes: Floats, labels: Floats) -> Bools:
    """(N, 4) and (M, 4) -> (N,) bool."""
    smaller = np.minimum(area(boxes)[:, None], area(labels)[None])
    return np.asarray((intersection(boxes, labels) > TOUCH * smaller).any(axis=1))
