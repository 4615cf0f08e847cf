"""Per-level 1x1 heads: two class logits, a box code and a landmark code for each anchor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from featherface.models.mobilenet import Pyramid

TASKS = {"class_logits": 2, "box_deltas": 4, "landmark_deltas": 10}
"""Numbers that each task gives for an anchor."""


class Raw(NamedTuple):
    """What a network says of every anchor, in the order of `anchors.make_anchors`."""

    class_logits: Tensor  # (B, A, 2), background then face
    box_deltas: Tensor  # (B, A, 4), see boxes.encode
    landmark_deltas: Tensor  # (B, A, 10), see boxes.encode_points


class Heads(nn.Module):
    """One 1x1 convolution for each level and task.

    Args:
        channels: width of the maps.
        per_cell: anchors a cell, one number a level.
    """

    PRIOR = 0.02  # the face probability that an untrained head gives

    def __init__(self, channels: int, per_cell: tuple[int, ...]) -> None:
        super().__init__()
        self.class_logits, self.box_deltas, self.landmark_deltas = (
            nn.ModuleList(nn.Conv2d(channels, count * width, 1) for count in per_cell)
            for width in TASKS.values()
        )

    def prior_init(self) -> None:
        """Small weights, and a class bias that calls almost everything background."""
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.normal_(conv.weight, 0.0, 0.01)
        logit = math.log(self.PRIOR / (1 - self.PRIOR)) / 2
        for name, bias in self.class_logits.named_parameters():
            if name.endswith("bias"):
                bias.data.view(-1, 2).copy_(torch.tensor([-logit, logit]))

    @torch.no_grad()
    def rescale_scores(self, scale: float, shifts: Sequence[float]) -> None:
        """Make the logit of each face probability `scale` times what it was, plus a shift.

        Args:
            scale: the factor.
            shifts: one for each anchor of a cell, all of the first level first.
        """
        rest = torch.tensor(shifts, dtype=torch.float32)
        for name, value in self.class_logits.named_parameters():
            value.mul_(scale)
            if name.endswith("bias"):
                of_level, rest = rest[: len(value) // 2], rest[len(value) // 2 :]
                value.add_(torch.stack([-of_level / 2, of_level / 2], dim=1).flatten())

    def forward(self, levels: Pyramid) -> Raw:
        """Three maps of one width -> Raw."""
        tasks = (self.class_logits, self.box_deltas, self.landmark_deltas)
        return Raw(
            *(
                torch.cat([_rows(conv(x), width) for conv, x in zip(convs, levels, strict=True)], 1)
                for convs, width in zip(tasks, TASKS.values(), strict=True)
            )
        )


def _rows(x: Tensor, width: int) -> Tensor:
    """(B, K * width, H, W) -> (B, H * W * K, width)."""
    return x.permute(0, 2, 3, 1).reshape(len(x), -1, width)
