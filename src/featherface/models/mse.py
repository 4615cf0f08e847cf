"""Global semantics for every level, and a gate after fusion (MSE-FPN).

Guo et al., "Multiple semantic enhancement FPN", Scientific Reports 13:7178, 2023: semantic
enhancement, semantic injection, gated channel guidance. Its layer formulae are sized for
two-stage networks; these are light forms of the three ideas at the neck's width.
"""

from __future__ import annotations

from torch import Tensor, nn

from featherface.models.layers import bottleneck, conv_bn, upsample
from featherface.models.mobilenet import Pyramid


class SemanticEnhancement(nn.Module):
    """Adds to P5 one vector pooled over the places that a learned softmax points at."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.attend = nn.Conv2d(channels, 1, 1)
        self.transform = bottleneck(channels, hidden)

    def forward(self, p5: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        share = self.attend(p5).flatten(2).softmax(2)  # (B, 1, HW)
        context = (p5.flatten(2) * share).sum(2)  # (B, C)
        return p5 + self.transform(context[:, :, None, None])


class SemanticInjection(nn.Module):
    """Each level times one plus a gate read from the enhanced P5."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.enhance = SemanticEnhancement(channels, hidden)
        self.gates = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(3))

    def zero_init(self) -> None:
        """Start with gates that are one half everywhere."""
        for gate in self.gates:
            nn.init.zeros_(gate.get_parameter("weight"))

    def forward(self, levels: Pyramid) -> Pyramid:
        """Three maps of the neck's width -> the same shapes."""
        semantics = self.enhance(levels.p5)
        p3, p4, p5 = (
            # The 1x1 convolution commutes with nearest upsampling and is cheaper before it.
            level + level * upsample(gate(semantics).sigmoid(), factor)
            if factor > 1
            else semantics + semantics * gate(semantics).sigmoid()
            for level, gate, factor in zip(levels, self.gates, (4, 2, 1), strict=True)
        )
        return Pyramid(p3, p4, p5)


class GatedFusion(nn.Module):
    """After fusion, lets through the channels that matter: x + BN(dw3x3(x * gate))."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gate = bottleneck(channels, hidden)
        self.refine = conv_bn(channels, channels, 3, groups=channels)

    def zero_init(self) -> None:
        """Start as the identity."""
        nn.init.zeros_(self.refine[-1].get_parameter("weight"))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        gate = self.gate(x.mean((2, 3), keepdim=True)).sigmoid()
        return x + self.refine(x * gate)
