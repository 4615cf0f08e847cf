"""The anchor code in torch equals the one in numpy, and decoding undoes encoding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from featherface import boxes as numpy_boxes
from featherface.anchors import NANO_B
from featherface.models import decode


@pytest.fixture
def wanted(anchors: Tensor, rng: np.random.Generator) -> Tensor:
    """(A, 4) xyxy boxes, one for each anchor."""
    corner = rng.uniform(-20, 90, (len(anchors), 2))
    sides = np.exp(rng.uniform(0, 5, (len(anchors), 2)))
    return torch.from_numpy(np.concatenate([corner, corner + sides], 1).astype(np.float32))


def test_the_variances_are_those_of_the_grid() -> None:
    assert NANO_B.variances == decode.VARIANCES


def test_boxes(anchors: Tensor, wanted: Tensor) -> None:
    code = decode.encode_boxes(wanted, anchors)
    expected = numpy_boxes.encode(wanted.numpy(), anchors.numpy(), decode.VARIANCES)
    np.testing.assert_allclose(code, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(decode.decode_boxes(code, anchors), wanted, rtol=1e-4, atol=2e-3)
    again = numpy_boxes.decode(code.numpy(), anchors.numpy(), decode.VARIANCES)
    np.testing.assert_allclose(decode.decode_boxes(code, anchors), again, rtol=1e-4, atol=1e-3)


def test_points(anchors: Tensor, rng: np.random.Generator) -> None:
    points = torch.from_numpy(rng.uniform(-9, 99, (len(anchors), 5, 2)).astype(np.float32))
    code = decode.encode_points(points, anchors)
    expected = numpy_boxes.encode_points(points.numpy(), anchors.numpy(), decode.VARIANCES)
    np.testing.assert_allclose(code, expected.reshape(-1, 10), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(decode.decode_points(code, anchors), points, rtol=1e-4, atol=1e-3)


def test_a_batch_is_its_pictures(anchors: Tensor) -> None:
    deltas = torch.randn(3, len(anchors), 4, generator=torch.Generator().manual_seed(0))
    together = decode.decode_boxes(deltas, anchors)
    apart = [decode.decode_boxes(one, anchors) for one in deltas]
    torch.testing.assert_close(together, torch.stack(apart))


def test_wild_predictions_stay_finite(anchors: Tensor) -> None:
    deltas = torch.full((len(anchors), 4), 1e4)
    assert decode.decode_boxes(deltas, anchors).isfinite().all()
