"""MobileNetV1 in any widths, tapped at strides 4, 8, 16 and 32 (Howard et al., 2017).

The block layout is the one of RetinaFace's x0.25 network; a pruned network is the same layout
with other widths, so widths are plain data.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from featherface.models.layers import SLOPE, conv_bn_act, depthwise_separable

STRIDES = ((2, 1, 2, 1, 2, 1), (2, 1, 1, 1, 1, 1), (2, 1))
"""Strides of the stem and the 13 blocks, stage by stage."""

X025 = ((8, 16, 32, 32, 64, 64), (128,) * 6, (256, 256))
"""V1's x0.25 network: 213,072 parameters."""
DENSE = ((8, 16, 32, 32, 64, 32), (88, 88, 88, 88, 88, 64), (144, 128))
"""Nano-B Enhanced before pruning: 84,120 parameters."""
PRUNED = ((8, 16, 32, 32, 48, 27), (72, 72, 72, 72, 72, 50), (128, 87))
"""Nano-B Enhanced after pruning: 57,815 parameters."""

FINER = 4
"""The stem and the blocks up to stride 4: their last map is the finest tap."""

Widths = tuple[tuple[int, ...], ...]


class Taps(NamedTuple):
    """What the backbone gives."""

    c2: Tensor  # (B, C, H/4, W/4), of which only ScaleDecoupling may make use
    c3: Tensor  # (B, C3, H/8, W/8)
    c4: Tensor  # (B, C4, H/16, W/16)
    c5: Tensor  # (B, C5, H/32, W/32)


class Pyramid(NamedTuple):
    """Feature maps at strides 8, 16 and 32."""

    p3: Tensor  # (B, C3, H/8, W/8)
    p4: Tensor  # (B, C4, H/16, W/16)
    p5: Tensor  # (B, C5, H/32, W/32)


class MobileNetV1(nn.Module):
    """Stem and 13 depthwise-separable blocks.

    Args:
        widths: output channels of the stem and the blocks, grouped as in `STRIDES`.
        slope: of the activations below zero.
    """

    def __init__(self, widths: Widths, *, slope: float = SLOPE) -> None:
        super().__init__()
        if [len(stage) for stage in widths] != [len(stage) for stage in STRIDES]:
            raise ValueError(f"widths must be 6, 6 and 2 numbers, not {widths}")
        stages: list[nn.Sequential] = []
        channels = 3
        for stage_widths, strides in zip(widths, STRIDES, strict=True):
            blocks: list[nn.Module] = []
            for width, stride in zip(stage_widths, strides, strict=True):
                if not stages and not blocks:
                    blocks.append(conv_bn_act(3, width, 3, stride=stride, slope=slope))
                else:
                    blocks.append(depthwise_separable(channels, width, stride=stride, slope=slope))
                channels = width
            stages.append(nn.Sequential(*blocks))
        self.stage1, self.stage2, self.stage3 = stages
        self.channels = (widths[0][-1], widths[1][-1], widths[2][-1])

    def forward(self, images: Tensor) -> Taps:
        """(B, 3, H, W) normalised RGB -> the taps."""
        maps = [images]
        for block in self.stage1:
            maps.append(block(maps[-1]))
        c4 = self.stage2(maps[-1])
        return Taps(maps[FINER], maps[-1], c4, self.stage3(c4))
