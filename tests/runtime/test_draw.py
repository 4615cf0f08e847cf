"""Detections drawn on pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface.runtime.draw import draw, encode
from featherface.types import Bools, Detections, Pixels


def faces(*boxes: tuple[float, float, float, float]) -> Detections:
    corners = np.asarray(boxes, np.float32).reshape(-1, 4)
    inside = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    sides = corners[:, None, 2:] - corners[:, None, :2]
    return Detections(
        corners, np.ones(len(corners), np.float32), corners[:, None, :2] + inside * sides
    )


def changed(before: Pixels, after: Image.Image) -> Bools:
    return np.any(np.asarray(after) != before, axis=2)


def test_no_face_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    before = pixels.copy()
    assert not changed(before, draw(pixels, Detections.empty())).any()


def test_the_given_picture_is_not_drawn_on() -> None:
    pixels = np.zeros((200, 200, 3), np.uint8)
    assert changed(pixels, draw(pixels, faces((50, 50, 150, 150)))).any()
    assert not pixels.any()


@pytest.mark.parametrize("side", [4, 8, 16, 32, 100])
def test_a_face_stays_visible_in_its_box(side: int) -> None:
    """Lines lie around the face, and the dots on it cover little of it."""
    pixels = np.zeros((400, 600, 3), np.uint8)
    mask = changed(pixels, draw(pixels, faces((200, 100, 200 + side, 100 + side))))
    face = mask[101 : 100 + side, 201 : 200 + side]
    assert mask.sum() > 4 * side, "there is a box"
    assert face.mean() < 0.1


def test_lines_grow_with_the_picture() -> None:
    shares = []
    for scale in (1, 4):
        pixels = np.zeros((400 * scale, 600 * scale, 3), np.uint8)
        box = tuple(scale * side for side in (100, 100, 300, 300))
        shares.append(changed(pixels, draw(pixels, faces(box))).mean())  # type: ignore[arg-type]
    assert shares[1] == pytest.approx(shares[0], rel=0.5)


def test_boxes_at_and_beyond_the_border() -> None:
    pixels = np.zeros((50, 80, 3), np.uint8)
    image = draw(pixels, faces((0, 0, 80, 50), (79.5, 49.5, 80, 50)))
    assert image.size == (80, 50)


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.TIF", "a.ppm", "a.bmp", "a"]
)
def test_the_format_comes_from_the_suffix(name: str) -> None:
    suffix = Path(name).suffix
    with Image.open(io.BytesIO(encode(Image.new("RGB", (20, 10), "white"), suffix))) as found:
        assert found.size == (20, 10)
        assert found.format == {".jpg": "JPEG", ".tif": "TIFF", "": "PNG"}.get(
            suffix.lower(), suffix[1:].upper()
        )


def test_detections_draw_themselves() -> None:
    pixels = np.zeros((200, 200, 3), np.uint8)
    found = faces((50, 50, 150, 150))
    np.testing.assert_array_equal(found.draw(pixels), draw(pixels, found))
