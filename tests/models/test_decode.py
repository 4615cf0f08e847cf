"""The anchor code in torch against the one in numpy, and whole predictions against both."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from featherface import boxes
from featherface.anchors import NANO_B, make_anchors
from featherface.models.decode import (
    VARIANCES,
    decode_boxes,
    decode_points,
    encode_boxes,
    encode_points,
)
from featherface.models.deploy import predict
from featherface.models.layers import normalise
from featherface.models.zoo import build
from featherface.types import Floats

ANCHORS = make_anchors(NANO_B, (64, 96))
COUNT = 6


def codes(width: int) -> st.SearchStrategy[Floats]:
    numbers = st.floats(-10, 10, width=32)
    return arrays.arrays(np.float32, (COUNT, width), elements=numbers)


rows = arrays.arrays(np.int64, COUNT, elements=st.integers(0, len(ANCHORS) - 1))


def test_the_variances_are_those_of_the_anchors() -> None:
    assert NANO_B.variances == VARIANCES


@given(deltas=codes(4), rows=rows)
def test_boxes(deltas: Floats, rows: np.ndarray) -> None:
    anchors = ANCHORS[rows]
    found = decode_boxes(torch.from_numpy(deltas), torch.from_numpy(anchors)).numpy()
    wanted = boxes.decode(deltas, anchors, VARIANCES)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-2)
    back = encode_boxes(torch.from_numpy(wanted), torch.from_numpy(anchors)).numpy()
    np.testing.assert_allclose(back, boxes.encode(wanted, anchors, VARIANCES), atol=1e-3)
    np.testing.assert_allclose(back, deltas, atol=2e-2)


@given(deltas=codes(10), rows=rows)
def test_landmarks(deltas: Floats, rows: np.ndarray) -> None:
    anchors = ANCHORS[rows]
    found = decode_points(torch.from_numpy(deltas), torch.from_numpy(anchors)).numpy()
    wanted = boxes.decode_points(deltas.reshape(-1, 5, 2), anchors, VARIANCES)
    assert found.shape == (COUNT, 5, 2)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-3)
    back = encode_points(torch.from_numpy(wanted), torch.from_numpy(anchors)).numpy()
    np.testing.assert_allclose(back, deltas, atol=1e-2)


def test_a_wild_prediction_stays_finite() -> None:
    wild = torch.tensor([[0.0, 0.0, 1e6, 1e6]])
    assert decode_boxes(wild, torch.tensor([[8.0, 8.0, 16.0, 16.0]])).isfinite().all()


@pytest.mark.parametrize("name", ["nano_b_enhanced", "featherface_v1"])
def test_predictions_are_the_decoded_outputs(name: str) -> None:
    torch.manual_seed(0)
    model = build(name).eval()
    pixels = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    scores, found, landmarks = predict(model, pixels)
    with torch.inference_mode():
        logits, deltas, codes = (part.numpy() for part in model(normalise(pixels)))
    anchors = make_anchors(model.config.anchors, (64, 96))
    assert scores.shape == (2, len(anchors))
    odds = np.exp(logits[..., 1].astype(np.float64) - logits[..., 0])
    np.testing.assert_allclose(scores.numpy(), odds / (1 + odds), rtol=1e-4)
    for row in range(2):
        wanted = boxes.decode(deltas[row], anchors, VARIANCES)
        np.testing.assert_allclose(found[row].numpy(), wanted, rtol=1e-5, atol=1e-3)
        points = boxes.decode_points(codes[row].reshape(-1, 5, 2), anchors, VARIANCES)
        np.testing.assert_allclose(landmarks[row].numpy(), points, rtol=1e-5, atol=1e-3)
