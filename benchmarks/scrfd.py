"""SCRFD (Guo et al., ICLR 2022) in ONNX Runtime: its own preparation and decoding, in numpy.

RGB, (x - 127.5) / 128. Two predictions a cell: the box is four distances from the cell's corner,
in strides, landmarks are offsets from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featherface.image import Fitted
from featherface.types import Detections, Floats, Size
from peer import STRIDES, cells, join, open_graph, planar, settle

OVERLAP = 0.4
"""IoU for suppression in the authors' ONNX code."""

PARAMETERS = 626_354
"""Those in the published file: batch norms are folded in, and were not told apart from it."""

PER_CELL = 2
OUTPUTS = [f"out{index}" for index in range(9)]


class Scrfd:
    """Finds faces; `graph` is the released file with a free input size."""

    def __init__(self, graph: Path, *, threads: int) -> None:
        self._session = open_graph(graph, threads=threads)

    def find(self, pictures: Sequence[Fitted], *, score: float) -> list[Detections]:
        """Finds the faces of each picture, in pixels of the picture that was fitted."""
        return [self._find(picture, score) for picture in pictures]

    def _find(self, picture: Fitted, score: float) -> Detections:
        planes = planar(picture.pixels, order=(0, 1, 2))
        planes -= 127.5
        planes *= 1 / 128
        outputs = self._session.run(OUTPUTS, {"images": planes})
        height, width = picture.pixels.shape[:2]
        found = decode([each[0] for each in outputs], (height, width), score=score)
        return settle(found, picture.fit, overlap=OVERLAP)


def decode(outputs: Sequence[Floats], size: Size, *, score: float) -> Detections:
    """Predictions above `score`, in pixels of the input.

    Args:
        outputs: scores (A, 1) at strides 8, 16, 32, then boxes (A, 4), landmarks (A, 10).
        size: of the input.
        score: 0 to 1.
    """
    levels = []
    confidences, distances, points = (outputs[first : first + 3] for first in (0, 3, 6))
    for level, stride in enumerate(STRIDES):
        scores = confidences[level][:, 0]
        places = np.flatnonzero(scores > score)
        corner = cells(places // PER_CELL, size[1] // stride)  # (N, 2)
        distance = distances[level][places]
        box = np.concatenate([corner - distance[:, :2], corner + distance[:, 2:]], axis=1)
        landmarks = corner[:, None] + points[level][places].reshape(-1, 5, 2)
        levels.append(Detections(box * stride, scores[places], landmarks * stride))
    return join(levels)
