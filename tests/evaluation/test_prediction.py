"""The conditions under which pictures are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface.evaluation.prediction import FACTORS, Conditions, mirror, predict, shrink
from featherface.image import Fitted
from featherface.types import Detections


class Spotter:
    """Finds the one bright square of a dark picture; its left eye is red."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def find(self, pictures: Sequence[Fitted], *, score: float) -> list[Detections]:
        found = []
        for pixels, fit in pictures:
            self.seen.append(pixels.shape[:2])
            rows, columns = np.nonzero(pixels[..., 0] > 128)
            x1, y1, x2, y2 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            box = np.array([[x1, y1, x2, y2]], np.float32)
            points = np.array([[[x1, y1], [x2, y1], [x1, y2], [x1, y2], [x2, y2]]], np.float32)
            faces = Detections(
                fit.undo(box), np.array([0.5 + fit.scale / 10], np.float32), fit.undo(points)
            )
            found.append(faces[faces.scores > score])
        return found


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.zeros((96, 160, 3), np.uint8)
    pixels[32:64, 96:128] = 255
    Image.fromarray(pixels).save(tmp_path / "square.png")
    return tmp_path / "square.png"


BOX = [96, 32, 128, 64]


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ("original", [(96, 160)]),
        (320, [(192, 320)]),
        ("multiscale", [(64, 96)] * 2 + [(96, 160)] * 2 + [(192, 320)] * 2),  # padded to 32
    ],
)
def test_all_conditions_answer_in_pixels_of_the_picture(
    picture: Path, size: str | int, seen: list[tuple[int, int]]
) -> None:
    spotter = Spotter()
    found = predict(spotter, picture, Conditions(size, 0.02, 0.4))  # type: ignore[arg-type]
    assert spotter.seen == seen
    assert np.abs(found.boxes - BOX).max() <= 1.01  # what resizing blurs
    assert len(found) == 1


@pytest.mark.parametrize("side", [96, 97])
def test_a_shrunk_picture_has_its_pixels_at_exact_fractions(side: int) -> None:
    pixels = np.zeros((side, 160, 3), np.uint8)
    pixels[32:64, 96:128] = 255
    small = shrink(pixels, 2)
    assert small.shape == (48, 80, 3)
    wanted = np.zeros_like(small)
    wanted[16:32, 48:64] = 255
    np.testing.assert_array_equal(small, wanted)
    assert shrink(np.zeros((3, 1, 3), np.uint8), 4).shape == (1, 1, 3)


def test_shrinking_comes_before_the_size(picture: Path) -> None:
    spotter = Spotter()
    found = predict(spotter, picture, Conditions("original", 0.02, 0.4, shrink=2))
    assert spotter.seen == [(64, 96)]  # 48 x 80, padded to 32
    np.testing.assert_array_equal(found.boxes, [np.array(BOX) / 2])
    assert str(Conditions("original", 0.02, 0.4, shrink=2)).startswith("shrunk 2 times, score")
    assert str(Conditions(640, 0.02, 0.4, shrink=2)).startswith("shrunk 2 times, then long side")


def test_several_scales_keep_the_best_box_and_mirrored_landmarks(picture: Path) -> None:
    found = predict(Spotter(), picture, Conditions("multiscale", 0.02, 0.4))
    assert found.scores.tolist() == pytest.approx([0.5 + max(FACTORS) / 10])
    left_eye, right_eye, _, left_mouth, right_mouth = found.landmarks[0]
    assert left_eye[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    nothing = predict(Spotter(), picture, Conditions("multiscale", 0.9, 0.4))
    assert len(nothing) == 0


def test_mirror_twice_is_nothing(rng: np.random.Generator) -> None:
    corner = rng.integers(0, 50, (4, 2))
    found = Detections(
        np.concatenate([corner, corner + 20], axis=1).astype(np.float32),
        np.ones(4, np.float32),
        rng.integers(0, 60, (4, 5, 2)).astype(np.float32),
    )
    once = mirror(found, 100)
    assert (once.boxes[:, 0] < once.boxes[:, 2]).all()
    assert np.array_equal(once.landmarks[:, 0, 0], 100 - found.landmarks[:, 1, 0])
    twice = mirror(once, 100)
    assert np.array_equal(twice.boxes, found.boxes)
    assert np.array_equal(twice.landmarks, found.landmarks)


def test_conditions_say_everything() -> None:
    assert str(Conditions("original", 0.02, 0.4)) == (
        "original size, score floor 0.02, suppression IoU 0.4"
    )
    assert str(Conditions(640, 0.02, 0.4)).startswith("long side 640, ")
    assert str(Conditions("multiscale", 0.02, 0.4)).startswith("scales 0.5, 1, 2 and mirrored, ")
