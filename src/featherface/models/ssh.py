"""Context module with four equal branches (after SSH, Najibi et al., ICCV 2017).

SSH splits 1/2, 1/4, 1/4 over receptive fields of 3, 5 and 7 that share their first convolution;
Nano-B has four branches of a quarter each, 3x3, 5x5, 7x7 and 1x1, that share nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from featherface.models.layers import SLOPE, conv_bn, conv_bn_act


class ContextModule(nn.Module):
    """Four receptive fields side by side, concatenated, ReLU.

    Args:
        inputs: channels of the map.
        branch: channels of each branch; the output has four times as many.
        inner: channels between two convolutions of a branch.
        slope: of the activations between them below zero.
    """

    def __init__(self, inputs: int, *, branch: int, inner: int, slope: float = SLOPE) -> None:
        super().__init__()
        self.field3 = conv_bn(inputs, branch, 3)
        self.field5 = nn.Sequential(
            *conv_bn_act(inputs, inner, 3, slope=slope), *conv_bn(inner, branch, 3)
        )
        self.field7 = nn.Sequential(
            *conv_bn_act(inputs, inner, 3, slope=slope),
            *conv_bn_act(inner, inner, 3, slope=slope),
            *conv_bn(inner, branch, 3),
        )
        self.field1 = conv_bn(inputs, branch)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 4 x branch, H, W)."""
        fields = [self.field3(x), self.field5(x), self.field7(x), self.field1(x)]
        return torch.cat(fields, dim=1).relu()
