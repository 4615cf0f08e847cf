"""The convolution blocks that every part is made of, and their initial values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SLOPE = 0.1
"""Slope of LeakyReLU below zero in the backbones that training starts from."""

MEAN_RGB = (123.0, 117.0, 104.0)
"""Subtracted from RGB pixels of 0-255, as the backbones that training starts from expect."""


def normalise(pixels: Tensor) -> Tensor:
    """uint8 RGB (B, H, W, 3) -> what every network here takes: float32 (B, 3, H, W)."""
    return (pixels.float() - pixels.new_tensor(MEAN_RGB, dtype=torch.float32)).permute(0, 3, 1, 2)


def conv_bn(
    inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution without bias, batch norm; no activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


def rectifier(slope: float) -> nn.Module:
    """LeakyReLU, or ReLU where the slope is 0."""
    return nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)


def conv_bn_act(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    slope: float = SLOPE,
) -> nn.Sequential:
    """Convolution without bias, batch norm, LeakyReLU of that slope below zero."""
    block = conv_bn(inputs, outputs, kernel, stride=stride, groups=groups)
    block.append(rectifier(slope))
    return block


def depthwise_separable(
    inputs: int, outputs: int, *, stride: int = 1, slope: float = SLOPE
) -> nn.Sequential:
    """MobileNetV1's block: depthwise 3x3, then pointwise 1x1, each with norm and activation."""
    return nn.Sequential(
        *conv_bn_act(inputs, inputs, 3, stride=stride, groups=inputs, slope=slope),
        *conv_bn_act(inputs, outputs, slope=slope),
    )


def bottleneck(channels: int, hidden: int) -> nn.Sequential:
    """Two biased 1x1 convolutions with a ReLU between: the MLP of channel attention."""
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1)
    )


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave the channels of `groups` equal groups (ShuffleNet, Zhang et al., CVPR 2018)."""
    batch, channels, height, width = x.shape
    x = x.view(batch, groups, channels // groups, height, width)
    return x.transpose(1, 2).reshape(batch, channels, height, width)


def upsample(x: Tensor, factor: int) -> Tensor:
    """Nearest-neighbour enlargement by a whole factor."""
    return nn.functional.interpolate(x, scale_factor=float(factor), mode="nearest")


def init_weights(module: nn.Module) -> None:
    """He initialisation for convolutions, ones and zeros for norms; use with `apply`."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=SLOPE, mode="fan_out")
        if module.groups > 1:
            # A depthwise filter sees 9 inputs; fan-out counts those of all channels.
            nn.init.normal_(module.weight, 0.0, (2.0 / 9.0) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)


def count_parameters(module: nn.Module) -> int:
    """Trainable numbers in a module."""
    return sum(p.numel() for p in module.parameters())


def mean_and_max(x: Tensor) -> Tensor:
    """Mean and maximum over channels: (B, C, H, W) -> (B, 2, H, W), maximum first."""
    return torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)
