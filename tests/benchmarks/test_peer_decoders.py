"""The decoders of foreign detectors equal plain loops over cells, and find known faces."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest

import yunet
from featherface import boxes
from featherface.image import Fit, fit
from featherface.runtime import scrfd
from featherface.runtime.foreign import STRIDES, planar, settle
from featherface.types import Detections, Floats
from onnx_cost import free_size

SIZE = (64, 96)  # height, width
COLLAGE = Path(__file__).resolve().parents[2] / "assets" / "collage.jpg"


def cell_counts(per_cell: int) -> list[int]:
    return [SIZE[0] // stride * (SIZE[1] // stride) * per_cell for stride in STRIDES]


def random_outputs(rng: np.random.Generator, counts: list[int], widths: list[int]) -> list[Floats]:
    return [rng.uniform(0, 1, (n, width)).astype(np.float32) for width in widths for n in counts]


def assert_equal_faces(
    found: Detections, plain: list[tuple[list[float], float, list[float]]]
) -> None:
    assert len(found) == len(plain)
    np.testing.assert_allclose(found.boxes, [box for box, _, _ in plain], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.scores, [score for _, score, _ in plain], rtol=1e-5)
    points = np.array([points for _, _, points in plain]).reshape(-1, 5, 2)
    np.testing.assert_allclose(found.landmarks, points, rtol=1e-4, atol=1e-3)


def test_yunet_equals_a_loop_over_cells(rng: np.random.Generator) -> None:
    outputs = random_outputs(rng, cell_counts(1), [1, 1, 4, 10])
    plain = []
    for level, stride in enumerate(STRIDES):
        scores, objects, codes, points = outputs[level::3]
        columns = SIZE[1] // stride
        for row in range(SIZE[0] // stride):
            for column in range(columns):
                cell = row * columns + column
                score = float(scores[cell, 0] * objects[cell, 0]) ** 0.5
                if score <= 0.6:
                    continue
                dx, dy, dw, dh = map(float, codes[cell])
                x, y = (column + dx) * stride, (row + dy) * stride
                width, height = np.exp(dw) * stride, np.exp(dh) * stride
                box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
                marks = [
                    (float(code) + (column, row)[axis % 2]) * stride
                    for axis, code in enumerate(points[cell])
                ]
                plain.append((box, score, marks))
    assert len(plain) > 10
    assert_equal_faces(yunet.decode(outputs, SIZE, score=0.6), plain)


def test_scrfd_equals_a_loop_over_cells(rng: np.random.Generator) -> None:
    outputs = random_outputs(rng, cell_counts(2), [1, 4, 10])
    plain = []
    for level, stride in enumerate(STRIDES):
        scores, distances, points = outputs[level::3]
        anchor = 0
        for row in range(SIZE[0] // stride):
            for column in range(SIZE[1] // stride):
                for _ in range(2):
                    score = float(scores[anchor, 0])
                    x, y = column * stride, row * stride
                    left, top, right, bottom = (float(d) * stride for d in distances[anchor])
                    marks = [
                        (x, y)[axis % 2] + float(code) * stride
                        for axis, code in enumerate(points[anchor])
                    ]
                    if score > 0.7:
                        box = [x - left, y - top, x + right, y + bottom]
                        plain.append((box, score, marks))
                    anchor += 1
    assert len(plain) > 10
    assert_equal_faces(scrfd.decode(outputs, SIZE, score=0.7), plain)


@pytest.mark.parametrize(
    ("decoder", "per_cell", "widths"), [(yunet, 1, [1, 1, 4, 10]), (scrfd, 2, [1, 4, 10])]
)
def test_nothing_above_the_score_is_no_face(
    decoder: ModuleType, per_cell: int, widths: list[int], rng: np.random.Generator
) -> None:
    outputs = random_outputs(rng, cell_counts(per_cell), widths)
    assert len(decoder.decode(outputs, SIZE, score=1.0)) == 0


def test_planes_are_channels_in_the_order_asked_for(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    wanted = pixels[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    np.testing.assert_array_equal(planar(pixels, order=(2, 1, 0)), wanted)


def test_faces_are_suppressed_scaled_back_and_cut_at_the_border() -> None:
    faces = Detections(
        np.array([[1, 1, 21, 21], [0, 0, 20, 20], [40, 40, 99, 99], [90, 0, 95, 9]], np.float32),
        np.array([0.5, 0.9, 0.8, 0.7], np.float32),
        np.arange(40, dtype=np.float32).reshape(4, 5, 2),
    )
    found = settle(faces, Fit((120, 160), 0.5), overlap=0.4)  # picture's input is 60 x 80
    np.testing.assert_allclose(found.boxes, [[0, 0, 40, 40], [80, 80, 160, 120]])
    np.testing.assert_allclose(found.scores, [0.9, 0.8])
    np.testing.assert_allclose(found.landmarks, faces.landmarks[[1, 2]] * 2)


@pytest.mark.parametrize(
    ("opened", "file"),
    [(yunet.YuNet, "yunet_n_640_640.onnx"), (scrfd.Scrfd, "scrfd_500m_kps.onnx")],
)
def test_the_known_faces_of_a_picture_are_found(
    shared: Path, tmp_path: Path, opened: type[yunet.YuNet | scrfd.Scrfd], file: str
) -> None:
    model = onnx.load(shared / "peers" / file)
    free_size(model)
    onnx.save(model, tmp_path / file)
    finder = opened(tmp_path / file, threads=1)
    (found,) = finder.find([fit(COLLAGE)], score=0.5)
    known = np.array(json.loads(COLLAGE.with_suffix(".json").read_text())["boxes"], np.float32)
    large = known[known[:, 3] - known[:, 1] >= 24]
    overlap = boxes.iou(large, found.boxes)
    assert (overlap.max(axis=1) >= 0.5).all()
    best = found.landmarks[overlap.argmax(axis=1)]  # (n, 5, 2)
    assert (best[:, 0, 0] < best[:, 1, 0]).all()  # left eye left of right eye
    assert (best[:, :2, 1].max(axis=1) < best[:, 3:, 1].min(axis=1)).all()  # eyes above mouth
    # The freed graph gives what the released one gives at its own size.
    released = opened(shared / "peers" / file, threads=1)
    square = fit(COLLAGE, long_side=640)
    full = square._replace(
        pixels=np.pad(square.pixels, ((0, 640 - len(square.pixels)), (0, 0), (0, 0)))
    )
    (a,), (b,) = (each.find([full], score=0.3) for each in (finder, released))
    np.testing.assert_allclose(a.boxes, b.boxes, atol=1e-3)
