"""Losses against slow versions that go through pictures, faces and anchors one by one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from featherface import boxes as numpy_boxes
from featherface.anchors import NANO_B
from featherface.data.crops import Faces
from featherface.data.loader import Batch, collate
from featherface.data.synthetic import draw_faces
from featherface.data.targets import AnchorGrid, make_target
from featherface.models.decode import decode_boxes, encode_boxes, encode_points
from featherface.models.heads import Raw
from featherface.models.layers import normalise
from featherface.models.zoo import nano_b_enhanced
from featherface.training.losses import (
    CANDIDATES,
    CRITERIA,
    FORCED,
    NEGATIVES,
    OVERLAP,
    PIXELS_EACH,
    Criterion,
    Losses,
    aligned_loss,
    box_iou,
    complete_iou,
    multibox_loss,
)

both = pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)


SIZE = 96
GRID = AnchorGrid(NANO_B, SIZE)
ANCHORS = torch.from_numpy(GRID.anchors)


def batch_of(*faces: int, seed: int = 0) -> Batch:
    """Black crops with so many faces each, some of which want the same anchors."""
    rng = np.random.default_rng(seed)
    samples = []
    for count in faces:
        centre = rng.uniform(20, 76, (count, 2))
        half = np.exp(rng.uniform(np.log(3), np.log(40), (count, 1))) * [0.8, 1]
        boxes = np.concatenate([centre - half, centre + half], 1).clip(0, SIZE).astype(np.float32)
        landmarks = rng.uniform(0, SIZE, (count, 5, 2)).astype(np.float32)
        ignore = np.zeros(count, np.bool_)
        known = Faces(boxes, landmarks, np.ones(count, np.float32), ignore)
        samples.append((np.zeros((SIZE, SIZE, 3), np.uint8), make_target(GRID, known)))
    return collate(samples)


class Pair(NamedTuple):
    """One row of a batch's pairs."""

    row: int
    anchor: int
    face: int
    overlap: float


def raw_of(batch: Batch, *, seed: int = 0) -> Raw:
    """Outputs of a network that guesses."""
    generator = torch.Generator().manual_seed(seed)
    shape = batch.ignore.shape
    parts = (
        torch.randn(*shape, width, generator=generator).mul(scale).requires_grad_()
        for width, scale in ((2, 1.5), (4, 0.8), (10, 2.0))
    )
    return Raw(*parts)


def pairs_of(batch: Batch, image: int) -> list[Pair]:
    columns = (batch.anchor, batch.face, batch.overlap)
    return [
        Pair(row, *(column[row].item() for column in columns))
        for row in torch.nonzero(batch.image == image)[:, 0].tolist()
    ]


def entropy(logit: Tensor, target: float | Tensor) -> Tensor:
    """Binary cross-entropy of one logit, spelled out."""
    p = logit.sigmoid().clamp(1e-7, 1 - 1e-7)
    return -(target * p.log() + (1 - target) * (1 - p).log())


def landmark_error(raw: Raw, batch: Batch, anchors: Tensor, image: int, pair: Pair) -> Tensor:
    wanted = encode_points(batch.landmarks[pair.face], anchors[pair.anchor])
    said = raw.landmark_deltas[image, pair.anchor]
    return functional.smooth_l1_loss(said, wanted, reduction="sum")


def slow_multibox(raw: Raw, batch: Batch, anchors: Tensor) -> Losses:
    class_sum, box_sum, landmark_sum = torch.zeros(3).unbind()
    count = landmark_count = 0.0
    for image in range(len(batch.ignore)):
        pairs = pairs_of(batch, image)
        owner: dict[int, tuple[bool, float, int]] = {}
        for pair in pairs:
            best = max(other.overlap for other in pairs if other.face == pair.face)
            forced = pair.overlap == best >= FORCED
            if forced or pair.overlap >= OVERLAP:
                bid = (forced, pair.overlap, pair.row)
                owner[pair.anchor] = max(owner.get(pair.anchor, bid), bid)
        by_row = {pair.row: pair for pair in pairs}
        for _, _, row in owner.values():
            pair = by_row[row]
            p = batch.probability[pair.face].item()
            logits = raw.class_logits[image, pair.anchor]
            class_sum = class_sum + entropy(logits[1] - logits[0], p)
            wanted = encode_boxes(batch.boxes[pair.face], anchors[pair.anchor])
            said = raw.box_deltas[image, pair.anchor]
            box_sum = box_sum + 2 * p * functional.smooth_l1_loss(said, wanted, reduction="sum")
            count += p
            if batch.has_landmarks[pair.face]:
                error = landmark_error(raw, batch, anchors, image, pair)
                landmark_sum = landmark_sum + p * error
                landmark_count += p
        negatives = []
        for anchor in range(len(anchors)):
            if anchor not in owner and not batch.ignore[image, anchor]:
                background, face = raw.class_logits[image, anchor]
                negatives.append(entropy(face - background, 0.0))
        negatives.sort(key=lambda value: -value.item())
        for value in negatives[: max(NEGATIVES * len(owner), 16)]:
            class_sum = class_sum + value
    return {
        "class": class_sum / max(count, 1),
        "box": box_sum / max(count, 1),
        "landmark": landmark_sum / max(landmark_count, 1),
    }


def slow_aligned(raw: Raw, batch: Batch, anchors: Tensor) -> Losses:
    target, crop_weight = torch.zeros(batch.ignore.shape), torch.zeros(len(batch.ignore), 1)
    blocked = batch.ignore.clone()
    taken: list[tuple[int, Pair, Tensor]] = []
    for image in range(len(batch.ignore)):
        owner: dict[int, tuple[float, int]] = {}
        fits: dict[int, tuple[float, float]] = {}
        pairs = pairs_of(batch, image)
        crop_weight[image] = max(len({pair.face for pair in pairs}), 1) ** -0.5
        predicted: dict[int, Tensor] = {}
        for pair in pairs:
            box = decode_boxes(raw.box_deltas[image, pair.anchor], anchors[pair.anchor])
            predicted[pair.row] = box
            iou = box_iou(box[None], batch.boxes[pair.face][None]).item()
            iou = max(iou, pair.overlap / 2, 0)
            logits = raw.class_logits[image, pair.anchor]
            score = (logits[1] - logits[0]).sigmoid().item()
            fits[pair.row] = (score**0.5 * iou**4 + 1e-9, iou)
        for face in {pair.face for pair in pairs}:
            own = [pair for pair in pairs if pair.face == face]
            own.sort(key=lambda pair: -fits[pair.row][0])
            x1, y1, x2, y2 = batch.boxes[face].tolist()
            wanted = ((x2 - x1) * (y2 - y1)) ** 0.5 / PIXELS_EACH
            for pair in own[: math.ceil(min(max(wanted, CANDIDATES[0]), CANDIDATES[1]))]:
                bid = (fits[pair.row][0], pair.row)
                owner[pair.anchor] = max(owner.get(pair.anchor, bid), bid)
        won = [pair for pair in pairs if owner.get(pair.anchor, (0, -1))[1] == pair.row]
        for pair in won:
            rivals = [fits[other.row] for other in won if other.face == pair.face]
            quality = fits[pair.row][0] / max(fit for fit, _ in rivals)
            quality *= max(iou for _, iou in rivals) ** 0.5
            target[image, pair.anchor] = quality * batch.probability[pair.face]
            blocked[image, pair.anchor] = False
            taken.append((image, pair, predicted[pair.row]))
    count = max((target * crop_weight).sum().item(), 1.0)
    logits = raw.class_logits[..., 1] - raw.class_logits[..., 0]
    focus = (logits.detach().sigmoid() - target) ** 2
    each = entropy(logits, target) * focus * crop_weight
    class_loss = 2 * each[~blocked].sum() / count
    box_sum, landmark_sum, landmark_count = torch.zeros(()), torch.zeros(()), 0.0
    for image, pair, box in taken:
        weight = target[image, pair.anchor] * crop_weight[image, 0]
        loss = 1 - complete_iou(box[None], batch.boxes[pair.face][None])[0]
        box_sum = box_sum + 2 * weight * loss
        if batch.has_landmarks[pair.face]:
            error = landmark_error(raw, batch, anchors, image, pair)
            landmark_sum = landmark_sum + 0.2 * weight * error
            landmark_count += weight.item()
    return {
        "class": class_loss,
        "box": box_sum / count,
        "landmark": landmark_sum / max(landmark_count, 1),
    }


def spoiled(batch: Batch, *, seed: int) -> Batch:
    """Soft probabilities, some landmarks not known, some regions ignored."""
    generator = torch.Generator().manual_seed(seed)
    return batch._replace(
        probability=torch.rand(len(batch.boxes), generator=generator),
        has_landmarks=torch.rand(len(batch.boxes), generator=generator) < 0.6,
        ignore=torch.rand(batch.ignore.shape, generator=generator) < 0.3,
    )


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("soft", [False, True], ids=["plain", "soft"])
@pytest.mark.parametrize(
    ("fast", "slow"),
    [(multibox_loss, slow_multibox), (aligned_loss, slow_aligned)],
    ids=["multibox", "aligned"],
)
def test_equals_the_slow_version(fast: Criterion, slow: Criterion, soft: bool, seed: int) -> None:
    batch = batch_of(9, 0, 2, seed=seed)
    batch = spoiled(batch, seed=seed) if soft else batch
    one, other = raw_of(batch, seed=seed), raw_of(batch, seed=seed)
    expected, found = slow(one, batch, ANCHORS), fast(other, batch, ANCHORS)
    assert list(found) == ["class", "box", "landmark"]
    for name, value in expected.items():
        assert value > 0
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)
    sum(expected.values()).backward()
    sum(found.values()).backward()
    for name, left, right in zip(Raw._fields, one, other, strict=True):
        torch.testing.assert_close(right.grad, left.grad, rtol=1e-3, atol=1e-5, msg=name)


@both
def test_crops_without_faces(criterion: Criterion) -> None:
    batch = batch_of(0, 0)
    raw = raw_of(batch)
    losses = criterion(raw, batch, ANCHORS)
    assert losses["class"] > 0
    assert losses["box"] == losses["landmark"] == 0
    sum(losses.values()).backward()
    # Everything is background: no anchor may be pushed towards a face.
    gradient = raw.class_logits.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient[..., 1].max() > 0
    assert gradient[..., 1].min() >= 0
    for part in (raw.box_deltas, raw.landmark_deltas):
        assert part.grad is not None  # so that ranks with and without faces agree
        assert not part.grad.any()


@both
def test_nothing_is_learnt_where_all_is_ignored(
    criterion: Criterion,
) -> None:
    batch = batch_of(0, 0)
    raw = raw_of(batch)
    losses = criterion(raw, batch._replace(ignore=torch.ones_like(batch.ignore)), ANCHORS)
    sum(losses.values()).backward()
    assert [loss.item() for loss in losses.values()] == [0, 0, 0]
    assert all(part.grad is not None and not part.grad.any() for part in raw)


@both
def test_ignored_anchors_get_no_gradient_unless_a_face_takes_them(
    criterion: Criterion,
) -> None:
    batch = batch_of(4, 1, 6)
    everywhere = batch._replace(ignore=torch.ones_like(batch.ignore))
    raw = raw_of(batch)
    criterion(raw, everywhere, ANCHORS)["class"].backward()
    assert raw.class_logits.grad is not None
    touched = raw.class_logits.grad.abs().sum(-1) > 0
    candidates = torch.zeros_like(touched)
    candidates[batch.image, batch.anchor] = True
    assert touched.any()
    assert not (touched & ~candidates).any()


def test_a_probability_is_the_class_target() -> None:
    batch = batch_of(4, 1, 6)
    batch = batch._replace(
        probability=torch.full_like(batch.probability, 0.3),
        ignore=torch.ones_like(batch.ignore),  # leaves the positives alone
    )
    half = torch.full(batch.ignore.shape, torch.tensor(0.3).logit().item() / 2)
    logits = torch.stack([-half, half], dim=-1).requires_grad_()
    loss = multibox_loss(raw_of(batch)._replace(class_logits=logits), batch, ANCHORS)["class"]
    loss.backward()
    assert loss > 0
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-6, rtol=0)


def some_boxes(seed: int, count: int = 50) -> Tensor:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (count, 2))
    sides = np.exp(rng.uniform(0, 4, (count, 2)))
    return torch.from_numpy(np.concatenate([corner, corner + sides], 1).astype(np.float32))


def test_iou_equals_that_of_numpy() -> None:
    a, b = some_boxes(0), some_boxes(1)
    table = numpy_boxes.iou(a.numpy(), b.numpy())
    np.testing.assert_allclose(box_iou(a, b), np.diag(table), atol=1e-5)


def test_complete_iou_equals_its_formula() -> None:
    a, b = some_boxes(2), some_boxes(3)
    expected = []
    for (x1, y1, x2, y2), (u1, v1, u2, v2) in zip(a.tolist(), b.tolist(), strict=True):
        shared = max(min(x2, u2) - max(x1, u1), 0) * max(min(y2, v2) - max(y1, v1), 0)
        union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared
        iou = shared / union
        between = ((x1 + x2 - u1 - u2) / 2) ** 2 + ((y1 + y2 - v1 - v2) / 2) ** 2
        diagonal = (max(x2, u2) - min(x1, u1)) ** 2 + (max(y2, v2) - min(y1, v1)) ** 2
        turn = np.arctan((u2 - u1) / (v2 - v1)) - np.arctan((x2 - x1) / (y2 - y1))
        shape = 4 / np.pi**2 * turn**2
        expected.append(iou - between / diagonal - shape**2 / (1 - iou + shape))
    np.testing.assert_allclose(complete_iou(a, b), expected, atol=1e-5)
    torch.testing.assert_close(complete_iou(a, a), torch.ones(len(a)))


def test_complete_iou_pulls_boxes_that_do_not_touch() -> None:
    far = torch.tensor([[0.0, 0, 4, 4]], requires_grad=True)
    loss = 1 - complete_iou(far, torch.tensor([[20.0, 0, 24, 4]]))
    loss.sum().backward()
    assert loss > 1
    assert far.grad is not None
    assert far.grad[0, [0, 2]].sum() < 0  # moving right makes it smaller


@both
def test_four_faces_are_learnt_by_heart(criterion: Criterion) -> None:
    size = 96
    grid = AnchorGrid(NANO_B, size)
    samples = []
    for heights in ([36.0, 20.0], [50.0, 14.0]):
        drawn = draw_faces(np.random.default_rng(len(samples)), (size, size), heights)
        certain = np.ones(len(heights), np.float32)
        faces = Faces(drawn.boxes, drawn.landmarks, certain, np.zeros(len(heights), np.bool_))
        samples.append((drawn.picture, make_target(grid, faces)))
    batch, anchors = collate(samples), torch.from_numpy(grid.anchors)
    torch.manual_seed(0)
    model = nano_b_enhanced().to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    history = []
    for _ in range(60):
        raw = model(normalise(batch.images))
        loss = torch.stack(list(criterion(raw, batch, anchors).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert np.mean(history[-5:]) < 0.2 * np.mean(history[:5])

    logits = raw.class_logits[..., 1] - raw.class_logits[..., 0]
    for box, image in zip(batch.boxes, (0, 0, 1, 1), strict=True):
        found = decode_boxes(raw.box_deltas[image], anchors)[logits[image] > 0]
        assert box_iou(found, box.expand_as(found)).max() > 0.5
