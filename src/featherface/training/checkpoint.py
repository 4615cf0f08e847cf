"""Files of a run: `model.safetensors` to use and `state.pt` to go on from.

Both are written whole or not at all, and neither can carry code.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from featherface.files import write_atomically
from featherface.models.nano_b import NanoB, NanoBConfig

KEY = "featherface"


class CheckpointError(ValueError):
    """A file that holds no usable network; the message names it."""


def save_model(path: Path, model: NanoB, facts: Mapping[str, Any]) -> None:
    """Write weights with their configuration and `facts` (provenance) in the metadata."""
    about = json.dumps({"network": "nano_b", "config": model.config.to_dict(), **facts})
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    write_atomically(path, save(state, {KEY: about}))


def load_model(path: Path) -> tuple[NanoB, dict[str, Any]]:
    """Read what `save_model` wrote.

    Returns:
        The network in eval mode, and the facts.

    Raises:
        CheckpointError: when the file is missing, is not such a file, or does not fit.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; give a model.safetensors of a training run")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(KEY)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged, or not a safetensors file ({error})") from error
    if text is None:
        raise CheckpointError(f"{path}: no featherface metadata; was it saved by this project?")
    try:
        about: dict[str, Any] = json.loads(text)
        model = NanoB(NanoBConfig.from_dict(about["config"]))
        model.load_state_dict(state)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a checkpoint of this version ({error})") from error
    return model.eval(), about


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write everything that a run needs to go on."""
    packed = io.BytesIO()
    torch.save(dict(state), packed)
    write_atomically(path, packed.getvalue())


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote; tensors and plain values only, never code.

    Raises:
        CheckpointError: when the file cannot be read.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path}: cannot be resumed from ({reason}); delete it to start anew"
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: holds no state of a run; delete it to start anew")
    return state
