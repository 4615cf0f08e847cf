"""A narrower MobileNetV1 cut out of a wider one, its channels chosen by FPGM."""

from __future__ import annotations

from torch import Tensor

from featherface.models.mobilenet import Widths
from featherface.pruning.layout import backbone_layout
from featherface.pruning.surgery import State, choose, cut


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
    layout = backbone_layout(widths)
    kept = choose(state, layout, [entry.channels for entry in layout])
    ends = [sum(map(len, widths[: stage + 1])) - 1 for stage in range(len(widths))]
    names = {name for entry in layout for part in entry[1:] for name in part}
    own = {key: value for key, value in state.items() if key.rpartition(".")[0] in names}
    return cut(own, layout, kept), [kept[end] for end in ends]
