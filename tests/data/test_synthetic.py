"""Drawn faces: exact labels, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from featherface.boxes import intersection
from featherface.data.labels import read_labels
from featherface.data.synthetic import _Pose, draw_faces, write_dataset


@given(
    seed=st.integers(0, 2**32),
    height=st.integers(40, 300),
    width=st.integers(40, 300),
    count=st.integers(0, 6),
)
@settings(max_examples=30)
def test_faces_lie_inside_and_apart(seed: int, height: int, width: int, count: int) -> None:
    drawn = draw_faces(np.random.default_rng(seed), (height, width), min(count, 2))
    assert drawn.picture.shape == (height, width, 3)
    assert drawn.picture.dtype == np.uint8
    boxes, points = drawn.boxes, drawn.landmarks
    assert len(boxes) == min(count, 2)
    assert points.shape == (len(boxes), 5, 2)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (width, height)).all()
    apart = intersection(boxes, boxes)
    np.fill_diagonal(apart, 0)
    assert not apart.any()
    assert (points > boxes[:, None, :2]).all()
    assert (points < boxes[:, None, 2:]).all()
    assert (points[:, 0, 0] < points[:, 1, 0]).all()  # left and right of the picture
    assert (points[:, 3, 0] < points[:, 4, 0]).all()
    assert (points[:, :2, 1].max(axis=1) < points[:, 3:, 1].min(axis=1)).all()


def test_heights_are_those_asked_for(rng: np.random.Generator) -> None:
    wanted = [300, 120, 60, 31.5, 16, 10]
    drawn = draw_faces(rng, (480, 640), wanted)
    np.testing.assert_allclose(drawn.boxes[:, 3] - drawn.boxes[:, 1], wanted, rtol=1e-4)
    assert len(draw_faces(rng, (64, 64), []).boxes) == 0


def test_pixels_show_what_the_labels_say(rng: np.random.Generator) -> None:
    for _ in range(10):
        drawn = draw_faces(rng, (320, 320), [200])
        grey = drawn.picture.mean(axis=2)
        side = drawn.boxes[0, 2] - drawn.boxes[0, 0]
        for x, y in drawn.landmarks[0, :2]:
            pupil = grey[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].mean()
            rim = 0.085 * side
            white = [grey[int(y), int(x + shift)] for shift in (-rim, rim)]
            assert pupil + 40 < np.mean(white)


def test_no_room_is_an_error(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="no room"):
        draw_faces(rng, (100, 100), [90, 90])
    with pytest.raises(ValueError, match="10 to 300"):
        draw_faces(rng, (100, 100), [5])
    assert len(draw_faces(rng, (64, 64), 6).boxes) == 6  # random heights give way


def test_a_dataset_is_read_back_and_repeats(tmp_path: Path) -> None:
    files = [
        write_dataset(tmp_path / name, np.random.default_rng(seed), pictures=5, size=(96, 128))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    texts = [file.read_text() for file in files]
    assert texts[0] == texts[1] != texts[2]
    images = read_labels(tmp_path / "a")
    again = read_labels(tmp_path / "b")
    assert [image.path.suffix for image in images] == [".jpg", ".jpg", ".jpg", ".png", ".jpg"]
    for image, other in zip(images, again, strict=True):
        assert image.path.read_bytes() == other.path.read_bytes()
        assert image.human_landmarks.all()
        with Image.open(image.path) as stored:
            assert stored.size == (128, 96)


@given(
    tilt=st.floats(-0.5, 0.5),
    width=st.floats(4, 150),
    height=st.floats(5, 150),
    x=st.floats(0, 500),
)
def test_the_box_touches_the_tilted_ellipse(
    tilt: float, width: float, height: float, x: float
) -> None:
    pose = _Pose(np.array([x, 100.0]), np.array([width, height]), tilt, np.array([0.1, 0.05]))
    around = np.linspace(0, 2 * np.pi, 5000)
    ellipse = pose.points(np.stack([np.cos(around), np.sin(around)], axis=1), fixed=True)
    drawn = np.concatenate([ellipse.min(axis=0), ellipse.max(axis=0)])
    np.testing.assert_allclose(pose.box(), drawn, atol=1e-3)
