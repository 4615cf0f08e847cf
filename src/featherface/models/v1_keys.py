"""From the names in the published FeatherFace V1 weights to the names in `FeatherFaceV1`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

STEM = "backbone.stage1.0.0.weight"

_CBAM = {
    "ChannelGate.mlp.1": "channel.mlp.0",
    "ChannelGate.mlp.3": "channel.mlp.2",
    "SpatialGate.spatial.conv": "spatial.conv",
    "SpatialGate.spatial.bn": "spatial.norm",
}
_PROJECT = {
    "p3_down_channel": "project.0",
    "p4_down_channel": "project.1",
    "p5_down_channel": "project.2",
    "p4_down_channel_2": "project_again.0",
    "p5_down_channel_2": "project_again.1",
}
_NODE = {
    ("conv4_up", "p4_w1"): "p4_down",
    ("conv3_up", "p3_w1"): "p3_out",
    ("conv4_down", "p4_w2"): "p4_out",
    ("conv5_down", "p5_w2"): "p5_out",
}
_SSH = {
    "conv3X3": ("field3.0", "field3.1"),
    "conv5X5_1": ("stem.0", "stem.1"),
    "conv5X5_2": ("field5.0", "field5.1"),
    "conv7X7_2": ("field7.0", "field7.1"),
    "conv7x7_3": ("field7.3", "field7.4"),
}
_DEFORMABLE = {
    "offset_conv.": "offset.",
    "modulator_conv.": "modulate.",
    "regular_conv.": "",
}
_HEADS = {
    "ClassHead": "heads.class_logits",
    "BboxHead": "heads.box_deltas",
    "LandmarkHead": "heads.landmark_deltas",
}


def rename_v1_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published network's state as `FeatherFaceV1` takes it.

    The stem is turned from BGR to RGB; the linear layers of channel attention become 1x1
    convolutions. Nothing is dropped, so a strict load shows what is missing or surplus.

    Raises:
        ValueError: for a key that the published network does not have.
    """
    prefixes = _prefixes()
    renamed = {}
    for key, value in state.items():
        old = next((prefix for prefix in prefixes if key.startswith(prefix)), None)
        if old is None:
            raise ValueError(f"{key!r} is not a key of the published FeatherFace V1 weights")
        renamed[prefixes[old] + key.removeprefix(old)] = value
    for key, value in renamed.items():
        if ".channel.mlp." in key and value.ndim == 2:
            renamed[key] = value[:, :, None, None]
    if STEM in renamed:
        renamed[STEM] = renamed[STEM].flip(1)
    return renamed


def _prefixes() -> dict[str, str]:
    """Beginning of a published key -> what stands there in ours."""
    pairs = {"body.": "backbone."}
    for old, new in _PROJECT.items():
        pairs[f"bifpn.0.{old}.0.conv."] = f"{new}.0."
        pairs[f"bifpn.0.{old}.1."] = f"{new}.1."
    for level in range(3):
        for old, new in _CBAM.items():
            pairs[f"bacbkbone_{level}_cbam.{old}."] = f"attention.{level}.{new}."
            pairs[f"bif_cbam_{level}.{old}."] = f"refine.{level}.{new}."
        for (conv, weights), node in _NODE.items():
            theirs, ours = f"bifpn.{level}.", f"bifpn.{level}.{node}."
            pairs[f"{theirs}{weights}"] = f"{ours}weights"
            pairs[f"{theirs}{conv}.depthwise_conv.conv."] = f"{ours}depthwise."
            pairs[f"{theirs}{conv}.pointwise_conv.conv."] = f"{ours}pointwise."
            pairs[f"{theirs}{conv}.bn."] = f"{ours}norm."
        for old, (conv, norm) in _SSH.items():
            theirs, ours = f"ssh{level + 1}.{old}.", f"context.{level}."
            for part, name in _DEFORMABLE.items():
                pairs[f"{theirs}0.{part}"] = f"{ours}{conv}.{name}"
            pairs[f"{theirs}1."] = f"{ours}{norm}."
        for index in range(6):
            pairs[f"ssh{level + 1}_cs.{index + 1}."] = f"shuffle.{level}.mix.{index}."
        for old, new in _HEADS.items():
            pairs[f"{old}.{level}.conv1x1."] = f"{new}.{level}."
    return pairs
