"""The networks by name, each with all its numbers fixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from featherface.models.featherface_v1 import FeatherFaceV1, FeatherFaceV1Config
from featherface.models.mobilenet import DENSE
from featherface.models.nano_b import NanoB, NanoBConfig

PLAIN = NanoBConfig(scale_decoupling=False, semantic=False, scale_sequence=False)
AGAIN = NanoBConfig(detail=True, elan=2, identity_start=True)


def featherface_v1() -> FeatherFaceV1:
    """The published network: 592,371 parameters, 16,800 anchors at 640x640."""
    return FeatherFaceV1(FeatherFaceV1Config())


def nano_b() -> NanoB:
    """The original Nano-B, CBAM -> BiFPN -> CBAM at every level: 119,109 parameters."""
    return NanoB(PLAIN)


def nano_b_enhanced() -> NanoB:
    """Nano-B with ScaleDecoupling, MSE and ASSN: 136,073 parameters."""
    return NanoB(NanoBConfig())


def nano_b_enhanced_dense() -> NanoB:
    """Nano-B Enhanced before its backbone is pruned: 171,142 parameters."""
    return NanoB(NanoBConfig(widths=DENSE))


def nano_b_enhanced_dense_relu() -> NanoB:
    """The dense network with ReLU instead of LeakyReLU."""
    return NanoB(NanoBConfig(widths=DENSE, slope=0.0))


def nano_b_decoupled() -> NanoB:
    """Nano-B with ScaleDecoupling: 127,938 parameters."""
    return NanoB(NanoBConfig(semantic=False, scale_sequence=False))


def nano_b_detailed() -> NanoB:
    """Nano-B with ScaleDecoupling that looks at stride 4 too: 135,714 parameters."""
    return NanoB(NanoBConfig(semantic=False, scale_sequence=False, detail=True))


def nano_b_enhanced_again() -> NanoB:
    """Nano-B Enhanced with all that was tried to make its modules better: 149,369 parameters."""
    return NanoB(AGAIN)


def nano_b_semantic() -> NanoB:
    """Nano-B with MSE: 124,794 parameters."""
    return NanoB(NanoBConfig(scale_decoupling=False, scale_sequence=False))


def nano_b_sequence() -> NanoB:
    """Nano-B with ASSN: 121,559 parameters."""
    return NanoB(NanoBConfig(scale_decoupling=False, semantic=False))


def nano_b_wide() -> NanoB:
    """Nano-B with a wider backbone, of the size of Nano-B Enhanced: 136,127 parameters."""
    return NanoB(replace(PLAIN, widths=((8, 16, 32, 32, 64, 32), (84,) * 5 + (56,), (139, 96))))


MODELS: dict[str, Callable[[], NanoB | FeatherFaceV1]] = {
    "featherface_v1": featherface_v1,
    "nano_b": nano_b,
    "nano_b_enhanced": nano_b_enhanced,
    "nano_b_enhanced_dense": nano_b_enhanced_dense,
}
VARIANTS: dict[str, Callable[[], NanoB | FeatherFaceV1]] = {
    "nano_b_decoupled": nano_b_decoupled,
    "nano_b_detailed": nano_b_detailed,
    "nano_b_enhanced_again": nano_b_enhanced_again,
    "nano_b_semantic": nano_b_semantic,
    "nano_b_sequence": nano_b_sequence,
    "nano_b_wide": nano_b_wide,
    "nano_b_enhanced_dense_relu": nano_b_enhanced_dense_relu,
}
"""To compare with: what one module alone gives, what size alone gives, what an activation costs."""


def build(name: str) -> NanoB | FeatherFaceV1:
    """A network with fresh weights.

    Raises:
        ValueError: when there is no network of that name.
    """
    networks = MODELS | VARIANTS
    if name not in networks:
        raise ValueError(f"no network is called {name!r}; there are {', '.join(networks)}")
    return networks[name]()
