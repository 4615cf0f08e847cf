"""Crops: every box lies where its face is, whatever was cut, scaled, mirrored and joined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface.anchors import NANO_B
from featherface.boxes import area
from featherface.data import crops, loader
from featherface.data.crops import (
    NEARLY,
    SEEN,
    CropConfig,
    Faces,
    draw_crop,
    finish,
    join,
    mirror,
)
from featherface.data.labelled import LabelledImage
from featherface.data.loader import SMALLEST_PART, CropDataset
from featherface.data.pixels import PixelStore
from featherface.data.synthetic import draw_faces
from featherface.image import PADDING
from featherface.types import Bools, Floats, Pixels

SIZE = 128
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.float64)
BOXES = np.array(
    [[30, 40, 94, 120], [150, 20, 171, 47], [200, 150, 214, 168], [120, 120, 160, 170]], np.float32
)


def painted() -> Pixels:
    """A black picture 200 x 260 with one rectangle of a pure colour for each face."""
    picture = np.zeros((200, 260, 3), np.uint8)
    for (x1, y1, x2, y2), colour in zip(BOXES.astype(int), COLOURS, strict=True):
        picture[y1:y2, x1:x2] = colour
    return picture


def labels(boxes: Floats, ignore: Bools | None = None) -> Faces:
    """Faces whose landmarks tell where the whole box went: corners, centre, corners."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    points = [boxes[:, :2], boxes[:, [2, 1]], centre, boxes[:, [0, 3]], boxes[:, 2:]]
    count = len(boxes)
    return Faces(
        boxes,
        np.stack(points, axis=1),
        np.linspace(0.5, 1, count).astype(np.float32),
        np.zeros(count, np.bool_) if ignore is None else ignore,
    )


def whole(faces: Faces) -> Floats:
    """The boxes that the landmarks tell, mirrored or not."""
    low, high = faces.landmarks.min(1), faces.landmarks.max(1)
    return np.concatenate([low, high], axis=1)


def coloured_extent(crop: Pixels, box: Floats) -> Floats | None:
    """Bounds of the pixels that have the colour at the centre of `box`, near `box`."""
    x, y = (int(v) for v in (box[:2] + box[2:]) / 2)
    colour = COLOURS[np.abs(COLOURS - crop[y, x]).sum(1).argmin()]
    if np.abs(colour - crop[y, x]).sum() > 60:
        return None
    low = np.maximum(np.floor(box[:2]).astype(int) - 4, 0)
    high = np.ceil(box[2:]).astype(int) + 4
    window = crop[low[1] : high[1], low[0] : high[0]]
    on = window @ (2 * colour / 255 - 1) > 0.5 * colour.sum()  # the other channels count against
    rows, columns = np.flatnonzero(on.any(1)), np.flatnonzero(on.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32) + np.tile(
        low, 2
    ).astype(np.float32)


def misses(crop: Pixels, faces: Faces) -> Floats:
    """(M, 4) how far each side of a box lies from where its colour ends, of boxes of 4 px on."""
    found = [np.zeros((0, 4), np.float32)]
    boxes = faces.boxes.clip(0, crop.shape[0])  # the part that can be seen
    for box in boxes[(boxes[:, 2:] - boxes[:, :2]).min(1) >= 4]:
        extent = coloured_extent(crop, box)
        assert extent is not None, f"no colour at the centre of {box}"
        found.append((extent - box)[None])
    return np.concatenate(found)


def assert_close(missed: list[Floats], *, at_least: int) -> None:
    """Within a pixel (the extent itself is only known to half a one), and nowhere shifted."""
    every = np.concatenate(missed)
    assert len(every) >= at_least
    assert np.abs(every).max() < 1.2
    np.testing.assert_allclose(every.mean(0), 0, atol=0.1)


@pytest.mark.parametrize("size", [SIZE, SIZE // 2])
def test_boxes_lie_on_their_faces(size: int) -> None:
    picture, faces = painted(), labels(BOXES)
    config = CropConfig(size=SIZE, background=0.2)
    missed, mirrored = [], []
    for seed in range(150):
        crop, kept = draw_crop(picture, faces, config, size, np.random.default_rng(seed))
        assert crop.shape == (size, size, 3)
        missed.append(misses(crop, kept))
        mirrored.append(misses(*mirror(crop, kept)))
    assert_close(missed, at_least=200)
    assert_close(mirrored, at_least=200)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours stay as they are, so that they tell the faces apart."""
    monkeypatch.setattr(crops, "recolour", lambda image, rng: image)


@pytest.fixture
def painted_store(tmp_path: Path) -> PixelStore:
    """A store with the painted picture."""
    Image.fromarray(painted()).save(tmp_path / "painted.png")
    return PixelStore(tmp_path, [tmp_path / "painted.png"])


@pytest.fixture
def painted_image() -> LabelledImage:
    """Its labels."""
    faces = labels(BOXES)
    return LabelledImage(Path("painted.png"), *faces[:2], np.ones(len(BOXES), np.bool_), *faces[2:])


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize(
    ("mosaic", "nested", "parts"), [(0.0, 0.0, 1), (1.0, 0.0, 2), (1.0, 1.0, 4)]
)
def test_boxes_lie_on_their_faces_in_whole_samples(
    painted_store: PixelStore,
    painted_image: LabelledImage,
    monkeypatch: pytest.MonkeyPatch,
    mosaic: float,
    nested: float,
    parts: int,
    flip: float,
) -> None:
    monkeypatch.setattr(loader, "SMALLEST_PART", SIZE // 4)
    config = CropConfig(size=SIZE, mosaic=mosaic, nested=nested, flip=flip, degraded=0)
    dataset = CropDataset(painted_store, [painted_image], np.ones(1), config, NANO_B, seed=0)
    missed = []
    for seed in range(150):
        crop, kept = dataset.draw(np.random.default_rng(seed))
        assert crop.shape == (SIZE, SIZE, 3)
        # A face cut by the border between two parts may meet its own colour on the other side.
        seams = np.arange(1, parts) * SIZE / parts
        at_seam = (np.abs(kept.boxes[..., None] - seams) < 5).any((1, 2))
        missed.append(misses(crop, kept.rows(~at_seam)))
    assert_close(missed, at_least=200)


def test_parts_of_a_mosaic_do_not_become_too_small(
    painted_store: PixelStore, painted_image: LabelledImage
) -> None:
    def draw(nested: float) -> Pixels:
        config = CropConfig(size=2 * SMALLEST_PART, mosaic=1.0, nested=nested)
        dataset = CropDataset(painted_store, [painted_image], np.ones(1), config, NANO_B, seed=0)
        return dataset.draw(np.random.default_rng(0))[0]

    np.testing.assert_array_equal(draw(0.0), draw(1.0))


@pytest.mark.usefixtures("plain")
def test_a_mosaic_in_a_mosaic_shows_more_and_smaller_faces(
    painted_store: PixelStore, painted_image: LabelledImage
) -> None:
    def heights(nested: float) -> Floats:
        config = CropConfig(size=4 * SMALLEST_PART, mosaic=1.0, nested=nested, small_share=0.0)
        dataset = CropDataset(painted_store, [painted_image], np.ones(1), config, NANO_B, seed=0)
        drawn = [dataset.draw(np.random.default_rng(seed))[1] for seed in range(20)]
        boxes = np.concatenate([faces.boxes[~faces.ignore] for faces in drawn])
        found: Floats = boxes[:, 3] - boxes[:, 1]
        return found

    plain, nested = heights(0.0), heights(1.0)
    assert len(nested) > 2 * len(plain)
    assert np.median(nested) < 0.8 * np.median(plain)


def test_the_label_rules() -> None:
    picture = painted()
    ignore = np.array([False, False, False, True])
    faces = labels(BOXES, ignore)
    config = CropConfig(size=SIZE, background=0.5, smallest=9.0)
    seen = {"cut": 0, "outside": 0, "tiny": 0, "kept": 0, "gone": 0}
    for seed in range(300):
        _, kept = draw_crop(picture, faces, config, SIZE, np.random.default_rng(seed))
        full = whole(kept)
        np.testing.assert_allclose(kept.boxes, full, atol=1e-3)
        inside = area(full.clip(0, SIZE))
        outside = inside < SEEN * area(full)
        tiny = np.sqrt(inside) < config.smallest
        # The probability tells which face it was: 0.5 to 1 in equal steps, the last ignored.
        number = np.round((kept.probability - 0.5) * 2 * (len(BOXES) - 1)).astype(int)
        np.testing.assert_array_equal(kept.ignore, ignore[number] | outside | tiny)
        assert (inside > 0.02 * area(full)).all()
        seen["cut"] += (inside < area(full)).sum()
        seen["outside"] += outside.sum()
        seen["tiny"] += tiny.sum()
        seen["kept"] += (~kept.ignore).sum()
        seen["gone"] += len(BOXES) - len(kept.boxes)
    assert min(seen.values()) > 20, seen


def test_every_crop_around_a_face_holds_a_face() -> None:
    config = CropConfig(size=SIZE, background=0, smallest=0)
    for seed in range(100):
        _, kept = draw_crop(painted(), labels(BOXES), config, SIZE, np.random.default_rng(seed))
        assert (~kept.ignore).any()


def test_crops_without_a_face_in_mind_show_mistakes() -> None:
    """A bright spot is where an earlier network erred."""
    picture = np.zeros((900, 1200, 3), np.uint8)
    x1, y1, x2, y2 = spot = [700, 300, 730, 340]
    picture[y1:y2, x1:x2] = 255
    mistakes, none = np.array([spot], np.float32), labels(np.zeros((0, 4), np.float32))
    heights = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        crop, _ = draw_crop(picture, none, CropConfig(size=SIZE), SIZE, rng, mistakes=mistakes)
        heights.append(crop[..., 0].astype(float).sum(0).max() / 255)
    assert min(heights) > 0.5 * NEARLY[0] * 40, "at least half of it, whatever the border cuts"
    assert max(heights) == pytest.approx(NEARLY[1] * 40, rel=0.05)

    around_faces = CropConfig(size=SIZE, background=0)
    for seed in range(10):
        one, other = (np.random.default_rng(seed) for _ in range(2))
        crop, _ = draw_crop(painted(), labels(BOXES), around_faces, SIZE, one)
        same, _ = draw_crop(painted(), labels(BOXES), around_faces, SIZE, other, mistakes=mistakes)
        np.testing.assert_array_equal(crop, same)


@pytest.mark.parametrize("small", [(10.0, 20.0), (30.0, 40.0)])
def test_the_drawn_height_is_the_height_in_the_crop(small: tuple[float, float]) -> None:
    config = CropConfig(size=SIZE, background=0, small_share=1, small=small, enlarge=9, smallest=0)
    faces = labels(np.array([[60, 60, 90, 100]], np.float32))
    heights = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        _, kept = draw_crop(np.zeros((150, 160, 3), np.uint8), faces, config, SIZE, rng)
        heights += (whole(kept)[:, 3] - whole(kept)[:, 1]).tolist()
    # The picture is never shrunk so far that it fills less than the crop's side over 1.4.
    least = max(small[0], 40 * SIZE / (1.4 * 160))
    assert min(heights) == pytest.approx(least, rel=0.05)
    assert max(heights) == pytest.approx(max(small[1], least), rel=0.05)


@pytest.mark.parametrize("shape", [(1, 1), (5, 400), (700, 3), (40, 40), (300, 900)])
def test_any_picture_makes_a_crop(shape: tuple[int, int], rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (*shape, 3), np.uint8)
    none = labels(np.zeros((0, 4), np.float32))
    all_of_it = labels(np.array([[0, 0, shape[1], shape[0]]], np.float32))
    beyond = labels(np.array([[-900, -900, 2000, 2000]], np.float32))
    for faces in (none, all_of_it, beyond):
        for _ in range(20):
            crop, kept = draw_crop(picture, faces, CropConfig(size=64), 64, rng)
            crop, kept = finish(crop, kept, CropConfig(size=64), rng)
            assert crop.shape == (64, 64, 3)
            assert crop.dtype == np.uint8
            assert ((kept.boxes[:, 2:] > 0) & (kept.boxes[:, :2] < 64)).all()


def test_the_whole_picture_comes_out_as_it_is(rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (64, 64, 3), np.uint8)
    np.testing.assert_array_equal(crops.cut(picture, 0, 0, 64, 64, rng), picture)
    np.testing.assert_array_equal(crops.cut(picture, 10, 20, 32, 32, rng), picture[20:52, 10:42])


def test_what_lies_outside_is_padding(rng: np.random.Generator) -> None:
    picture = np.full((20, 30, 3), 200, np.uint8)
    crop = crops.cut(picture, -10, -15, 50, 50, rng)
    expected = np.full((50, 50, 3), PADDING, np.uint8)
    expected[15:35, 10:40] = 200
    np.testing.assert_array_equal(crop, expected)


def test_shrinking_is_filtered(rng: np.random.Generator) -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    for _ in range(10):
        crop = crops.cut(stripes, 0, 0, 256, 32, rng)
        assert np.abs(crop.astype(int) - 127).max() < 12


def test_mirroring_twice_is_nothing(rng: np.random.Generator) -> None:
    drawn = draw_faces(rng, (SIZE, SIZE), [40.0, 30.0])
    faces = Faces(drawn.boxes, drawn.landmarks, np.ones(2, np.float32), np.zeros(2, np.bool_))
    crop, mirrored = mirror(drawn.picture, faces)
    # Left stays left of right, as seen in the picture.
    for points in (faces.landmarks, mirrored.landmarks):
        assert (points[:, 0, 0] < points[:, 1, 0]).all()
        assert (points[:, 3, 0] < points[:, 4, 0]).all()
    np.testing.assert_allclose(
        mirrored.landmarks[:, [1, 0, 2, 4, 3]] * [-1, 1] + [SIZE, 0], faces.landmarks, atol=1e-4
    )
    again, back = mirror(crop, mirrored)
    np.testing.assert_array_equal(again, drawn.picture)
    for one, other in zip(back, faces, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_landmarks_not_known_stay_so(rng: np.random.Generator) -> None:
    faces = labels(BOXES[:1])
    faces.landmarks[0, 1] = np.nan
    crop, kept = draw_crop(painted(), faces, CropConfig(size=SIZE, background=0), SIZE, rng)
    _, mirrored = mirror(crop, kept)
    assert np.isnan(kept.landmarks[0]).all(1).tolist() == [False, True, False, False, False]
    assert np.isnan(mirrored.landmarks[0]).all(1).tolist() == [True, False, False, False, False]


def test_joining_keeps_all(rng: np.random.Generator) -> None:
    parts = [labels(BOXES), labels(np.zeros((0, 4), np.float32)), labels(BOXES + 7)]
    joined = join(parts)
    assert len(joined.boxes) == 2 * len(BOXES)
    np.testing.assert_array_equal(joined.boxes[len(BOXES) :], BOXES + 7)
    assert joined.ignore.dtype == np.bool_


def test_the_same_seed_gives_the_same_crop() -> None:
    config = CropConfig(size=SIZE, degraded=0.5)

    def sample(seed: int) -> tuple[Pixels, Faces]:
        rng = np.random.default_rng(seed)
        return finish(*draw_crop(painted(), labels(BOXES), config, SIZE, rng), config, rng)

    for seed in range(10):
        (one, faces), (other, same) = sample(seed), sample(seed)
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(faces.boxes, same.boxes)
    assert (sample(1)[0] != sample(2)[0]).any()
