"""The networks by name, each with all its numbers fixed."""

from __future__ import annotations

from collections.abc import Callable

from featherface.models.featherface_v1 import FeatherFaceV1, FeatherFaceV1Config
from featherface.models.mobilenet import DENSE
from featherface.models.nano_b import NanoB, NanoBConfig


def featherface_v1() -> FeatherFaceV1:
    """The published network: 592,371 parameters, 16,800 anchors at 640x640."""
    return FeatherFaceV1(FeatherFaceV1Config())


def nano_b() -> NanoB:
    """The original Nano-B, CBAM -> BiFPN -> CBAM at every level: 119,109 parameters."""
    return NanoB(NanoBConfig(scale_decoupling=False, semantic=False, scale_sequence=False))


def nano_b_enhanced() -> NanoB:
    """Nano-B with ScaleDecoupling, MSE and ASSN: 136,073 parameters."""
    return NanoB(NanoBConfig())


def nano_b_enhanced_dense() -> NanoB:
    """Nano-B Enhanced before its backbone is pruned: 171,142 parameters."""
    return NanoB(NanoBConfig(widths=DENSE))


def nano_b_enhanced_dense_relu() -> NanoB:
    """The same with ReLU instead of LeakyReLU."""
    return NanoB(NanoBConfig(widths=DENSE, slope=0.0))


MODELS: dict[str, Callable[[], NanoB | FeatherFaceV1]] = {
    "featherface_v1": featherface_v1,
    "nano_b": nano_b,
    "nano_b_enhanced": nano_b_enhanced,
    "nano_b_enhanced_dense": nano_b_enhanced_dense,
    "nano_b_enhanced_dense_relu": nano_b_enhanced_dense_relu,
}


def build(name: str) -> NanoB | FeatherFaceV1:
    """A network with fresh weights.

    Raises:
        ValueError: when there is no network of that name.
    """
    if name not in MODELS:
        raise ValueError(f"no network is called {name!r}; there are {', '.join(MODELS)}")
    return MODELS[name]()
