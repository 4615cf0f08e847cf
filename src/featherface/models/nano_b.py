"""Nano-B: the light detector, with or without the three modules for small faces.

    C3 -> ScaleDecoupling* -> CBAM -+                +-> ASSN* (else CBAM) -+
    C4 --------------------> CBAM --+-> BiFPN + MSE* +-> CBAM --------------+-> context -> heads
    C5 --------------------> CBAM --+                +-> CBAM --------------+

The context is SSH and a channel shuffle. The starred modules make it Nano-B Enhanced;
ScaleDecoupling may read C2 as well. After FeatherFace (Kim et al., Electronics 14(3), 2025).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from featherface.anchors import NANO_B, AnchorSpec
from featherface.models.bifpn import BiFPNLayer, Project
from featherface.models.cbam import CBAM
from featherface.models.heads import Heads, Raw
from featherface.models.layers import SLOPE, channel_shuffle, init_weights
from featherface.models.mobilenet import FINER, PRUNED, MobileNetV1, Pyramid, Widths
from featherface.models.mse import GatedFusion, SemanticInjection
from featherface.models.scale import ScaleDecoupling, ScaleSequenceAttention
from featherface.models.ssh import ContextModule

SHUFFLE_GROUPS = 4
STARRED = ScaleDecoupling, SemanticInjection, GatedFusion, ScaleSequenceAttention


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """Channels that stay inside a module behind the backbone: what pruning may take there.

    Attributes:
        semantic: hidden units of MSE's semantic enhancement.
        guide: hidden units of MSE's gate, each level.
        gate: hidden units of ASSN's channel gate; 0 for an eighth of the network's width.
        sequence: channels of ASSN's joint map.
        context: channels between the convolutions of SSH's 5x5 and 7x7 branches; 0 for a quarter
            of the network's width.
    """

    semantic: int = 8
    guide: int = 4
    gate: int = 0
    sequence: int = 16
    context: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoBConfig:
    """Everything that tells one Nano-B from another.

    Attributes:
        widths: channels of the backbone (see `mobilenet.MobileNetV1`).
        channels: width of the neck and the context modules.
        repeats: how often the BiFPN runs.
        scale_decoupling: ScaleDecoupling before P3's attention.
        detail: ScaleDecoupling looks at stride 4 too.
        semantic: MSE around the BiFPN.
        scale_sequence: ASSN instead of CBAM on P3 after the BiFPN.
        elan: convolutions of ASSN's ELAN block; 0 for a light form without it.
        identity_start: MSE and ASSN change nothing before they have learned to, as
            ScaleDecoupling always does.
        hidden: channels inside the modules behind the backbone.
        slope: of the activations below zero: 0 is ReLU, which ONNX Runtime computes inside a
            convolution, while LeakyReLU goes through the map once more.
        anchors: the anchor grid.
    """

    widths: Widths = PRUNED
    channels: int = 32
    repeats: int = 3
    scale_decoupling: bool = True
    detail: bool = False
    semantic: bool = True
    scale_sequence: bool = True
    elan: int = 0
    identity_start: bool = False
    hidden: Hidden = field(default_factory=Hidden)
    slope: float = SLOPE
    anchors: AnchorSpec = NANO_B

    def __post_init__(self) -> None:
        gate = self.hidden.gate or self.channels // 8
        context = self.hidden.context or self.channels // 4
        object.__setattr__(self, "hidden", replace(self.hidden, gate=gate, context=context))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NanoBConfig:
        """The inverse of `to_dict`, after a trip through JSON too.

        Files from before there was anything to say about `hidden` and `slope` have the defaults.
        """
        anchors = values["anchors"]
        spec = AnchorSpec(
            tuple(anchors["strides"]),
            tuple(tuple(sizes) for sizes in anchors["sizes"]),
            tuple(anchors["variances"]),
        )
        widths = tuple(tuple(stage) for stage in values["widths"])
        hidden = Hidden(**values.get("hidden", {}))
        return cls(**{**values, "widths": widths, "hidden": hidden, "anchors": spec})


class NanoB(nn.Module):
    """Nano-B as its configuration says."""

    def __init__(self, config: NanoBConfig) -> None:
        super().__init__()
        self.config = config
        width, hidden = config.channels, config.hidden
        self.backbone = MobileNetV1(config.widths, slope=config.slope)
        taps = self.backbone.channels
        finer = config.widths[0][FINER - 1] if config.detail else 0
        self.decouple = ScaleDecoupling(taps[0], finer) if config.scale_decoupling else None
        self.attention = nn.ModuleList(CBAM(channels) for channels in taps)
        self.project = nn.ModuleList(Project(channels, width) for channels in taps)
        self.project_again = nn.ModuleList(Project(channels, width) for channels in taps[1:])
        self.inject = (
            SemanticInjection(width, hidden.semantic) if config.semantic else nn.Identity()
        )
        self.bifpn = nn.ModuleList(BiFPNLayer(width) for _ in range(config.repeats))
        self.guide = nn.ModuleList(
            GatedFusion(width, hidden.guide) if config.semantic else nn.Identity() for _ in taps
        )
        self.refine_p3 = (
            ScaleSequenceAttention(
                width, hidden.sequence, gate=hidden.gate, elan=config.elan, slope=config.slope
            )
            if config.scale_sequence
            else CBAM(width)
        )
        self.refine = nn.ModuleList(CBAM(width) for _ in taps[1:])
        self.context = nn.ModuleList(
            ContextModule(width, branch=width // 4, inner=hidden.context, slope=config.slope)
            for _ in taps
        )
        self.heads = Heads(width, config.anchors.per_cell)
        self.apply(init_weights)
        self.heads.prior_init()
        late = (self.inject, *self.guide, self.refine_p3) if config.identity_start else ()
        for module in (self.decouple, *late):
            if isinstance(module, STARRED):
                module.zero_init()

    def forward(self, images: Tensor) -> Raw:
        """(B, 3, H, W) normalised RGB, H and W multiples of 32 -> Raw of A anchors."""
        c2, c3, c4, c5 = self.backbone(images)
        taps = [self.decouple(c3, c2) if self.decouple else c3, c4, c5]
        taps = [attend(x) for attend, x in zip(self.attention, taps, strict=True)]
        levels = Pyramid(*(project(x) for project, x in zip(self.project, taps, strict=True)))
        levels = self.inject(levels)
        second = tuple(project(x) for project, x in zip(self.project_again, taps[1:], strict=True))
        for layer in self.bifpn:
            levels = layer(levels, second)
            second = levels[1:]
        levels = Pyramid(*(guide(x) for guide, x in zip(self.guide, levels, strict=True)))
        p3 = self.refine_p3(levels if self.config.scale_sequence else levels.p3)
        p4, p5 = (refine(x) for refine, x in zip(self.refine, levels[1:], strict=True))
        context = (module(x) for module, x in zip(self.context, (p3, p4, p5), strict=True))
        return self.heads(Pyramid(*(channel_shuffle(x, SHUFFLE_GROUPS) for x in context)))
