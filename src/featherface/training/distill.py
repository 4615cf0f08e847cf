"""Weighted knowledge distillation: the labels' losses, and three that follow a teacher.

Softened classes by KL divergence (Hinton et al., 2015), box and landmark codes by squared error,
each weighted by a learned variance (Kendall, Gal and Cipolla, CVPR 2018). A plain product of weight
and loss is least for weights without bound below zero; half the log variance, added, prevents it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from featherface.anchors import AnchorSpec, level_shapes
from featherface.data.loader import Batch
from featherface.models.heads import Raw
from featherface.training.losses import (
    OVERLAP,
    Criterion,
    Divisor,
    Losses,
    hard_negatives,
    own_count,
)
from featherface.types import Integers, Size

TASKS = ("class", "box", "landmark")
SHARES = (1.0, 0.5, 0.5)  # the likelihood's factor: 1 for a divergence, 1/2 for a squared error
START = (1.0, 1.0, 0.8)  # weights to begin with
BOUND = 4.0  # log variances stay in [-4, 4], weights in [0.018, 55]
BETAS = (0.9, 0.99)  # AdamW's; its usual memory of 1000 steps would stop a weight that fell fast
SEEN = 0.05  # the teacher sees a face from this probability on
WEIGHTS = ("learned", "fixed")


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillConfig:
    """How a student follows its teacher.

    Attributes:
        temperature: divides both networks' logits before their classes are compared.
        weights: "learned", or "fixed" at 1 for each of the three losses.
        smallest: the teacher is followed at anchors of this side in pixels and more; 0 for all.
    """

    temperature: float = 4.0
    weights: str = "learned"
    smallest: float = 0.0


def nested_anchors(teacher: AnchorSpec, student: AnchorSpec, size: Size) -> Integers:
    """Where each of the teacher's anchors stands among the student's.

    Args:
        size: height and width of the input.

    Returns:
        (T,) rows of `make_anchors(student, size)`, in the order of `make_anchors(teacher, size)`.

    Raises:
        ValueError: when the student lacks one of the anchors or codes boxes differently.
    """
    if (
        teacher.strides != student.strides
        or teacher.variances != student.variances
        or any(set(few) - set(many) for few, many in zip(teacher.sizes, student.sizes, strict=True))
    ):
        raise ValueError(
            f"the teacher's {teacher} does not nest in the student's {student}; wanted the same "
            "strides and variances, and on each level no size that the student lacks"
        )
    rows, start = [], 0
    levels = zip(teacher.sizes, student.sizes, level_shapes(student, size), strict=True)
    for few, many, (height, width) in levels:
        cells = start + len(many) * np.arange(height * width)
        rows.append((cells[:, None] + [many.index(side) for side in few]).reshape(-1))
        start += len(many) * height * width
    return np.concatenate(rows)


class Chosen(NamedTuple):
    """Anchors at which student and teacher are compared, each (B, T) bool."""

    classes: Tensor  # a label matches, the teacher sees a face, or the student is worst
    boxes: Tensor  # the teacher sees a face; elsewhere its boxes mean little
    landmarks: Tensor  # it does, and a label with landmarks matches


class DistillationCriterion(nn.Module):
    """A label criterion and the distance to a teacher; also holds the learned weights.

    The student's anchors that the teacher lacks learn from the labels alone.

    Args:
        labels: see `losses`; stays on in full.
        teacher: from (B, S, S, 3) uint8 crops to Raw of T anchors, without gradient.
        rows: (T,) the student's row of each, see `nested_anchors`.
        followed: (T,) bool, anchors at which the teacher is asked; by default all.
    """

    def __init__(
        self,
        labels: Criterion,
        teacher: Callable[[Tensor], Raw],
        rows: Tensor,
        config: DistillConfig,
        *,
        followed: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.labels = labels
        self.teacher = teacher
        self.rows = rows
        self.followed = torch.ones_like(rows, dtype=torch.bool) if followed is None else followed
        self.temperature = config.temperature
        self.is_learned = config.weights == "learned"
        start = torch.tensor(START if self.is_learned else (1.0, 1.0, 1.0))
        self.shares = torch.tensor(SHARES if self.is_learned else (1.0, 1.0, 1.0))
        self.log_variance = nn.Parameter(-start.log(), requires_grad=self.is_learned)  # (3,)

    def forward(
        self, raw: Raw, batch: Batch, anchors: Tensor, divisor: Divisor = own_count
    ) -> Losses:
        """The labels' losses, and "kd_class", "kd_box" and "kd_landmark" with their weights.

        Learned weights add "kd_log_variance", which may be negative.
        """
        with torch.no_grad():
            # Put back what the last step moved too far. A clamp within the loss would have no
            # gradient outside the bounds, and a weight that once left them could not return.
            self.log_variance.clamp_(-BOUND, BOUND)
        apart = self.distances(raw, batch, divisor)
        weighted = self.shares * torch.exp(-self.log_variance) * apart
        losses = dict(self.labels(raw, batch, anchors, divisor))
        losses |= {f"kd_{task}": loss for task, loss in zip(TASKS, weighted, strict=True)}
        if self.is_learned:
            losses["kd_log_variance"] = self.log_variance.sum() / 2
        return losses

    def distances(self, raw: Raw, batch: Batch, divisor: Divisor = own_count) -> Tensor:
        """Means over the chosen anchors for class, box and landmark, without weights: (3,)."""
        theirs = self.teacher(batch.images)
        ours = Raw(*(part[:, self.rows] for part in raw))
        chosen = self.choose(ours, theirs, batch)
        soft_ours, soft_theirs = (
            (logits[chosen.classes] / self.temperature).log_softmax(-1)
            for logits in (ours.class_logits, theirs.class_logits)
        )
        divergence = functional.kl_div(soft_ours, soft_theirs, reduction="sum", log_target=True)
        box = (ours.box_deltas - theirs.box_deltas)[chosen.boxes].square().sum()
        landmark = (ours.landmark_deltas - theirs.landmark_deltas)[chosen.landmarks].square().sum()
        sums = torch.stack([divergence * self.temperature**2, box, landmark])
        return sums / divisor(torch.stack([mask.sum() for mask in chosen]))

    @torch.no_grad()
    def choose(self, ours: Raw, theirs: Raw, batch: Batch) -> Chosen:
        """Few of the anchors: nearly all are background that both networks know.

        Those in regions to ignore are left out, unless a label matches, as in the labels' losses.
        """
        sees = theirs.class_logits.softmax(-1)[..., 1] > SEEN  # (B, T)
        matches = batch.overlap >= OVERLAP
        positive = _anchors_of(batch, matches)[:, self.rows] & self.followed
        told = _anchors_of(batch, matches & batch.has_landmarks[batch.face])[:, self.rows]
        allowed = positive | (self.followed & ~batch.ignore[:, self.rows])
        sees &= allowed
        entropy = -ours.class_logits.log_softmax(-1)[..., 0]  # if all were background
        mined = hard_negatives(entropy.masked_fill(positive | ~allowed, -1), positive)
        return Chosen(positive | sees | mined, sees, sees & told)

    def weights(self) -> dict[str, float]:
        """The weights as they are now, for the log."""
        values = torch.exp(-self.log_variance.detach().clamp(-BOUND, BOUND)).tolist()
        return {f"kd_weight_{task}": value for task, value in zip(TASKS, values, strict=True)}


def _anchors_of(batch: Batch, pairs: Tensor) -> Tensor:
    """Mask of the student's anchors in the chosen pairs: (P,) -> (B, A)."""
    mask = torch.zeros_like(batch.ignore)
    mask[batch.image[pairs], batch.anchor[pairs]] = True
    return mask
