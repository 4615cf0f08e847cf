"""Convolutional block attention: channels first, then places (Woo et al., ECCV 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from featherface.models.layers import bottleneck, mean_and_max

REDUCTION = 16
"""Channels per hidden unit of the channel MLP."""


def hidden_units(channels: int, reduction: int = REDUCTION) -> int:
    """Of the channel MLP."""
    return max(channels // reduction, 1)


class ChannelAttention(nn.Module):
    """sigmoid(MLP(mean over places) + MLP(maximum over places)), one factor a channel."""

    def __init__(self, channels: int, *, reduction: int = REDUCTION) -> None:
        super().__init__()
        self.mlp = bottleneck(channels, hidden_units(channels, reduction))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 1, 1)."""
        mean = self.mlp(x.mean((2, 3), keepdim=True))
        return (mean + self.mlp(x.amax((2, 3), keepdim=True))).sigmoid()


class SpatialAttention(nn.Module):
    """sigmoid(BN(conv7x7(maximum and mean over channels))), one factor a place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1, H, W)."""
        return self.norm(self.conv(mean_and_max(x))).sigmoid()


class CBAM(nn.Module):
    """x * channel factors * place factors."""

    def __init__(self, channels: int, *, reduction: int = REDUCTION) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction=reduction)
        self.spatial = SpatialAttention()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        x = x * self.channel(x)
        return x * self.spatial(x)
