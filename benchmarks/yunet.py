"""YuNet (Wu et al., 2023) in ONNX Runtime: its own preparation and decoding, in numpy.

BGR, 0 to 255. One prediction a cell: the score is the root of class times objectness, the box a
centre and logarithmic sides in strides from the cell's corner, landmarks offsets from it likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featherface.image import Fitted
from featherface.runtime.foreign import STRIDES, cells, join, planar, settle
from featherface.runtime.session import open_graph
from featherface.types import Detections, Floats, Size

OVERLAP = 0.45
"""IoU for suppression in the authors' test configuration."""

PARAMETERS = 75_856
"""As published, batch norms included."""

OUTPUTS = [f"{name}_{stride}" for name in ("cls", "obj", "bbox", "kps") for stride in STRIDES]


class YuNet:
    """Finds faces; `graph` is the released file with a free input size."""

    def __init__(self, graph: Path, *, threads: int) -> None:
        self._session = open_graph(graph.read_bytes(), threads=threads)

    def find(self, pictures: Sequence[Fitted], *, score: float) -> list[Detections]:
        """Finds the faces of each picture, in pixels of the picture that was fitted."""
        return [self._find(picture, score) for picture in pictures]

    def _find(self, picture: Fitted, score: float) -> Detections:
        outputs = self._session.run(OUTPUTS, {"input": planar(picture.pixels, order=(2, 1, 0))})
        height, width = picture.pixels.shape[:2]
        found = decode([each[0] for each in outputs], (height, width), score=score)
        return settle(found, picture.fit, overlap=OVERLAP)


def decode(outputs: Sequence[Floats], size: Size, *, score: float) -> Detections:
    """Predictions above `score`, in pixels of the input.

    Args:
        outputs: class (A, 1) at strides 8, 16, 32, then objectness (A, 1), boxes (A, 4),
            landmarks (A, 10).
        size: of the input.
        score: 0 to 1.
    """
    levels = []
    classes, objects, codes, points = (outputs[first : first + 3] for first in (0, 3, 6, 9))
    for level, stride in enumerate(STRIDES):
        scores = np.sqrt(classes[level][:, 0] * objects[level][:, 0])
        places = np.flatnonzero(scores > score)
        corner = cells(places, size[1] // stride)  # (N, 2)
        code = codes[level][places]
        centre = corner + code[:, :2]
        half = np.exp(code[:, 2:]) / 2
        landmarks = corner[:, None] + points[level][places].reshape(-1, 5, 2)
        box = np.concatenate([centre - half, centre + half], axis=1)
        levels.append(Detections(box * stride, scores[places], landmarks * stride))
    return join(levels)
