"""Faces cut out: aligned by the best similarity transform, or along their box."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from featherface import Detections, ImageError
from featherface.runtime.crop import SIDE, TEMPLATE, Doubles, similarity


def turned(points: Doubles, angle: float, scale: float, shift: tuple[float, float]) -> Doubles:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + shift


def apply(transform: Doubles, points: Doubles) -> Doubles:
    return points @ transform[:, :2].T + transform[:, 2]


@given(
    angle=st.floats(-3.1, 3.1),
    scale=st.floats(0.01, 50),
    shift=st.tuples(st.floats(-999, 999), st.floats(-999, 999)),
)
def test_a_similar_figure_is_met_exactly(
    angle: float, scale: float, shift: tuple[float, float]
) -> None:
    transform = similarity(turned(TEMPLATE, angle, scale, shift), TEMPLATE)
    np.testing.assert_allclose(
        apply(transform, turned(TEMPLATE, angle, scale, shift)), TEMPLATE, atol=1e-6
    )


@pytest.mark.parametrize("seed", range(20))
def test_nothing_near_it_is_better(seed: int) -> None:
    """Noisy points: least squares over all turns, scales and shifts, by the normal equations."""
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(2, 5, 2))
    transform = similarity(source, target)
    (a, b), (c, d) = transform[:, :2]
    assert a == pytest.approx(d)
    assert b == pytest.approx(-c)
    # x' = a x - c y + e, y' = c x + a y + f is linear in a, c, e, f
    x, y = source.T
    one, none = np.ones(5), np.zeros(5)
    rows = np.concatenate(
        [np.stack([x, -y, one, none], axis=1), np.stack([y, x, none, one], axis=1)]
    )
    best = np.linalg.lstsq(rows, target.T.ravel(), rcond=None)[0]
    np.testing.assert_allclose([a, c, *transform[:, 2]], best, atol=1e-9)


def test_a_mirror_image_is_not_mirrored_back() -> None:
    transform = similarity(TEMPLATE * [-1, 1], TEMPLATE)
    assert np.linalg.det(transform[:, :2]) > 0


def test_points_that_are_one() -> None:
    with pytest.raises(ValueError, match="all landmarks of a face are one point"):
        similarity(np.ones((5, 2)), TEMPLATE)


def face(points: Doubles, box: tuple[float, float, float, float] = (0, 0, 9, 9)) -> Detections:
    return Detections(
        np.array([box], np.float32), np.ones(1, np.float32), points[None].astype(np.float32)
    )


def chart(angle: float, scale: float, shift: tuple[float, float], side: int) -> Image.Image:
    """A picture in which smooth colours tell where in the aligned face each pixel belongs."""
    back = similarity(turned(TEMPLATE, angle, scale, shift), TEMPLATE)
    rows, columns = np.mgrid[:side, :side] + 0.5
    at = apply(back, np.stack([columns, rows], axis=-1).reshape(-1, 2)).reshape(side, side, 2)
    colours = np.concatenate([at, at[..., :1] * 0 + 50], axis=-1)
    return Image.fromarray(np.clip(colours, 0, 255).round().astype(np.uint8))


@pytest.mark.parametrize(
    ("angle", "scale", "shift"),
    [(0, 1, (100, 80)), (0.6, 0.4, (150, 90)), (-2.5, 2.2, (350, 250)), (0.2, 5.3, (60, 40))],
)
def test_every_pixel_comes_from_its_place(
    angle: float, scale: float, shift: tuple[float, float]
) -> None:
    picture = chart(angle, scale, shift, 700)
    (cut,) = face(turned(TEMPLATE, angle, scale, shift)).crop(picture)
    assert cut.size == (SIDE, SIDE)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    wanted = np.stack([columns, rows], axis=-1)
    inside = np.asarray(cut)[..., 2] > 49
    assert inside.mean() > 0.8
    error = np.abs(np.asarray(cut, np.float64)[..., :2] - wanted)[inside]
    assert error.mean() < 0.8  # colours are whole numbers
    assert np.percentile(error, 99) < 1.6


def test_a_large_face_is_averaged() -> None:
    """Single pixels of a fine pattern would make stripes of it."""
    board = np.indices((1200, 1200)).sum(axis=0) % 2 * 255
    picture = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    (cut,) = face(turned(TEMPLATE, 0, 10, (30, 30))).crop(picture)
    assert np.asarray(cut).std() < 5
    assert np.asarray(cut).mean() == pytest.approx(127.5, abs=5)


@pytest.mark.parametrize("shift", [(-60, -60), (40, 30), (-500, 0), (500, 900)])
def test_what_lies_beyond_the_picture_is_black(shift: tuple[float, float]) -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    (cut,) = face(turned(TEMPLATE, 0, 1, shift)).crop(white)
    share = np.prod(np.clip(100 - np.abs(np.array(shift)) + (np.array(shift) < 0) * 12, 0, 112))
    assert (np.asarray(cut) > 128).all(axis=2).sum() == pytest.approx(share, abs=250)


def test_along_the_box_with_a_margin() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    faces = face(TEMPLATE, (10.4, 20.2, 30.1, 40.9))
    (cut,) = faces.crop(pixels, margin=0)
    np.testing.assert_array_equal(np.asarray(cut), pixels[20:41, 10:31])
    (wide,) = faces.crop(pixels, margin=0.5)
    np.testing.assert_array_equal(np.asarray(wide), pixels[9:52, 0:40])
    (whole,) = faces.crop(pixels, margin=9)
    np.testing.assert_array_equal(np.asarray(whole), pixels)


def test_a_box_at_the_border_is_one_pixel_at_least() -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    for box in ((80.0, 60.0, 80.0, 60.0), (5.0, 5.0, 5.0, 5.0)):
        (cut,) = face(TEMPLATE, box).crop(pixels, margin=0)
        assert cut.size == (1, 1)


def test_no_faces_no_crops() -> None:
    assert Detections.empty().crop(np.zeros((5, 5, 3), np.uint8)) == []
    assert Detections.empty().crop(np.zeros((5, 5, 3), np.uint8), margin=0.1) == []


def test_misuse() -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg: no such file"):
        Detections.empty().crop("gone.jpg")
    with pytest.raises(ValueError, match="margin is -1"):
        face(TEMPLATE).crop(np.zeros((5, 5, 3), np.uint8), margin=-1)
