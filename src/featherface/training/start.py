"""Where a run starts from: another network's weights, fitted to the new one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from featherface.models.nano_b import NanoB, NanoBConfig
from featherface.pruning.backbone import slice_backbone
from featherface.pruning.surgery import State, cut_network
from featherface.training.checkpoint import CheckpointError, load_model

PREFIXES = {"backbone.": False, "body.": True, "stage": True}
"""How the keys of a backbone begin: ours, FeatherFace V1's, the ImageNet classifier's; and whether
its first convolution reads BGR."""

STEM = "stage1.0.0.weight"


def start_from(model: NanoB, path: Path) -> str:
    """Copy weights into `model`.

    All of them when they are of such a network, whatever the slope of its activations; if only
    `model` looks at stride 4, what does so begins at zero. Those of a network that differs only in
    being wider inside are cut down to fit; any other file gives its backbone's best channels.

    Returns:
        What was done, for the log and the provenance.

    Raises:
        CheckpointError: when the file cannot be read or has no backbone that is wide enough.
    """
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from error
    try:
        source, _ = load_model(path)
    except CheckpointError:  # of another project
        source = None
    try:
        wanted = model.config
        if source and _with_detail(source.config, wanted) == wanted:
            model.load_state_dict({**model.state_dict(), **state})
            is_added = wanted.detail and not source.config.detail
            return f"all weights of {path.name}" + ", stride 4 from zero" * is_added
        if source and _with_insides(source.config, wanted) == wanted:
            model.load_state_dict(cut_network(source, wanted).state_dict())
            return f"all of {path.name}, its channels chosen by FPGM"
        cut, _ = slice_backbone(_backbone(state), model.config.widths)
        model.backbone.load_state_dict(cut)
    except (LookupError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: its backbone cannot be cut to fit ({error})") from error
    return f"backbone of {path.name}, channels chosen by FPGM"


def _with_detail(config: NanoBConfig, other: NanoBConfig) -> NanoBConfig:
    """A configuration with all that weights do not depend on, or that begins at zero."""
    return replace(config, slope=other.slope, detail=config.detail or other.detail)


def _with_insides(config: NanoBConfig, other: NanoBConfig) -> NanoBConfig:
    """A configuration with all that does not decide whether weights can be cut to fit."""
    return replace(config, widths=other.widths, hidden=other.hidden, slope=other.slope)


def _backbone(state: State) -> State:
    """The backbone's weights under our names, reading RGB."""
    for prefix, is_bgr in PREFIXES.items():
        strip = 0 if prefix == "stage" else len(prefix)
        found = {k[strip:]: v for k, v in state.items() if k.startswith(prefix)}
        if STEM in found:
            if is_bgr:
                found[STEM] = found[STEM].flip(1)
            return found
    raise ValueError("no MobileNetV1 in it, no keys like backbone.stage1, body.stage1 or stage1")
