"""Networks with weights drawn so that no part of them is idle."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from featherface.export.onnx import Parity
from featherface.metadata import ModelInfo
from featherface.models.featherface_v1 import FeatherFaceV1
from featherface.models.layers import count_parameters, normalise
from featherface.models.nano_b import NanoB
from featherface.models.zoo import build


class Exported(NamedTuple):
    """A network and its file."""

    model: NanoB | FeatherFaceV1
    info: ModelInfo
    path: Path
    parity: Parity


def stirred(name: str) -> NanoB | FeatherFaceV1:
    """A network of the zoo in eval mode, with random numbers where fresh ones are all alike.

    They are small: activations must not grow until rounding decides over the outputs.
    """
    torch.manual_seed(0)
    model = build(name)
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim == 1:
                value.add_(torch.randn(value.shape) * 0.05)
            elif not value.any():
                value.normal_(0, 0.002)
        for key, value in model.named_buffers():
            if key.endswith("running_mean"):
                value.normal_(0, 0.1)
            elif key.endswith("running_var"):
                value.uniform_(0.8, 1.25)
        # Scores that differ, so that their order does not hang on rounding.
        logits = model.eval()(normalise(torch.randint(0, 256, (1, 128, 128, 3)))).class_logits
        for conv in model.heads.class_logits:
            conv.weight.div_((logits[..., 1] - logits[..., 0]).std())
            conv.bias.zero_()
    return model


def info_of(model: NanoB | FeatherFaceV1) -> ModelInfo:
    """Facts to keep in a file."""
    return ModelInfo(
        "stirred",
        count_parameters(model),
        macs_640=1,
        anchors=model.config.anchors,
        recipe="none",
        data="nothing",
        data_licence="any",
        trained="never",
    )
