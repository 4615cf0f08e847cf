"""Convolutions as inference wants them: batch norms and constant factors folded in, joined."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Kernel:
    """A convolution with bias and "same" padding, in double precision.

    Attributes:
        weight: (O, I / groups, k, k).
        bias: (O,).
        stride: cells between two outputs.
        groups: 1, or the number of channels of a depthwise convolution.
    """

    weight: Tensor
    bias: Tensor
    stride: int = 1
    groups: int = 1

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return len(self.bias)

    @property
    def side(self) -> int:
        """Rows and columns of the kernel."""
        return self.weight.shape[-1]

    def times(self, factor: Tensor | float) -> Kernel:
        """Gives `factor` times as much; one factor, or one a channel."""
        factors = torch.as_tensor(factor, dtype=torch.float64).expand(self.outputs)
        weight = self.weight * factors[:, None, None, None]
        return replace(self, weight=weight, bias=self.bias * factors)

    def reading(self, scale: float) -> Kernel:
        """Gives the same for an input that is `scale` times as large."""
        return replace(self, weight=self.weight / scale)

    def then(self, norm: nn.BatchNorm2d) -> Kernel:
        """With a batch norm behind it."""
        scale, shift = affine(norm)
        scaled = self.times(scale)
        return replace(scaled, bias=scaled.bias + shift)

    def enlarged(self, side: int) -> Kernel:
        """With zeros around it."""
        margin = (side - self.side) // 2
        return replace(self, weight=nn.functional.pad(self.weight, (margin,) * 4))


def kernel(conv: nn.Conv2d, norm: nn.BatchNorm2d | None = None) -> Kernel:
    """A layer's convolution, with the batch norm behind it."""
    weight = conv.weight.detach().double()
    bias = torch.zeros(len(weight)).double() if conv.bias is None else conv.bias.detach().double()
    alone = Kernel(weight, bias, conv.stride[0], conv.groups)
    return alone if norm is None else alone.then(norm)


def affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Factor and summand, (C,) each, that a batch norm applies to its channels."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale, norm.bias.detach().double() - norm.running_mean.double() * scale


def per_channel(scale: Tensor, shift: Tensor) -> Kernel:
    """scale * x + shift, (C,) each, as a depthwise 1x1 convolution."""
    return Kernel(scale.double()[:, None, None, None], shift.double(), groups=len(scale))


def identity(channels: int) -> Kernel:
    """Gives what it reads."""
    return Kernel(torch.eye(channels).double()[:, :, None, None], torch.zeros(channels).double())


def stacked(*kernels: Kernel) -> Kernel:
    """Reads one map, and gives the outputs of all kernels, one after the other."""
    weight = torch.cat([each.weight for each in kernels])
    return replace(kernels[0], weight=weight, bias=torch.cat([each.bias for each in kernels]))


def side_by_side(*kernels: Kernel) -> Kernel:
    """Reads the maps of all kernels, one after the other, and gives their outputs like that."""
    blocks = [each.weight.flatten(2) for each in kernels]  # (O, I, k x k)
    planes = [torch.block_diag(*each) for each in zip(*(b.unbind(2) for b in blocks), strict=True)]
    weight = torch.stack(planes, 2).unflatten(2, kernels[0].weight.shape[2:])
    return Kernel(weight, torch.cat([each.bias for each in kernels]))
