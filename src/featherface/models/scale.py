"""The two modules that only P3 has, for small faces.

Scale decoupling after Ma, Chai, Jin, "Scale Decoupled Pyramid", IEEE TGRS 61, 2023, whose exact
layers are not published; scale sequence attention after Lee, Kim, "ASSN", Heliyon 10(12), 2024,
in a light form that may do without its ELAN block.
"""

from __future__ import annotations

from torch import Tensor, nn

from featherface.models.cbam import SpatialAttention
from featherface.models.layers import SLOPE, bottleneck, conv_bn, conv_bn_act, rectifier, upsample
from featherface.models.mobilenet import Pyramid


class ScaleDecoupling(nn.Module):
    """Strengthens fine detail and weakens what a coarse map already shows.

    low = mean over cells of 4x4, high = x - low, fine = enhance(high) + detail(C2);
    y = x + gate * fine - (1 - gate) * suppress(low). At the start y = x.

    Args:
        channels: of C3.
        finer: channels of C2, the map at stride 4, where a face of 10 pixels still has some cells
            of its own; 0 to do without.
    """

    CELL = 4  # 32 px of the picture: what is larger belongs to the deeper levels

    def __init__(self, channels: int, finer: int = 0) -> None:
        super().__init__()
        self.enhance = nn.Conv2d(channels, channels, 3, padding=1)
        self.detail = nn.Conv2d(finer, channels, 3, 2, padding=1, bias=False) if finer else None
        self.suppress = nn.Conv2d(channels, channels, 1)
        # One 1x1 convolution over both, split so that the coarse half runs on the coarse map.
        self.gate_fine = nn.Conv2d(channels, channels, 1)
        self.gate_coarse = nn.Conv2d(channels, channels, 1, bias=False)

    def zero_init(self) -> None:
        """Start as the identity."""
        for conv in (self.enhance, self.suppress):
            nn.init.zeros_(conv.weight)
        if self.detail:
            nn.init.zeros_(self.detail.weight)

    def forward(self, c3: Tensor, c2: Tensor) -> Tensor:
        """C3 (B, C, H, W), H and W multiples of 4, and C2 (B, F, 2H, 2W) -> C3's shape."""
        low = nn.functional.avg_pool2d(c3, self.CELL)
        fine = self.enhance(c3 - upsample(low, self.CELL))
        if self.detail:
            fine = fine + self.detail(c2)
        coarse = self.suppress(low)
        gate = (self.gate_fine(fine) + upsample(self.gate_coarse(coarse), self.CELL)).sigmoid()
        coarse = upsample(coarse, self.CELL)
        return c3 - coarse + gate * (fine + coarse)


class ElanBlock(nn.Module):
    """Whole 3x3 convolutions in a row; what goes in and what each gives are mixed (ELAN).

    Args:
        hidden: channels that go in, and of each convolution.
        channels: that come out.
        depth: convolutions.
        slope: of the activations below zero.
    """

    def __init__(self, hidden: int, channels: int, depth: int, *, slope: float = SLOPE) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            conv_bn_act(hidden, hidden, 3, slope=slope) for _ in range(depth)
        )
        # A 1x1 convolution of the concatenated maps is the sum of one on each.
        self.mix = nn.ModuleList(
            nn.Conv2d(hidden, channels, 1, bias=False) for _ in range(depth + 1)
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, hidden, H, W) -> (B, channels, H, W)."""
        first, *mixes = self.mix
        total = first(x)
        for conv, mix in zip(self.convs, mixes, strict=True):
            x = conv(x)
            total = total + mix(x)
        return self.norm(total)


class ScaleSequenceAttention(nn.Module):
    """P3 attention steers all three levels, and what they agree on is added to P3.

    Args:
        channels: of each map.
        hidden: channels of the joint map.
        gate: hidden units of P3's channel attention.
        elan: convolutions of an ELAN block instead of one depthwise convolution, if not 0.
        slope: of the activations below zero.
    """

    def __init__(
        self, channels: int, hidden: int, *, gate: int, elan: int = 0, slope: float = SLOPE
    ) -> None:
        super().__init__()
        self.channel = bottleneck(channels, gate)
        self.spatial = SpatialAttention()
        # A 1x1 convolution of the three concatenated maps is the sum of one on each.
        self.reduce = nn.ModuleList(nn.Conv2d(channels, hidden, 1, bias=False) for _ in range(3))
        self.norm = nn.Sequential(nn.BatchNorm2d(hidden), rectifier(slope))
        self.mix: ElanBlock | nn.Sequential = (
            ElanBlock(hidden, channels, elan, slope=slope)
            if elan
            else nn.Sequential(
                *conv_bn_act(hidden, hidden, 3, groups=hidden, slope=slope),
                *conv_bn(hidden, channels),
            )
        )

    def zero_init(self) -> None:
        """Start as the identity."""
        norm = self.mix.norm if isinstance(self.mix, ElanBlock) else self.mix[-1]
        nn.init.zeros_(norm.get_parameter("weight"))

    def forward(self, levels: Pyramid) -> Tensor:
        """Three maps of one width -> the new P3."""
        p3, p4, p5 = levels
        gate = self.channel(p3.mean((2, 3), keepdim=True)).sigmoid()
        gate = gate + self.channel(p3.amax((2, 3), keepdim=True)).sigmoid()
        fine = p3 * gate
        place = self.spatial(fine)  # (B, 1, H, W); one factor a place commutes with the 1x1
        stacked = (
            self.reduce[0](fine) + upsample(self.reduce[1](p4), 2) + upsample(self.reduce[2](p5), 4)
        )
        return p3 + self.mix(self.norm(stacked * place))
