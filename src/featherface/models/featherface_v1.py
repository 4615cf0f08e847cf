"""FeatherFace V1, the published network that teaches the light ones.

    C3, C4, C5 -> attention -> BiFPN x 3 -> attention -> deformable SSH -> shuffle block -> heads

Kim, Jung, Kim, "FeatherFace", Electronics 14(3), 517, 2025. The layers are those of the published
weights, peculiarities included; only the stem takes RGB, as every network here does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from featherface.anchors import FEATHERFACE_V1, AnchorSpec
from featherface.models.bifpn import FuseNode, Project
from featherface.models.cbam import CBAM
from featherface.models.deformable import DeformableConv
from featherface.models.heads import Heads, Raw
from featherface.models.layers import SLOPE, channel_shuffle, conv_bn, init_weights, upsample
from featherface.models.mobilenet import X025, MobileNetV1, Pyramid

CHANNELS = 64
REPEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatherFaceV1Config:
    """What may differ from the published network.

    Attributes:
        anchors: the anchor grid; the published weights fit V1's own.
    """

    anchors: AnchorSpec = FEATHERFACE_V1


class FeatherFaceV1(nn.Module):
    """592,371 parameters with the published anchors, two a cell."""

    def __init__(self, config: FeatherFaceV1Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = MobileNetV1(X025)
        taps = self.backbone.channels
        self.attention = nn.ModuleList(CBAM(channels) for channels in taps)
        self.project = nn.ModuleList(Project(channels, CHANNELS) for channels in taps)
        self.project_again = nn.ModuleList(Project(channels, CHANNELS) for channels in taps[1:])
        self.bifpn = nn.ModuleList(BiFPNLayerV1(CHANNELS) for _ in range(REPEATS))
        self.refine = nn.ModuleList(CBAM(CHANNELS) for _ in taps)
        self.context = nn.ModuleList(DeformableSSH(CHANNELS) for _ in taps)
        self.shuffle = nn.ModuleList(ShuffleBlock(CHANNELS) for _ in taps)
        self.heads = Heads(CHANNELS, config.anchors.per_cell)
        self.apply(init_weights)
        self.heads.prior_init()
        for module in self.modules():
            if isinstance(module, DeformableConv):
                module.zero_init()

    def forward(self, images: Tensor) -> Raw:
        """(B, 3, H, W) normalised RGB, H and W multiples of 32 -> Raw of A anchors."""
        taps = _attend(self.attention, self.backbone(images)[1:])
        levels = _each(self.project, taps)
        second = (self.project_again[0](taps.p4), self.project_again[1](taps.p5))
        for layer in self.bifpn:
            levels = layer(levels, second)
            second = levels[1:]
        levels = _attend(self.refine, levels)
        return self.heads(_each(self.shuffle, _each(self.context, levels)))


def _each(modules: nn.ModuleList, levels: Pyramid) -> Pyramid:
    """One module a level."""
    return Pyramid(*(module(x) for module, x in zip(modules, levels, strict=True)))


def _attend(modules: nn.ModuleList, levels: Sequence[Tensor]) -> Pyramid:
    """CBAM as V1 has it: ReLU(CBAM(x) + x)."""
    return Pyramid(*((module(x) + x).relu() for module, x in zip(modules, levels, strict=True)))


class BiFPNLayerV1(nn.Module):
    """One top-down and one bottom-up pass; differs from `bifpn.BiFPNLayer` in two places.

    Shrinking pads with zeros, and the node of P5 has a third weight that scales nothing but still
    enters the sum that the other two are divided by.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.p4_down = FuseNode(channels, 2)
        self.p3_out = FuseNode(channels, 2)
        self.p4_out = FuseNode(channels, 3)
        self.p5_out = FuseNode(channels, 3)
        self.shrink = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2))

    def forward(self, levels: Pyramid, second: tuple[Tensor, Tensor]) -> Pyramid:
        """Fuse the levels; `second` are the P4 and P5 that enter the bottom-up pass."""
        p3, p4, p5 = levels
        middle = self.p4_down(p4, upsample(p5, 2))
        p3 = self.p3_out(p3, upsample(middle, 2))
        p4 = self.p4_out(second[0], middle, self.shrink(p3))
        return Pyramid(p3, p4, self.p5_out(second[1], self.shrink(p4), torch.zeros_like(p5)))


class DeformableSSH(nn.Module):
    """Receptive fields of 3, 5 and 7 as half, a quarter and a quarter of the channels.

    SSH (Najibi et al., ICCV 2017) with deformable convolutions; 5 and 7 share their first one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // 4
        self.field3 = deform_bn(channels, channels // 2)
        self.stem = deform_bn_act(channels, quarter)
        self.field5 = deform_bn(quarter, quarter)
        self.field7 = nn.Sequential(*deform_bn_act(quarter, quarter), *deform_bn(quarter, quarter))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        stem = self.stem(x)
        return torch.cat([self.field3(x), self.field5(stem), self.field7(stem)], dim=1).relu()


class ShuffleBlock(nn.Module):
    """Even channels before odd ones, then a bottleneck of half the width; one ReLU at the end."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.mix = nn.Sequential(
            *conv_bn(channels, half), *conv_bn(half, half, 3, groups=half), *conv_bn(half, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return self.mix(channel_shuffle(x, x.shape[1] // 2)).relu()


def deform_bn(inputs: int, outputs: int) -> nn.Sequential:
    """Deformable convolution, batch norm; no activation."""
    return nn.Sequential(DeformableConv(inputs, outputs), nn.BatchNorm2d(outputs))


def deform_bn_act(inputs: int, outputs: int) -> nn.Sequential:
    """Deformable convolution, batch norm, LeakyReLU."""
    return deform_bn(inputs, outputs).append(nn.LeakyReLU(SLOPE, inplace=True))
