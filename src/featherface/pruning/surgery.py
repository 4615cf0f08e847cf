"""A physically smaller Nano-B: the same class with a narrower backbone, loaded strictly.

Cutting is exact for channels that a plain convolution reads. It is not for the taps: CBAM pools
over channels, so fewer channels change its mean and maximum; fine-tuning makes up for it.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor

from featherface.models.cbam import REDUCTION
from featherface.models.mobilenet import Widths
from featherface.models.nano_b import NanoB
from featherface.pruning import fpgm
from featherface.pruning.backbone import State, slice_backbone


def cut_network(model: NanoB, widths: Widths) -> NanoB:
    """The network with the backbone cut down to `widths`, channels chosen by FPGM.

    Raises:
        ValueError: when a layer has fewer channels than wanted.
    """
    state = model.state_dict()
    prefix = "backbone."
    backbone = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    cut, taps = slice_backbone(backbone, widths)
    state |= {prefix + name: value for name, value in cut.items()}
    if model.config.scale_decoupling:
        _cut_decoupling(state, taps[0])
    for level, kept in enumerate(taps):
        _cut_attention(state, f"attention.{level}.channel.mlp", kept)
        _cut_inputs(state, f"project.{level}.0", kept)
        if level:
            _cut_inputs(state, f"project_again.{level - 1}.0", kept)
    smaller = NanoB(dataclasses.replace(model.config, widths=widths))
    smaller.load_state_dict(state)
    return smaller


def _cut_inputs(state: State, name: str, kept: Tensor) -> None:
    """A convolution that reads fewer channels."""
    state[f"{name}.weight"] = state[f"{name}.weight"][:, kept]


def _cut_outputs(state: State, name: str, kept: Tensor) -> None:
    """A convolution that makes fewer channels."""
    for part in ("weight", "bias"):
        if f"{name}.{part}" in state:
            state[f"{name}.{part}"] = state[f"{name}.{part}"][kept]


def _cut_decoupling(state: State, kept: Tensor) -> None:
    """All four convolutions of ScaleDecoupling read and make the tap's channels."""
    for name in ("enhance", "suppress", "gate_fine", "gate_coarse"):
        _cut_inputs(state, f"decouple.{name}", kept)
        _cut_outputs(state, f"decouple.{name}", kept)


def _cut_attention(state: State, name: str, kept: Tensor) -> None:
    """Channel attention: its hidden units shrink with the channels."""
    _cut_inputs(state, f"{name}.0", kept)
    hidden = fpgm.keep(state[f"{name}.0.weight"], max(len(kept) // REDUCTION, 1))
    _cut_outputs(state, f"{name}.0", hidden)
    _cut_inputs(state, f"{name}.2", hidden)
    _cut_outputs(state, f"{name}.2", kept)
