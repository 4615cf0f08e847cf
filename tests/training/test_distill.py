"""Distillation: anchors that correspond, losses against slow versions, weights that hold."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from featherface.anchors import FEATHERFACE_V1, NANO_B, AnchorSpec, make_anchors
from featherface.data.loader import Batch, CropDataset, collate, stream
from featherface.models.heads import Raw
from featherface.models.nano_b import NanoB
from featherface.training import loop
from featherface.training.average import Average
from featherface.training.checkpoint import CheckpointError, load_model, load_state
from featherface.training.distill import (
    BETAS,
    BOUND,
    SEEN,
    DistillationCriterion,
    DistillConfig,
    nested_anchors,
)
from featherface.training.loop import FitConfig, fit
from featherface.training.losses import NEGATIVES, OVERLAP, aligned_loss
from featherface.training.teacher import Teacher

SIZE = 96
ROWS = torch.from_numpy(nested_anchors(FEATHERFACE_V1, NANO_B, (SIZE, SIZE)))
TASKS = ("class", "box", "landmark")
LEARNED, FIXED = DistillConfig(), DistillConfig(weights="fixed")
either = pytest.mark.parametrize("config", [LEARNED, FIXED], ids=["learned", "fixed"])


def test_v1s_anchors_are_a_subset_of_the_students() -> None:
    rows = nested_anchors(FEATHERFACE_V1, NANO_B, (640, 640))
    student = make_anchors(NANO_B, (640, 640))
    assert (len(rows), len(student)) == (16_800, 25_200)
    assert len(set(rows.tolist())) == len(rows)
    np.testing.assert_array_equal(student[rows], make_anchors(FEATHERFACE_V1, (640, 640)))
    missing = np.delete(student, rows, axis=0)
    assert set(missing[:, 2].tolist()) == {10, 48, 192}


@given(
    st.lists(
        st.lists(st.integers(4, 512), min_size=1, max_size=4, unique=True), min_size=2, max_size=4
    ),
    st.integers(1, 130),
    st.integers(1, 130),
    st.randoms(use_true_random=False),
)
def test_any_choice_of_sizes_nests(
    sizes: list[list[int]], height: int, width: int, random: Random
) -> None:
    strides = tuple(8 * 2**level for level in range(len(sizes)))
    student = AnchorSpec(strides, tuple(map(tuple, sizes)))
    few = tuple(tuple(random.sample(s, max(1, len(s) - 1))) for s in sizes)
    teacher = AnchorSpec(strides, few)
    rows = nested_anchors(teacher, student, (height, width))
    size = (height, width)
    np.testing.assert_array_equal(make_anchors(student, size)[rows], make_anchors(teacher, size))


@pytest.mark.parametrize(
    "teacher",
    [
        NANO_B,
        dataclasses.replace(FEATHERFACE_V1, strides=(8, 16, 64)),
        dataclasses.replace(FEATHERFACE_V1, variances=(0.1, 0.1)),
        AnchorSpec((8, 16), ((16, 32), (64, 128))),
    ],
    ids=["sizes", "strides", "variances", "levels"],
)
def test_anchors_that_do_not_nest_are_refused(teacher: AnchorSpec) -> None:
    with pytest.raises(ValueError, match="does not nest") as error:
        nested_anchors(teacher, FEATHERFACE_V1, (SIZE, SIZE))
    assert str(teacher) in str(error.value)
    assert str(FEATHERFACE_V1) in str(error.value)


@pytest.fixture
def batch(crops: CropDataset) -> Batch:
    """Six crops; parts are ignored, and some faces have no landmarks."""
    found = collate([crops[number] for number in range(6)])
    known = torch.arange(len(found.boxes)) % 3 > 0
    ignore = torch.rand(found.ignore.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    return found._replace(has_landmarks=known, ignore=ignore)


def guesses(anchors: int, *, seed: int, crops: int = 6) -> Raw:
    """What a network might say; about a quarter of the anchors are faces to it."""
    generator = torch.Generator().manual_seed(seed)
    logits, boxes, landmarks = (
        torch.randn(crops, anchors, width, generator=generator) for width in (2, 4, 10)
    )
    logits[..., 0] += 3
    return Raw(logits * 1.5, boxes, landmarks)


def criterion_of(said: Raw, config: DistillConfig = LEARNED) -> DistillationCriterion:
    return DistillationCriterion(aligned_loss, lambda _: said, ROWS, config)


def student_of(anchors: Tensor, *, seed: int = 1) -> Raw:
    return Raw(*(part.requires_grad_() for part in guesses(len(anchors), seed=seed)))


def test_distances_are_those_of_a_slow_version(batch: Batch, anchors: Tensor) -> None:
    ours, theirs = student_of(anchors), guesses(len(ROWS), seed=2)
    temperature = 4.0
    columns = (batch.image, batch.anchor, batch.face, batch.overlap)
    pairs = list(zip(*(column.tolist() for column in columns), strict=True))
    matched = {(i, a) for i, a, _, overlap in pairs if overlap >= OVERLAP}
    told = {
        (i, a) for i, a, f, overlap in pairs if overlap >= OVERLAP and batch.has_landmarks[f].item()
    }
    classes, boxes, landmarks = [], [], []
    kinds = {"matched": 0, "seen": 0, "mined": 0, "ignored": 0}
    for image in range(6):
        background = {}
        for t, a in enumerate(ROWS.tolist()):
            if not batch.ignore[image, a] and (image, a) not in matched:
                background[t] = -math.log(ours.class_logits[image, a].softmax(0)[0].item())
        positives = sum((image, a) in matched for a in ROWS.tolist())
        wanted = max(16, NEGATIVES * positives)
        mined = set(sorted(background, key=lambda t: -background[t])[:wanted])
        for t, a in enumerate(ROWS.tolist()):
            p = (theirs.class_logits[image, t] / temperature).softmax(0)
            q = (ours.class_logits[image, a] / temperature).softmax(0)
            is_seen = theirs.class_logits[image, t].softmax(0)[1].item() > SEEN
            if batch.ignore[image, a] and (image, a) not in matched:
                kinds["ignored"] += is_seen
                continue
            kinds["matched"] += (image, a) in matched
            kinds["seen"] += is_seen
            kinds["mined"] += t in mined
            if is_seen or (image, a) in matched or t in mined:
                classes.append(16 * (p * (p.log() - q.log())).sum().item())
            if is_seen:
                difference = theirs.box_deltas[image, t] - ours.box_deltas[image, a]
                boxes.append(difference.square().sum().item())
                if (image, a) in told:
                    difference = theirs.landmark_deltas[image, t] - ours.landmark_deltas[image, a]
                    landmarks.append(difference.square().sum().item())
    assert min(kinds.values()) > 5, kinds
    assert landmarks
    assert len(classes) < 6 * len(ROWS)
    expected = [float(np.mean(values)) for values in (classes, boxes, landmarks)]
    found = criterion_of(theirs).distances(ours, batch)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-4)


@either
def test_a_student_that_equals_its_teacher_loses_nothing(
    batch: Batch, anchors: Tensor, config: DistillConfig
) -> None:
    ours = student_of(anchors)
    theirs = Raw(*(part[:, ROWS].detach() for part in ours))
    losses = criterion_of(theirs, config)(ours, batch, anchors)
    labels = aligned_loss(ours, batch, anchors)
    assert {name: losses[name].item() for name in labels} == {
        name: loss.item() for name, loss in labels.items()
    }
    for task in TASKS:
        assert losses[f"kd_{task}"].item() == pytest.approx(0, abs=1e-5)


@either
def test_anchors_of_the_student_alone_learn_from_labels_alone(
    batch: Batch, anchors: Tensor, config: DistillConfig
) -> None:
    ours = student_of(anchors)
    losses = criterion_of(guesses(len(ROWS), seed=2), config)(ours, batch, anchors)
    sum(losses[f"kd_{task}"] for task in TASKS).backward()  # type: ignore[union-attr]
    new = torch.ones(len(anchors), dtype=torch.bool)
    new[ROWS] = False
    for part in ours:
        assert part.grad is not None
        assert not part.grad[:, new].any()
        assert part.grad[:, ~new].any()


def test_a_teacher_is_not_asked_where_it_is_not_followed(batch: Batch, anchors: Tensor) -> None:
    followed = anchors[ROWS, 2] >= 32
    assert 0 < followed.sum() < len(followed)
    criterion = DistillationCriterion(
        aligned_loss, lambda _: guesses(len(ROWS), seed=2), ROWS, LEARNED, followed=followed
    )
    ours = student_of(anchors)
    criterion.distances(ours, batch).sum().backward()
    small = ROWS[~followed]
    for part in ours:
        assert part.grad is not None
        assert not part.grad[:, small].any()
        assert part.grad[:, ROWS[followed]].any()


def test_nobody_sees_a_face_and_all_is_ignored(batch: Batch, anchors: Tensor) -> None:
    none = torch.zeros(0, dtype=torch.long)
    empty = batch._replace(
        image=none, anchor=none, face=none, overlap=torch.zeros(0), ignore=batch.ignore | True
    )
    theirs = guesses(len(ROWS), seed=2)
    distances = criterion_of(theirs).distances(student_of(anchors), empty)
    assert distances.tolist() == [0, 0, 0]


def test_fixed_weights_are_one_and_stay(batch: Batch, anchors: Tensor) -> None:
    criterion = criterion_of(guesses(len(ROWS), seed=2), FIXED)
    ours = student_of(anchors)
    losses = criterion(ours, batch, anchors)
    found = [losses[f"kd_{task}"].item() for task in TASKS]
    assert found == criterion.distances(ours, batch).tolist()
    assert "kd_log_variance" not in losses
    assert [p for p in criterion.parameters() if p.requires_grad] == []
    assert set(criterion.weights().values()) == {1.0}


def test_learned_weights_start_as_the_recipe_of_the_method(batch: Batch, anchors: Tensor) -> None:
    criterion = criterion_of(guesses(len(ROWS), seed=2))
    assert list(criterion.weights()) == [f"kd_weight_{task}" for task in TASKS]
    assert list(criterion.weights().values()) == pytest.approx([1, 1, 0.8])
    ours = student_of(anchors)
    losses = criterion(ours, batch, anchors)
    apart = criterion.distances(ours, batch).tolist()
    expected = [apart[0], 0.5 * apart[1], 0.5 * 0.8 * apart[2]]
    assert [losses[f"kd_{task}"].item() for task in TASKS] == pytest.approx(expected)
    assert losses["kd_log_variance"].item() == pytest.approx(-math.log(0.8) / 2)


def descend(parameters: list[nn.Parameter], loss: Callable[[], Tensor], *, steps: int) -> None:
    optimiser = torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.0, betas=BETAS)
    for _ in range(steps):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()


def test_a_plain_product_collapses_and_this_does_not(batch: Batch, anchors: Tensor) -> None:
    criterion = criterion_of(guesses(len(ROWS), seed=2))
    ours = Raw(*(part.detach() for part in student_of(anchors)))
    apart = criterion.distances(ours, batch)
    weights = nn.Parameter(torch.tensor([1.0, 1.0, 0.8]))
    descend([weights], lambda: (weights * apart).sum(), steps=150)
    assert (weights < -5).all()  # it gains by disagreeing, without end

    def loss() -> Tensor:
        losses = criterion(ours, batch, anchors)
        return torch.stack([loss for name, loss in losses.items() if "kd" in name]).sum()

    descend(list(criterion.parameters()), loss, steps=300)
    found = list(criterion.weights().values())
    # Where the derivative is zero each weighted loss is a half.
    assert found == pytest.approx((0.5 / (apart * criterion.shares)).tolist(), rel=1e-3)


def test_weights_stay_in_bounds_and_can_come_back(batch: Batch, anchors: Tensor) -> None:
    ours = Raw(*(part.detach() for part in student_of(anchors)))
    same = Raw(*(part[:, ROWS] for part in ours))
    far = same._replace(box_deltas=same.box_deltas + 1000)
    said = same
    criterion = DistillationCriterion(aligned_loss, lambda _: said, ROWS, LEARNED)

    def loss() -> Tensor:
        losses = criterion(ours, batch, anchors)
        assert (criterion.log_variance.abs() <= BOUND).all()
        return torch.stack([loss for name, loss in losses.items() if "kd" in name]).sum()

    parameters = list(criterion.parameters())
    descend(parameters, loss, steps=80)  # no loss: weights grow
    assert criterion.weights()["kd_weight_box"] == pytest.approx(math.exp(BOUND))
    said = far
    descend(parameters, loss, steps=1)
    assert criterion.weights()["kd_weight_box"] < 0.95 * math.exp(BOUND)
    with torch.no_grad():
        criterion.log_variance.fill_(BOUND + 1)  # a step too far
    assert list(criterion.weights().values()) == pytest.approx([math.exp(-BOUND)] * 3)
    said = same
    descend(parameters, loss, steps=1)
    assert criterion.weights()["kd_weight_box"] > 1.05 * math.exp(-BOUND)


STEPS, BATCH = 4, 2
CONFIG = FitConfig(crops=STEPS * BATCH, batch=BATCH, warmup=0.2, hold=0.5)
SAVING = dataclasses.replace(CONFIG, save_minutes=0.0)


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
def go(
    tiny: NanoB, crops: CropDataset, anchors: Tensor, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Average]:
    """Train a fresh tiny network to follow another one; every step is logged."""
    ticks = count()
    clock = SimpleNamespace(monotonic=lambda: 31.0 * next(ticks))
    monkeypatch.setattr(loop, "time", clock)
    teacher = Teacher(tiny)
    rows = torch.arange(len(anchors))

    def run(
        folder: Path, config: FitConfig = CONFIG, *, kill_after: int | None = None, kd: bool = True
    ) -> Average:
        folder.mkdir(exist_ok=True)

        def batches(seen: int) -> Iterator[Batch]:
            source = stream(crops, batch=BATCH, workers=0, first=seen)
            for step in count():
                if step == kill_after:
                    raise Killed
                yield next(source)

        torch.manual_seed(3)
        model = NanoB(dataclasses.replace(tiny.config, scale_sequence=False, semantic=False))
        criterion = DistillationCriterion(aligned_loss, teacher, rows, LEARNED)
        chosen = criterion if kd else aligned_loss
        return fit(model, batches, chosen, anchors, folder, config, facts={})

    return run


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_step_teaches_the_student_and_not_the_teacher(
    go: Callable[..., Average], tiny: NanoB, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    go(tmp_path)
    assert all(torch.equal(before[name], value) for name, value in tiny.state_dict().items())
    assert all(parameter.grad is None for parameter in tiny.parameters())
    first, *_, last = lines(tmp_path)
    for task in TASKS:
        assert first[f"kd_weight_{task}"] != last[f"kd_weight_{task}"]
        assert first[f"kd_{task}"] >= 0
    model, _ = load_model(tmp_path / "model.safetensors")
    assert not [name for name in model.state_dict() if "variance" in name]


def test_a_resumed_run_equals_an_uninterrupted_one(
    go: Callable[..., Average], tmp_path: Path
) -> None:
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    go(whole)
    with pytest.raises(Killed):
        go(pieces, SAVING, kill_after=2)
    go(pieces)
    one, other = (load_state(folder / "state.pt") for folder in (pieces, whole))
    assert torch.equal(one["criterion"]["log_variance"], other["criterion"]["log_variance"])
    assert one["criterion"].keys() == {"log_variance"}
    assert one["model"].keys() == other["model"].keys()
    assert all(torch.equal(one["model"][name], value) for name, value in other["model"].items())
    ours, theirs = one["optimiser"], other["optimiser"]
    assert ours["param_groups"] == theirs["param_groups"]
    assert theirs["param_groups"][-1]["weight_decay"] == 0
    assert len(theirs["param_groups"][-1]["params"]) == 1
    for number, moments in theirs["state"].items():
        assert all(torch.equal(ours["state"][number][k], value) for k, value in moments.items())
    assert lines(pieces) == lines(whole)


@pytest.mark.parametrize("first", [True, False])
def test_with_and_without_a_teacher_are_different_runs(
    go: Callable[..., Average], tmp_path: Path, first: bool
) -> None:
    go(tmp_path, dataclasses.replace(CONFIG, crops=BATCH), kd=first)
    assert ("criterion" in load_state(tmp_path / "state.pt")) == first
    with pytest.raises(CheckpointError, match=r"state\.pt"):
        go(tmp_path, kd=not first)
