"""Reads weights that others trained; only a teacher or a start for training, never shipped."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from featherface.models.featherface_v1 import FeatherFaceV1
from featherface.models.v1_keys import rename_v1_keys
from featherface.models.zoo import featherface_v1


def load_featherface_v1(path: str | Path) -> FeatherFaceV1:
    """The published FeatherFace V1 from a safetensors file with the published key names.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file holds other weights than the published network's.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; wanted a .safetensors file of V1")
    model = featherface_v1()
    try:
        model.load_state_dict(rename_v1_keys(load_file(path)))
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold the published FeatherFace V1: {error}") from error
    return model.eval()
