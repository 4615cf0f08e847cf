"""Box arithmetic: each function against its inverse, its definition, or a slow version."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featherface import boxes
from featherface.anchors import NANO_B, make_anchors
from featherface.types import Floats

VARIANCES = NANO_B.variances


def some_boxes(rng: np.random.Generator, count: int, *, spread: float = 100.0) -> Floats:
    """(N, 4) xyxy, sides of 0.5 to 80 pixels."""
    corner = rng.uniform(-20, spread, (count, 2))
    sides = np.exp(rng.uniform(np.log(0.5), np.log(80), (count, 2)))
    return np.concatenate([corner, corner + sides], axis=1).astype(np.float32)


def one_iou(a: Floats, b: Floats) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def naive_nms(found: Floats, scores: Floats, overlap: float) -> list[int]:
    kept: list[int] = []
    for candidate in sorted(range(len(scores)), key=lambda row: -scores[row]):
        if all(one_iou(found[candidate], found[better]) <= overlap for better in kept):
            kept.append(candidate)
    return kept


seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
counts = st.integers(0, 40)


@given(seeds, counts)
def test_centre_form_and_back(rng: np.random.Generator, count: int) -> None:
    corners = some_boxes(rng, count)
    np.testing.assert_allclose(boxes.to_xyxy(boxes.to_cxcywh(corners)), corners, atol=1e-4)


@given(seeds, counts, counts)
def test_iou_is_symmetric_and_a_share(rng: np.random.Generator, n: int, m: int) -> None:
    a, b = some_boxes(rng, n), some_boxes(rng, m)
    table = boxes.iou(a, b)
    assert table.shape == (n, m)
    np.testing.assert_array_equal(table, boxes.iou(b, a).T)
    assert ((table >= 0) & (table <= 1)).all()
    np.testing.assert_allclose(np.diag(boxes.iou(a, a)), 1, rtol=1e-4)


@given(seeds)
def test_iou_equals_its_definition(rng: np.random.Generator) -> None:
    a, b = some_boxes(rng, 6), some_boxes(rng, 5)
    expected = [[one_iou(one, other) for other in b] for one in a]
    np.testing.assert_allclose(boxes.iou(a, b), expected, atol=1e-5)


def test_boxes_without_area() -> None:
    line = np.array([[3, 3, 3, 9], [8, 8, 2, 2]], np.float32)  # no width; inside out
    assert boxes.area(line).tolist() == [0, 0]
    assert boxes.iou(line, line).tolist() == [[0, 0], [0, 0]]


@given(seeds, st.sampled_from([(32, 32), (64, 96), (40, 72)]))
def test_decoding_undoes_encoding(rng: np.random.Generator, size: tuple[int, int]) -> None:
    anchors = make_anchors(NANO_B, size)
    wanted = some_boxes(rng, len(anchors))
    code = boxes.encode(wanted, anchors, VARIANCES)
    np.testing.assert_allclose(boxes.decode(code, anchors, VARIANCES), wanted, atol=2e-3)
    points = rng.uniform(-50, 150, (len(anchors), 5, 2)).astype(np.float32)
    code = boxes.encode_points(points, anchors, VARIANCES)
    np.testing.assert_allclose(boxes.decode_points(code, anchors, VARIANCES), points, atol=2e-3)


def test_an_anchor_encodes_to_zero() -> None:
    anchors = make_anchors(NANO_B, (64, 64))
    code = boxes.encode(boxes.to_xyxy(anchors), anchors, VARIANCES)
    np.testing.assert_allclose(code, 0, atol=1e-5)
    # Half an anchor to the right is 0.5 / 0.1; e times as large is 1 / 0.2.
    code = boxes.encode(
        boxes.to_xyxy(np.array([[14, 4, 10 * np.e, 10]], np.float32)),
        np.array([[9, 4, 10, 10]], np.float32),
        VARIANCES,
    )
    np.testing.assert_allclose(code, [[5, 0, 5, 0]], atol=1e-5)


@given(seeds, counts, st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_suppression_equals_the_slow_one(
    rng: np.random.Generator, count: int, overlap: float
) -> None:
    found = some_boxes(rng, count, spread=30)
    scores = rng.permutation(count).astype(np.float32)
    kept = boxes.nms(found, scores, overlap)
    assert kept.tolist() == naive_nms(found, scores, overlap)
    # Once more changes nothing, and the order of the boxes has no influence.
    assert len(boxes.nms(found[kept], scores[kept], overlap)) == len(kept)
    shuffle = rng.permutation(count)
    again = boxes.nms(found[shuffle], scores[shuffle], overlap)
    assert shuffle[again].tolist() == kept.tolist()


@pytest.mark.parametrize("overlap", [0.2, 0.6])
def test_equal_scores_keep_their_order(overlap: float, rng: np.random.Generator) -> None:
    found = np.repeat(some_boxes(rng, 3, spread=1000), 2, axis=0)
    assert boxes.nms(found, np.ones(6, np.float32), overlap).tolist() == [0, 2, 4]
