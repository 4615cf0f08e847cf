"""Soft pruning inside the loop, and what a trial of the search does."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from featherface.data.loader import Batch, CropDataset, collate, stream
from featherface.models.heads import Raw
from featherface.models.layers import normalise
from featherface.models.nano_b import NanoB
from featherface.pruning.soft import soft_pruning
from featherface.pruning.surgery import choose_channels, cut_network
from featherface.training.loop import FitConfig, fit
from featherface.training.losses import Divisor, Losses, multibox_loss, own_count
from featherface.training.recovery import Recovery, recalibrate

NARROW = ((4, 4, 6, 6, 6, 6), (9,) * 6, (13, 11))
BATCH = 2


def silent(model: NanoB) -> set[int]:
    """Filters of the widest layer that are zero, norm included."""
    conv, norm = model.backbone.stage3[0][3], model.backbone.stage3[0][4]
    quiet = (conv.weight == 0).flatten(1).all(1) & (norm.weight == 0) & (norm.bias == 0)
    return set(quiet.nonzero()[:, 0].tolist())


def test_filters_are_silenced_now_and_then_and_free_in_between(
    tiny: NanoB, crops: CropDataset, anchors: Tensor, tmp_path: Path
) -> None:
    target = replace(tiny.config, widths=NARROW)
    adjust = soft_pruning(target, every=3, batch=BATCH)
    seen: dict[int, set[int]] = {}
    weight = tiny.backbone.stage3[0][3].weight
    came_back = []

    def watch(model: NanoB, count: int) -> None:
        gone = silent(model)
        adjust(model, count)
        seen[count // BATCH] = silent(model)
        if count // BATCH == 3:
            expected = choose_channels(model, target)[12].tolist()
            assert seen[3] == set(range(16)) - set(expected)
        if count // BATCH == 5:
            came_back.append(weight[sorted(seen[3])].abs().max().item())
        assert count // BATCH % 3 == 0 or silent(model) == gone

    fit(
        tiny,
        lambda first: stream(crops, batch=BATCH, workers=0, first=first),
        multibox_loss,
        anchors,
        tmp_path,
        FitConfig(crops=7 * BATCH, batch=BATCH, warmup=0),
        facts={},
        adjust=watch,
    )
    assert [len(seen[step]) for step in range(1, 8)] == [0, 0, 3, 0, 0, 3, 0]
    assert came_back[0] > 1e-4, "nothing holds a filter at zero"


@pytest.fixture
def recovery(tiny: NanoB, crops: CropDataset, anchors: Tensor) -> Recovery:
    batches = [
        collate([crops[number] for number in range(start, start + BATCH)]) for start in (0, 2, 4, 6)
    ]
    config = FitConfig(crops=4, batch=BATCH, warmup=0)
    return Recovery(tiny, batches[:2], batches[2:], multibox_loss, anchors, config)


def test_a_trial_gives_the_same_loss_again_and_leaves_nothing(
    recovery: Recovery, tmp_path: Path
) -> None:
    target = replace(recovery.dense.config, widths=NARROW)
    before = copy.deepcopy(recovery.dense.state_dict())
    torch.manual_seed(1)
    loss = recovery(target, tmp_path / "one")
    torch.manual_seed(2)
    assert recovery(target, tmp_path / "two") == loss
    assert list(tmp_path.iterdir()) == []
    assert all(torch.equal(v, before[k]) for k, v in recovery.dense.state_dict().items())
    untrained = cut_network(recovery.dense, target)
    recalibrate(untrained, recovery.recovery)
    assert loss != recovery.measure(untrained), "it did train"


def test_a_loss_that_is_no_number_is_an_error(recovery: Recovery, tmp_path: Path) -> None:
    def broken(raw: Raw, batch: Batch, anchors: Tensor, divisor: Divisor = own_count) -> Losses:
        losses = multibox_loss(raw, batch, anchors, divisor)
        return losses if raw.box_deltas.requires_grad else {"class": torch.tensor(float("nan"))}

    with pytest.raises(FloatingPointError, match="validation loss is nan"):
        replace(recovery, criterion=broken)(
            replace(recovery.dense.config, widths=NARROW), tmp_path / "one"
        )


def test_recalibrated_norms_have_the_statistics_of_the_crops(recovery: Recovery) -> None:
    model = recovery.dense
    norm = model.backbone.stage1[0][1]
    momentum = norm.momentum
    recalibrate(model, recovery.recovery)
    maps = [model.backbone.stage1[0][0](normalise(batch.images)) for batch in recovery.recovery]
    expected = torch.stack([x.mean((0, 2, 3)) for x in maps]).mean(0)
    torch.testing.assert_close(norm.running_mean, expected, rtol=1e-4, atol=1e-3)
    assert norm.momentum == momentum
    assert not any(module.training for module in model.modules())


def test_equal_networks_do_not_differ(recovery: Recovery) -> None:
    other = copy.deepcopy(recovery.dense)
    assert recovery.difference(recovery.dense, other) == 0
    with torch.no_grad():
        assert isinstance(other.heads.box_deltas, nn.ModuleList)
        for conv in other.heads.box_deltas:
            conv.bias += 0.5
    assert recovery.difference(recovery.dense, other) == pytest.approx(0.5, rel=1e-3)
