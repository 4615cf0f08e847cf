"""Large pictures are looked at twice, and give each face once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface import Detector
from featherface.boxes import iou
from featherface.image import Fitted, fit
from featherface.runtime.large import FACE, LARGE, SHRUNK, add_large_faces
from featherface.types import Detections, Pixels

ASSETS = Path(__file__).resolve().parents[2] / "assets"


class Look:
    """Finds the one white square of a dark picture, unless it is larger than a fifth of LARGE."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, pictures: Sequence[Fitted]) -> list[Detections]:
        return [self.one(picture) for picture in pictures]

    def one(self, picture: Fitted) -> Detections:
        self.seen.append(picture.pixels.shape[:2])
        rows, columns = np.nonzero(picture.pixels[..., 0] > 128)
        side = columns.max() + 1 - columns.min()
        if side > LARGE / 5:
            return Detections.empty()
        box = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
        return Detections(
            picture.fit.undo(np.array(box, np.float32)),
            np.array([0.9 if max(picture.pixels.shape[:2]) > LARGE else 0.8], np.float32),
            np.zeros((1, 5, 2), np.float32),
        )


def square(side: int, *, picture: int) -> Pixels:
    """A white square 100 pixels from the corner."""
    pixels = np.zeros((picture, picture, 3), np.uint8)
    pixels[100 : 100 + side, 100 : 100 + side] = 255
    return pixels


def find(pixels: Pixels, *, long_side: int | None = None) -> tuple[Look, Detections]:
    """Both looks."""
    look = Look()
    picture = fit(pixels, long_side=long_side)
    (found,) = look([picture])
    return look, add_large_faces(look, picture, found, overlap=0.4)


def test_small_pictures_are_looked_at_once() -> None:
    look, found = find(square(40, picture=LARGE))
    assert look.seen == [(LARGE, LARGE)]
    assert len(found) == 1


@pytest.mark.parametrize("long_side", [None, 3 * LARGE])
def test_a_face_too_large_for_the_first_look_is_found_by_the_second(long_side: int | None) -> None:
    look, found = find(square(500, picture=2 * LARGE), long_side=long_side)
    assert look.seen[1:] == [(SHRUNK, SHRUNK)]
    assert found.boxes == pytest.approx(np.array([[100, 100, 600, 600]]), abs=4)


def test_a_face_that_both_see_is_told_once_and_by_the_better_look() -> None:
    look, found = find(square(FACE + 30, picture=2 * LARGE))
    assert len(look.seen) == 2
    assert found.scores.tolist() == pytest.approx([0.9])
    np.testing.assert_array_equal(found.boxes, [[100, 100, FACE + 130, FACE + 130]])


def test_parts_of_a_face_too_large_for_the_first_look_go_and_other_faces_stay() -> None:
    look, picture = Look(), fit(square(900, picture=4 * LARGE))
    boxes = np.array([[300, 300, 700, 700], [2000, 300, 2400, 700]], np.float32)
    first = Detections(boxes, np.array([0.95, 0.3], np.float32), np.zeros((2, 5, 2), np.float32))
    found = add_large_faces(look, picture, first, overlap=0.4)
    assert found.boxes == pytest.approx(np.array([[100, 100, 1000, 1000], boxes[1]]), abs=8)
    assert found.scores.tolist() == pytest.approx([0.8, 0.3])


def test_the_second_look_does_not_meddle_with_small_faces() -> None:
    look, picture = Look(), fit(square(FACE - 30, picture=2 * LARGE))
    found = add_large_faces(look, picture, Detections.empty(), overlap=0.4)
    assert len(look.seen) == 1
    assert len(found) == 0


@pytest.mark.parametrize("width", [1600, 4000])
@pytest.mark.parametrize("name", ["grace_hopper", "astronaut"])
def test_a_portrait_of_any_size_has_its_face(name: str, width: int) -> None:
    with Image.open(ASSETS / f"{name}.jpg") as image:
        portrait = image.convert("RGB")
    detector = Detector()
    usual = detector.detect(portrait)[:1]
    factor = width / portrait.width
    large = detector.detect(portrait.resize((width, round(portrait.height * factor))))
    assert iou(usual.boxes * np.float32(factor), large.boxes[:1]) > 0.7
