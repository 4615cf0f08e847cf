"""Under which conditions pictures are looked at, which is half of what a figure means.

Three in the field go by names: the original size; a long side of 640, called VGA; and several
scales with their mirror images, whose boxes are pooled and suppressed together. Whatever the
condition, pictures can be made smaller first: then there are many small faces in them, and people
or machines have labelled these when they were larger and easier to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from PIL import Image

from featherface.boxes import nms
from featherface.image import Fitted, fit, load
from featherface.types import Detections, Pixels

FACTORS = (0.5, 1.0, 2.0)
"""Scales of the multi-scale conditions, as shares of the original size."""

MIRRORED = np.array([1, 0, 2, 4, 3])
"""Where the landmarks of a mirrored face stand: left and right change places."""


class Finder(Protocol):
    """What finds faces; a `Detector` is one."""

    def find(self, pictures: Sequence[Fitted], *, score: float) -> list[Detections]:
        """The faces of each fitted picture, in pixels of the picture it was made from."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How a detector is run.

    Attributes:
        size: "original", the pixels of the long side, or "multiscale".
        score: boxes that score less are not reported.
        overlap: IoU above which the weaker of two boxes is suppressed.
        shrink: pictures are made so many times smaller before all else.
    """

    size: int | Literal["original", "multiscale"]
    score: float
    overlap: float
    shrink: float = 1.0

    def __str__(self) -> str:
        if self.size == "original":
            scale = "original size"
        elif self.size == "multiscale":
            scale = f"scales {', '.join(f'{factor:g}' for factor in FACTORS)} and mirrored"
        else:
            scale = f"long side {self.size}"
        if self.shrink != 1:
            shrunk = f"shrunk {self.shrink:g} times"
            scale = shrunk if self.size == "original" else f"{shrunk}, then {scale}"
        return f"{scale}, score floor {self.score:g}, suppression IoU {self.overlap:g}"


def predict(finder: Finder, picture: Path, conditions: Conditions) -> Detections:
    """The faces of one picture, best score first, in pixels of the picture once it is shrunk.

    Raises:
        ImageError: the picture cannot be read.
    """
    source = shrink(load(picture), conditions.shrink) if conditions.shrink != 1 else picture
    if conditions.size == "multiscale":
        return _pool(finder, load(source), conditions)
    long_side = None if conditions.size == "original" else conditions.size
    return finder.find([fit(source, long_side=long_side)], score=conditions.score)[0]


def shrink(pixels: Pixels, times: float) -> Pixels:
    """Averages areas of times x times pixels; what does not fill one at the far ends is cut off.

    So every pixel (x, y) of the picture lies at exactly (x / times, y / times).
    """
    height, width = (max(1, int(side / times)) for side in pixels.shape[:2])
    window = (0, 0, min(width * times, pixels.shape[1]), min(height * times, pixels.shape[0]))
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX, box=window))


def _pool(finder: Finder, pixels: Pixels, conditions: Conditions) -> Detections:
    """All scales and mirror images, suppressed as one."""
    height, width = pixels.shape[:2]
    views = []
    for factor in FACTORS:
        long_side = None if factor == 1 else max(1, round(factor * max(height, width)))
        for mirrored in (False, True):
            view = np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels
            found = finder.find([fit(view, long_side=long_side)], score=conditions.score)[0]
            views.append(mirror(found, width) if mirrored else found)
    pooled = Detections(
        np.concatenate([view.boxes for view in views]),
        np.concatenate([view.scores for view in views]),
        np.concatenate([view.landmarks for view in views]),
    )
    return pooled[nms(pooled.boxes, pooled.scores, conditions.overlap)]


def mirror(found: Detections, width: int) -> Detections:
    """The same faces in the mirror image of a picture that is `width` pixels wide."""
    boxes, landmarks = found.boxes.copy(), found.landmarks[:, MIRRORED].copy()
    boxes[:, [0, 2]] = width - found.boxes[:, [2, 0]]
    landmarks[..., 0] = width - landmarks[..., 0]
    return Detections(boxes, found.scores, landmarks)
