"""Calibrated weights: the same network, other scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from featherface.data.synthetic import write_dataset
from featherface.evaluation.prediction import Conditions
from featherface.models.zoo import nano_b
from featherface.recipes import calibrate
from featherface.recipes.evaluate import Data, Found
from featherface.training.checkpoint import load_model, save_model
from featherface.types import Detections


def test_only_the_scores_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    write_dataset(tmp_path, rng, pictures=6)
    before, after = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    torch.manual_seed(0)
    save_model(before, nano_b(), {"name": "nano_b", "crops": 7})

    def look(_: object, __: object, conditions: Conditions) -> Found:
        """Every face at 0.4, and as many false alarms at 0.2, one in ten the other way round."""
        data: Data = calibrate.open_data(tmp_path, None, shrink=conditions.shrink)
        found = []
        for boxes in data.truth.boxes:
            both = np.concatenate([boxes, boxes + 1000]).astype(np.float32)
            scores = np.repeat([0.4, 0.2], len(boxes)).astype(np.float32)
            swapped = rng.random(len(scores)) < 0.1
            scores[swapped] = 0.6 - scores[swapped]
            found.append(Detections(both, scores, np.zeros((len(both), 5, 2), np.float32)))
        return Found(found, "", "", "")

    monkeypatch.setattr(calibrate, "look", look)
    calibrate.main(before, tmp_path, after)
    (old, _), (new, facts) = load_model(before), load_model(after)
    assert facts["name"] == "nano_b"
    assert facts["crops"] == 7
    assert facts["calibrated"].startswith("on ")
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 50
    with torch.no_grad():
        (logits, *others), (logits_now, *others_now) = old(images), new(images)
    for one, other in zip(others, others_now, strict=True):
        assert torch.equal(one, other)
    old_order, new_order = (x.diff(dim=2).flatten() for x in (logits, logits_now))
    assert not torch.allclose(old_order, new_order)
    cells = (64, 16, 4)  # at strides 8, 16, 32
    starts = np.cumsum([0, *(3 * count for count in cells)])
    for start, count in zip(starts, cells, strict=False):  # the order of each size of anchor stays
        for size in range(3):
            rows = range(start + size, start + 3 * count, 3)
            now = new_order[rows][old_order[rows].argsort()]
            assert (now.diff() > -1e-5).all()  # equal ones may change places by rounding
