"""A picture in tiles has the faces of the whole one, each once, wherever the edges fall."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface import Detections, Detector
from featherface.boxes import intersection, iou
from featherface.image import Fit, Fitted
from featherface.runtime.tiles import find_in_tiles
from featherface.types import Floats, Pixels

ROOT = Path(__file__).resolve().parents[2]


class Blobs:
    """Finds filled rectangles, each of a colour of its own, and is fooled by cut ones.

    Attributes:
        largest: sides of the pictures it was given.
    """

    def __init__(self) -> None:
        self.largest = 0

    def __call__(self, pictures: Sequence[Fitted]) -> list[Detections]:
        self.largest = max(self.largest, *(max(each.pixels.shape[:2]) for each in pictures))
        return [self._find(each.pixels) for each in pictures]

    def _find(self, pixels: Pixels) -> Detections:
        boxes = []
        for colour in set(pixels[..., 0].ravel().tolist()) - {0}:
            rows, columns = np.nonzero(pixels[..., 0] == colour)
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            if min(box[2] - box[0], box[3] - box[1]) >= 6 and len(rows) > 30:
                boxes.append(box)
        corners = np.array(boxes, np.float32).reshape(-1, 4)
        points = np.repeat(corners[:, None, :2], 5, axis=1) + 1
        return Detections(corners, np.full(len(boxes), 0.9, np.float32), points)


def picture(boxes: Floats, size: tuple[int, int]) -> Fitted:
    pixels = np.zeros((*size, 3), np.uint8)
    for number, (x1, y1, x2, y2) in enumerate(boxes.astype(int), 1):
        pixels[y1:y2, x1:x2] = 10 * number
    return Fitted(pixels, Fit(size))


@pytest.mark.parametrize("offset", range(0, 128, 8))
@pytest.mark.parametrize("side", [20, 50])
def test_a_face_on_an_edge_comes_once_and_whole(offset: int, side: int) -> None:
    corner = np.array([[70 + offset, 200], [300, 70 + offset], [250 + offset, 250 + offset]])
    boxes = np.concatenate([corner, corner + side], axis=1).astype(np.float32)
    found = find_in_tiles(Blobs(), picture(boxes, (512, 512)), side=160, overlap=0.4)
    assert len(found) == 3
    overlap = iou(boxes, found.boxes)
    assert (overlap.max(axis=1) > 0.99).all()
    own = found.boxes[overlap.argmax(axis=1)]
    np.testing.assert_allclose(
        found.landmarks[overlap.argmax(axis=1)], np.repeat(own[:, None, :2], 5, axis=1) + 1
    )


@pytest.mark.parametrize("side", [60, 100, 200, 400, 700])
def test_a_face_larger_than_a_tile_comes_once_and_whole(side: int) -> None:
    boxes = np.array([[150, 90, 150 + side, 90 + side]], np.float32)
    look = Blobs()
    found = find_in_tiles(look, picture(boxes, (832, 1024)), side=128, overlap=0.4)
    assert look.largest == 128
    assert len(found) == 1
    assert iou(boxes, found.boxes)[0, 0] > 0.8


@pytest.mark.parametrize("size", [(96, 128), (128, 64), (128, 4096), (2048, 160)])
def test_extreme_shapes(size: tuple[int, int]) -> None:
    boxes = np.array([[4, 40, 24, 60], [size[1] - 24, size[0] - 24, size[1] - 4, size[0] - 4]])
    found = find_in_tiles(Blobs(), picture(boxes.astype(np.float32), size), side=128, overlap=0.4)
    assert len(found) == 2


def test_no_faces() -> None:
    empty = picture(np.zeros((0, 4), np.float32), (512, 512))
    assert len(find_in_tiles(Blobs(), empty, side=128, overlap=0.4)) == 0


def test_a_picture_of_one_tile_is_looked_at_as_ever(toy_graph: Path) -> None:
    pixels = np.zeros((90, 150, 3), np.uint8)
    pixels[32:64, 64:96, 0] = 255
    plain, tiled = Detector(toy_graph), Detector(toy_graph, tiles=160)
    for name in ("boxes", "scores", "landmarks"):
        np.testing.assert_array_equal(
            getattr(plain.detect(pixels), name), getattr(tiled.detect(pixels), name)
        )


def test_size_comes_before_tiles(toy_graph: Path) -> None:
    """The picture is scaled, then cut; faces come back in its own pixels."""
    pixels = np.zeros((256, 320, 3), np.uint8)
    pixels[64:80, 160:176, 0] = 255  # a cell of 32 pixels once it is enlarged
    (faces,) = Detector(toy_graph, size=640, tiles=160).detect_batch([pixels])
    np.testing.assert_allclose(faces.boxes, [[160, 64, 176, 80]], atol=0.01)
    assert len(Detector(toy_graph).detect(pixels)) == 0


def test_the_collage_in_tiles() -> None:
    """The real network: all that it is sure of at once, and none twice."""
    path = ROOT / "assets" / "collage.jpg"
    known = np.array(json.loads(path.with_suffix(".json").read_text())["boxes"], np.float32)
    for side in (320, 640):
        found = Detector(tiles=side).detect(path)
        overlap = iou(known, found.boxes) >= 0.5
        large = known[:, 3] - known[:, 1] >= 24
        assert overlap.any(axis=1)[large].all()
        assert (overlap.sum(axis=1) <= 1).all()
        assert (~overlap.any(axis=0)).sum() <= 6


def test_a_portrait_that_fills_a_large_picture() -> None:
    with Image.open(ROOT / "assets" / "astronaut.jpg") as photograph:
        large = np.asarray(photograph.resize((2048, 2048), Image.Resampling.BICUBIC))
    small = Detector().detect(ROOT / "assets" / "astronaut.jpg")
    found = Detector(tiles=640).detect(large)
    shared = intersection(4 * small.boxes[:1], found.boxes)[0]
    (best,) = np.flatnonzero(shared)
    assert iou(4 * small.boxes[:1], found.boxes)[0, best] > 0.75
