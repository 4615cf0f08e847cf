"""Bidirectional feature pyramid over three levels (Tan et al., CVPR 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from featherface.models.layers import upsample
from featherface.models.mobilenet import Pyramid


class Project(nn.Sequential):
    """1x1 convolution with bias, batch norm: brings a level to the neck's width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1), neck_norm(outputs))


class FuseNode(nn.Module):
    """Fast normalised fusion, swish, depthwise 3x3, pointwise 1x1, batch norm."""

    def __init__(self, channels: int, inputs: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(inputs))
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.norm = neck_norm(channels)

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps of one shape (B, C, H, W) -> their weighted mean, convolved."""
        weights = self.weights.relu()
        weights = weights / (weights.sum() + 1e-4)
        fused = weights[0] * maps[0]
        for weight, x in zip(weights[1:], maps[1:], strict=True):
            fused = fused + weight * x
        fused = nn.functional.silu(fused, inplace=True)
        return self.norm(self.pointwise(self.depthwise(fused)))


class BiFPNLayer(nn.Module):
    """One top-down and one bottom-up pass: four nodes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.p4_down = FuseNode(channels, 2)
        self.p3_out = FuseNode(channels, 2)
        self.p4_out = FuseNode(channels, 3)
        self.p5_out = FuseNode(channels, 2)
        # Rounding up pads the far side only, as "same" padding of the original does.
        self.shrink = nn.MaxPool2d(3, 2, ceil_mode=True)

    def forward(self, levels: Pyramid, second: tuple[Tensor, Tensor]) -> Pyramid:
        """Fuse the levels; `second` are the P4 and P5 that enter the bottom-up pass."""
        p3, p4, p5 = levels
        middle = self.p4_down(p4, upsample(p5, 2))
        p3 = self.p3_out(p3, upsample(middle, 2))
        p4 = self.p4_out(second[0], middle, self.shrink(p3))
        return Pyramid(p3, p4, self.p5_out(second[1], self.shrink(p4)))


def neck_norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm with the constants of EfficientDet."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
