"""What is hidden is gone: no pixel of a box stays, and no detail can be brought back."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from featherface import Detections
from featherface.runtime.hide import CELLS, Cover, hidden, hide

HOWS = ("gaussian", "pixelate", "solid")
SHAPES = ("ellipse", "box")
SIZE = (120, 160)
FACE = np.array([[40.3, 30.7, 80.2, 84.1]], np.float32)


@pytest.fixture
def noise(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)


def faces(boxes: np.ndarray) -> Detections:
    count = len(boxes)
    return Detections(boxes, np.ones(count, np.float32), np.zeros((count, 5, 2), np.float32))


@pytest.mark.parametrize("how", HOWS)
def test_no_faces_no_change(noise: np.ndarray, how: str) -> None:
    result = hide(noise, np.zeros((0, 4), np.float32), Cover(how=how))
    np.testing.assert_array_equal(result, noise)
    assert result is not noise


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("margin", [0, 0.1, 0.5])
def test_a_box_is_covered_up_to_every_pixel_it_touches(shape: str, margin: float) -> None:
    mask = hidden(FACE, Cover(shape=shape, margin=margin), SIZE)
    x, y = 39.9 * margin, 53.4 * margin  # at least
    assert mask[int(30.7 - y) : int(84.1 + y) + 1, int(40.3 - x) : int(80.2 + x) + 1].all()
    assert mask.mean() < 0.12 * (2 if shape == "ellipse" else 1) * (1 + 2 * margin) ** 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", HOWS)
def test_soft_edges_lie_outside(noise: np.ndarray, how: str, shape: str) -> None:
    cover = Cover(how=how, shape=shape)
    mask = hidden(FACE, cover, SIZE)
    result = hide(noise, FACE, cover)
    is_changed = (result != noise).any(axis=-1)
    assert is_changed[mask].mean() > 0.99  # noise may hit the new colour by chance
    rest = is_changed & ~mask
    if how == "gaussian":
        assert 0 < rest.sum() < mask.sum()
        assert not is_changed[:, 130:].any()
    else:
        assert not rest.any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", HOWS)
def test_fine_detail_leaves_no_trace(rng: np.random.Generator, how: str, shape: str) -> None:
    plain = np.full((*SIZE, 3), 128, np.int16)
    checks = 100 * (np.indices(SIZE).sum(axis=0) // 3 % 2 * 2 - 1)
    cover = Cover(how=how, shape=shape)
    a, b = (hide(each.astype(np.uint8), FACE, cover) for each in (plain, plain + checks[..., None]))
    mask = hidden(FACE, cover, SIZE)
    assert np.abs(a[mask].astype(int) - b[mask]).max() <= 6  # of 200


@pytest.mark.parametrize("side", [12, 40, 110])
def test_few_colours_are_left_whatever_the_size(rng: np.random.Generator, side: int) -> None:
    noise = rng.integers(0, 256, (200, 200, 3)).astype(np.uint8)
    box = np.array([[30, 40, 30 + side, 40 + side]], np.float32)
    cover = Cover(how="pixelate", shape="box", margin=0)
    result = hide(noise, box, cover)[40 : 40 + side, 30 : 30 + side]
    colours = len(np.unique(result.reshape(-1, 3), axis=0))
    assert 1 <= colours <= CELLS**2
    assert colours <= max(1, (side / 8 + 1) ** 2)
    soft = hide(noise, box, Cover(how="gaussian", shape="box", margin=0))
    inside = soft[40 : 40 + side, 30 : 30 + side].astype(int)
    assert inside.std() < noise.std() / 6  # noise averages out


def test_solid_is_black(noise: np.ndarray) -> None:
    cover = Cover(how="solid")
    assert (hide(noise, FACE, cover)[hidden(FACE, cover, SIZE)] == 0).all()


def test_overlapping_faces_do_not_uncover_each_other(noise: np.ndarray) -> None:
    two = np.concatenate([FACE, FACE + np.float32([20, 5, 20, 5])])
    for shape in SHAPES:
        cover = Cover(how="solid", shape=shape)
        assert (hide(noise, two, cover)[hidden(two, cover, SIZE)] == 0).all()
        cover = Cover(how="gaussian", shape=shape)
        mask = hidden(two, cover, SIZE)
        assert (hide(noise, two, cover) != noise).any(axis=-1)[mask].mean() > 0.99


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    "box",
    [
        (-30, -30, 10, 12),
        (150, 100, 400, 300),
        (-9, -9, 900, 900),
        (500, 500, 540, 540),  # beyond the picture
        (-50, 20, -40, 30),
        (60, 60, 50, 50),  # turned inside out
        (60, 60, 60, 90),
        (70.4, 70.4, 70.5, 70.5),
    ],
)
def test_boxes_at_and_beyond_the_border(
    noise: np.ndarray, how: str, box: tuple[float, ...]
) -> None:
    boxes = np.array([box], np.float32)
    cover = Cover(how=how, margin=0)
    mask = hidden(boxes, cover, SIZE)
    x1, y1, x2, y2 = boxes[0].clip(0, [160, 120, 160, 120])
    if x2 > x1 and y2 > y1:
        assert mask[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))].all()
    is_changed = (hide(noise, boxes, cover) != noise).any(axis=-1)
    if mask.sum() != 1:  # a single pixel is its own mean
        assert is_changed[mask].sum() >= 0.99 * mask.sum()


def test_detections_blur_themselves(noise: np.ndarray) -> None:
    for options in ({}, {"how": "pixelate", "shape": "box", "margin": 0.3}, {"how": "solid"}):
        result = np.asarray(faces(FACE).blur(noise, **options))
        np.testing.assert_array_equal(result, hide(noise, FACE, Cover(**options)))
    image = Image.fromarray(noise)
    np.testing.assert_array_equal(faces(FACE).blur(image), faces(FACE).blur(noise))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"how": "median"}, "how is 'median', wanted gaussian"),
        ({"shape": "star"}, "shape is 'star', wanted ellipse"),
        ({"margin": -0.1}, r"margin is -0\.1, wanted 0"),
        ({"margin": float("nan")}, "margin is nan"),
    ],
)
def test_misuse(noise: np.ndarray, options: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        faces(FACE).blur(noise, **options)
