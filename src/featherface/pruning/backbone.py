"""A narrower MobileNetV1 cut out of a wider one, its channels chosen by FPGM.

A channel leaves with its pointwise filter, its norm, the depthwise filter after it and the inputs
that read it. The ranking is done on the filter that makes the channel (the stem's or the
pointwise one); depthwise filters see one channel and follow it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from featherface.models.mobilenet import Widths
from featherface.pruning import fpgm

State = dict[str, Tensor]


def slice_backbone(state: State, widths: Widths) -> tuple[State, list[Tensor]]:
    """Cut a backbone's weights down to `widths`.

    Args:
        state: weights of a `MobileNetV1`, keys `stage1.0.0.weight` and so on.
        widths: channels wanted of the stem and each block.

    Returns:
        Weights of `MobileNetV1(widths)`, and which channels were kept at each stage's end.

    Raises:
        ValueError: when a layer has fewer channels than wanted.
    """
    cut: State = {}
    kept = torch.arange(3)
    taps = []
    for stage, stage_widths in enumerate(widths, start=1):
        for block, width in enumerate(stage_widths):
            prefix = f"stage{stage}.{block}"
            maker = 0
            if f"{prefix}.3.weight" in state:  # depthwise and its norm, then the pointwise
                maker = 3
                cut[f"{prefix}.0.weight"] = state[f"{prefix}.0.weight"][kept]
                cut |= _norm(state, f"{prefix}.1", kept)
            weight = state[f"{prefix}.{maker}.weight"][:, kept]
            kept = fpgm.keep(weight, width)
            cut[f"{prefix}.{maker}.weight"] = weight[kept]
            cut |= _norm(state, f"{prefix}.{maker + 1}", kept)
        taps.append(kept)
    return cut, taps


def _norm(state: State, prefix: str, kept: Tensor) -> State:
    """The entries of a batch norm that stay."""
    cut = {
        f"{prefix}.{name}": state[f"{prefix}.{name}"][kept]
        for name in ("weight", "bias", "running_mean", "running_var")
    }
    counter = f"{prefix}.num_batches_tracked"
    return cut | ({counter: state[counter]} if counter in state else {})
