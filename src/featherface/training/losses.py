"""From what the network says and what the labels say to named losses.

Two criteria share one signature, `criterion(raw, batch, anchors) -> {"class", "box", "landmark"}`:

* `multibox_loss`, the field's baseline: fixed matching by anchor overlap, smooth L1, hard
  negatives (SSD, Liu et al., ECCV 2016; the constants of FeatherFace V1);
* `aligned_loss`: each face takes the anchors that answer it best at the moment (task alignment,
  Feng et al., TOOD, ICCV 2021), quality focal class loss (Li et al., NeurIPS 2020), and a
  complete-IoU box loss (Zheng et al., AAAI 2020).

Both take a label's probability as the class target and as the weight of its box.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from featherface.data.loader import Batch
from featherface.models.decode import decode_boxes, encode_boxes, encode_points
from featherface.models.heads import Raw

Losses = dict[str, Tensor]
Divisor = Callable[[Tensor], Tensor]
"""From what this rank counts to what its sums are divided by."""


def own_count(count: Tensor) -> Tensor:
    """The divisor of a rank that has the whole batch."""
    return count.clamp(min=1)


class Criterion(Protocol):
    """What is to be made small."""

    def __call__(
        self, raw: Raw, batch: Batch, anchors: Tensor, divisor: Divisor = own_count
    ) -> Losses:
        """Named losses of a batch; the mean of a batch's parts, if `divisor` counts in all."""


OVERLAP = 0.35  # multibox: an anchor is positive from this IoU on
FORCED = 0.2  # multibox: a face's best anchor is positive from this IoU on
NEGATIVES = 7  # multibox: hard negatives per positive
CANDIDATES = (9, 40)  # aligned: fewest and most anchors that a face may take,
PIXELS_EACH = 6  # aligned: one for so many pixels of its side


def multibox_loss(raw: Raw, batch: Batch, anchors: Tensor, divisor: Divisor = own_count) -> Losses:
    """Fixed matching by overlap with hard-negative mining.

    Args:
        raw: outputs for B crops and A anchors.
        anchors: (A, 4) cxcywh in pixels.
    """
    logits = _face_logits(raw)  # (B, A)
    best = _highest(batch.overlap, batch.face, len(batch.boxes))
    forced = (batch.overlap >= best[batch.face]) & (batch.overlap >= FORCED)
    # A forced pair outbids every other face at its anchor.
    keep = _winners(
        batch, batch.overlap + forced, (batch.overlap >= OVERLAP) | forced, logits.shape
    )
    image, anchor, face = batch.image[keep], batch.anchor[keep], batch.face[keep]
    probability = batch.probability[face]
    count = divisor(probability.sum())

    target = torch.zeros_like(logits)
    target[image, anchor] = probability
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    positive = torch.zeros_like(logits, dtype=torch.bool)
    positive[image, anchor] = True
    negative = ~(batch.ignore | positive)
    mined = hard_negatives(entropy.detach().masked_fill(~negative, -1), positive)
    class_loss = (entropy[image, anchor].sum() + entropy[mined].sum()) / count

    priors = anchors[anchor]
    wanted = encode_boxes(batch.boxes[face], priors)
    error = functional.smooth_l1_loss(raw.box_deltas[image, anchor], wanted, reduction="none")
    box_loss = 2 * (error.sum(1) * probability).sum() / count
    return {
        "class": class_loss,
        "box": box_loss,
        "landmark": _landmark_loss(raw, batch, priors, image, anchor, face, probability, divisor),
    }


def aligned_loss(raw: Raw, batch: Batch, anchors: Tensor, divisor: Divisor = own_count) -> Losses:
    """Each face takes the anchors whose score and predicted box fit it best.

    The best anchor's class target is the square root of its IoU: tiny faces, whose IoU is low
    whatever the network does, are not taught to be doubtful.
    """
    logits = _face_logits(raw)
    predicted = decode_boxes(raw.box_deltas[batch.image, batch.anchor], anchors[batch.anchor])
    with torch.no_grad():
        overlap = box_iou(predicted, batch.boxes[batch.face]).clamp(min=0)
        # The anchor's own overlap keeps the choice stable while boxes are still wild.
        overlap = torch.maximum(overlap, 0.5 * batch.overlap)
        score = logits[batch.image, batch.anchor].sigmoid()
        fitness = score.sqrt() * overlap.pow(4) + 1e-9
        side = (batch.boxes[:, 2:] - batch.boxes[:, :2]).prod(1).sqrt()
        limit = (side / PIXELS_EACH).clamp(*CANDIDATES)
        chosen = _rank_in_group(fitness, batch.face) < limit[batch.face]
        keep = _winners(batch, fitness, chosen, logits.shape)
        image, anchor, face = batch.image[keep], batch.anchor[keep], batch.face[keep]
        fitness, overlap = fitness[keep], overlap[keep]
        faces = len(batch.boxes)
        quality = fitness / _highest(fitness, face, faces)[face]
        quality = quality * _highest(overlap, face, faces)[face].sqrt()
        target = torch.zeros_like(logits)
        target[image, anchor] = quality * batch.probability[face]
        weight = _crop_weight(batch, faces, len(logits))
        count = divisor((target * weight).sum())
        blocked = batch.ignore.clone()
        blocked[image, anchor] = False

    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    focus = (logits.detach().sigmoid() - target).square()
    class_loss = (entropy * focus * weight).masked_fill(blocked, 0).sum() / count

    weight = (target * weight)[image, anchor]
    box_loss = ((1 - complete_iou(predicted[keep], batch.boxes[face])) * weight).sum() / count
    priors = anchors[anchor]
    return {
        "class": 2 * class_loss,
        "box": 2 * box_loss,
        "landmark": 0.2 * _landmark_loss(raw, batch, priors, image, anchor, face, weight, divisor),
    }


CRITERIA: dict[str, Criterion] = {"multibox": multibox_loss, "aligned": aligned_loss}


def _crop_weight(batch: Batch, faces: int, crops: int) -> Tensor:
    """One over the root of each crop's faces: (B, 1); a crowd does not drown a portrait."""
    crop = torch.zeros(faces, dtype=torch.long)
    crop[batch.face] = batch.image
    return crop.bincount(minlength=crops).clamp(min=1).rsqrt()[:, None]


def _face_logits(raw: Raw) -> Tensor:
    """Softmax over two logits is the sigmoid of their difference: (B, A)."""
    return raw.class_logits[..., 1] - raw.class_logits[..., 0]


def _landmark_loss(
    raw: Raw,
    batch: Batch,
    priors: Tensor,
    image: Tensor,
    anchor: Tensor,
    face: Tensor,
    weight: Tensor,
    divisor: Divisor,
) -> Tensor:
    """Smooth L1 on the landmark code, over the pairs whose face has landmarks."""
    weight = weight * batch.has_landmarks[face]
    wanted = encode_points(batch.landmarks[face], priors)
    said = raw.landmark_deltas[image, anchor]
    error = functional.smooth_l1_loss(said, wanted, reduction="none").sum(1)
    return (error * weight).sum() / divisor(weight.sum())


def _highest(value: Tensor, group: Tensor, groups: int) -> Tensor:
    """Largest value of each group: (P,), (P,) -> (groups,)."""
    return value.new_zeros(groups).scatter_reduce(0, group, value, "amax")


def _winners(batch: Batch, bid: Tensor, chosen: Tensor, shape: torch.Size) -> Tensor:
    """Among the chosen pairs, the highest bidder of each anchor: rows of the pairs."""
    row = torch.nonzero(chosen)[:, 0]
    row = row[torch.argsort(bid[row], stable=True)]
    place = batch.image[row] * shape[1] + batch.anchor[row]
    place, order = torch.sort(place, stable=True)  # the last at each place bid most
    last = torch.ones_like(place, dtype=torch.bool)
    last[:-1] = place[1:] != place[:-1]
    return row[order[last]]


def _rank_in_group(value: Tensor, group: Tensor) -> Tensor:
    """Place of each value among those of its group, the highest being 0: (P,) -> (P,)."""
    order = torch.argsort(value, descending=True, stable=True)
    order = order[torch.argsort(group[order], stable=True)]
    sorted_group = group[order]
    start = torch.searchsorted(sorted_group, sorted_group)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order)) - start
    return rank


def hard_negatives(entropy: Tensor, positive: Tensor) -> Tensor:
    """Mask of the worst negatives, 7 for each positive of the crop, at least 16: (B, A)."""
    wanted = (positive.sum(1) * NEGATIVES).clamp(16, entropy.shape[1])  # (B,)
    values = entropy.topk(int(wanted.max()), dim=1).values
    threshold = values.gather(1, wanted[:, None] - 1)
    return (entropy >= threshold) & (entropy >= 0)


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU row by row: (P, 4), (P, 4) xyxy -> (P,)."""
    sides = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    shared = sides.prod(1)
    areas = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1)
    return shared / (areas - shared).clamp(min=1e-6)


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU less the distance of the centres and the difference in shape, row by row: (P,)."""
    iou = box_iou(a, b)
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    offset = (a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2
    distance = offset.square().sum(1) / hull.square().sum(1).clamp(min=1e-6)
    angle_a, angle_b = (torch.atan2(*(x[:, 2:] - x[:, :2]).unbind(1)) for x in (a, b))
    shape = 4 / torch.pi**2 * (angle_a - angle_b).square()
    with torch.no_grad():
        share = shape / (1 - iou + shape).clamp(min=1e-6)
    return iou - distance - share * shape
