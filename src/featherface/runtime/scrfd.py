"""SCRFD (Guo et al., ICLR 2022) in ONNX Runtime: its own preparation and decoding, in numpy.

RGB, (x - 127.5) / 128. Two predictions a cell: the box is four distances from the cell's corner,
in strides, landmarks are offsets from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featherface.image import Fitted
from featherface.metadata import ModelError
from featherface.runtime.foreign import STRIDES, cells, join, planar, settle
from featherface.runtime.session import open_graph
from featherface.types import Detections, Floats, Pixels, Size

OVERLAP = 0.4
"""IoU for suppression in the authors' ONNX code."""

PARAMETERS = 626_354
"""Those in the published file: batch norms are folded in, and were not told apart from it."""

PER_CELL = 2
OUTPUTS = [f"out{index}" for index in range(9)]


class Scrfd:
    """Finds faces with a released file, or with one whose input size was freed.

    Attributes:
        size: height and width of the only input that the file takes; None if it takes any.
    """

    size: Size | None

    def __init__(self, graph: Path, *, threads: int) -> None:
        """Opens a graph.

        Raises:
            ModelError: it is no SCRFD with landmarks.
        """
        self._graph = graph
        try:
            self._session = open_graph(graph.read_bytes(), threads=threads)
            (entry,) = self._session.get_inputs()
        except Exception as error:  # ONNX Runtime's errors have no common parent of their own
            raise ModelError(f"{graph}: is no SCRFD ({str(error).splitlines()[0]})") from error
        if [output.name for output in self._session.get_outputs()] != OUTPUTS:
            raise ModelError(f"{graph}: is no SCRFD with landmarks, whose outputs are out0 to out8")
        self._input = entry.name
        height, width = entry.shape[2:]
        self.size = (height, width) if isinstance(height, int) else None

    def find(self, pictures: Sequence[Fitted], *, score: float) -> list[Detections]:
        """Finds the faces of each picture, in pixels of the picture that was fitted."""
        return [self._find(picture, score) for picture in pictures]

    def _find(self, picture: Fitted, score: float) -> Detections:
        pixels = picture.pixels if self.size is None else _padded(picture.pixels, self.size)
        planes = planar(pixels, order=(0, 1, 2))
        planes -= 127.5
        planes *= 1 / 128
        height, width = pixels.shape[:2]
        try:
            outputs = self._session.run(OUTPUTS, {self._input: planes})
            found = decode([each[0] for each in outputs], (height, width), score=score)
        except Exception as error:  # as above; or outputs of other shapes
            reason = str(error).splitlines()[0]
            raise ModelError(f"{self._graph}: fails at {width} x {height} ({reason})") from error
        return settle(found, picture.fit, overlap=OVERLAP)


def _padded(pixels: Pixels, size: Size) -> Pixels:
    """The picture at the top left of an input of `size`."""
    height, width = pixels.shape[:2]
    room = ((0, size[0] - height), (0, size[1] - width), (0, 0))
    return np.pad(pixels, room)


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
