"""What the adapters of foreign detectors share: planes of pixels, cells, suppression.

Each adapter has a `find` like `featherface.Detector`'s, so that all go through the same code.
They label pictures and are measured against; nobody needs them to find faces.
"""

from __future__ import annotations

import numpy as np

from featherface import boxes
from featherface.image import Fit
from featherface.runtime.detector import to_picture
from featherface.types import Detections, Floats, Pixels

STRIDES = (8, 16, 32)


def planar(pixels: Pixels, *, order: tuple[int, int, int]) -> Floats:
    """Pixels (H, W, 3) -> (1, 3, H, W) float32; copying plane by plane is the quickest way."""
    height, width = pixels.shape[:2]
    planes = np.empty((1, 3, height, width), np.float32)
    for plane, channel in enumerate(order):
        planes[0, plane] = pixels[..., channel]
    return planes


def cells(places: np.ndarray, columns: int) -> Floats:
    """Cell numbers (N,) of a grid, row after row -> x, y of the cell (N, 2)."""
    return np.stack([places % columns, places // columns], axis=1).astype(np.float32)


def settle(faces: Detections, placed: Fit, *, overlap: float) -> Detections:
    """Suppression, and the way back into the picture, as `featherface.Detector` does both."""
    faces = faces[boxes.nms(faces.boxes, faces.scores, overlap)]
    return to_picture(faces, placed)


def join(levels: list[Detections]) -> Detections:
    """The faces of all levels."""
    return Detections(
        np.concatenate([level.boxes for level in levels]),
        np.concatenate([level.scores for level in levels]),
        np.concatenate([level.landmarks for level in levels]),
    )
