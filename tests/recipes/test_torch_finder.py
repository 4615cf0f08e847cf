"""A network in torch as a finder: what it reports lies where the anchors and the code say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from featherface import boxes
from featherface.anchors import make_anchors
from featherface.image import fit
from featherface.models.layers import normalise
from featherface.models.zoo import nano_b
from featherface.recipes.torch_finder import TorchFinder
from featherface.types import Pixels

OVERLAP = 0.4


@pytest.fixture
def pictures(rng: np.random.Generator) -> list[Pixels]:
    shapes = ((70, 90), (96, 64))
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


@pytest.fixture(scope="module")
def finder() -> TorchFinder:
    torch.manual_seed(0)
    return TorchFinder(nano_b(), overlap=OVERLAP)


def test_agrees_with_the_numpy_codec(finder: TorchFinder, pictures: list[Pixels]) -> None:
    fitted = fit(pictures[0], long_side=128)
    (found,) = finder.find([fitted], score=0.0)
    model = finder._model.eval()
    with torch.inference_mode():
        raw = model(normalise(torch.tensor(fitted.pixels)[None]))
    anchors = make_anchors(model.config.anchors, fitted.pixels.shape[:2])
    variances = model.config.anchors.variances
    decoded = boxes.decode(raw.box_deltas[0].numpy(), anchors, variances)
    scores = raw.class_logits[0].softmax(-1)[:, 1].numpy()
    kept = boxes.nms(decoded, scores, OVERLAP)
    codes = raw.landmark_deltas[0].numpy().reshape(-1, 5, 2)
    points = boxes.decode_points(codes, anchors, variances)[kept] / fitted.fit.scale
    inner = np.clip(decoded[kept] / fitted.fit.scale, 0, [90, 70, 90, 70])
    visible = boxes.area(inner) > 0
    np.testing.assert_allclose(found.boxes, inner[visible], atol=1e-3)
    np.testing.assert_allclose(found.scores, scores[kept][visible], atol=1e-6)
    np.testing.assert_allclose(found.landmarks, points[visible], atol=1e-3)


def test_several_pictures_as_one_by_one(finder: TorchFinder, pictures: list[Pixels]) -> None:
    fitted = [fit(picture) for picture in pictures]
    together = finder.find(fitted, score=0.01)
    for picture, found in zip(fitted, together, strict=True):
        (alone,) = finder.find([picture], score=0.01)
        assert len(found)
        assert np.array_equal(alone.boxes, found.boxes)


def test_high_score_finds_nothing(finder: TorchFinder, pictures: list[Pixels]) -> None:
    (found,) = finder.find([fit(pictures[0])], score=0.99)
    assert found.boxes.shape == (0, 4)
    assert found.landmarks.shape == (0, 5, 2)


@pytest.mark.parametrize("training", [True, False])
def test_model_goes_on_as_it_was(pictures: list[Pixels], training: bool) -> None:
    model = nano_b().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    TorchFinder(model, overlap=OVERLAP).find([fit(pictures[0])], score=0.5)
    assert model.training is training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
