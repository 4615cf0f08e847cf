"""Convolutions as inference wants them: batch norms and constant factors folded in, joined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from featherface.models.deformable import DeformableConv

T = TypeVar("T", bound=nn.Module)


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

    @property
    def margin(self) -> int:
        """Zeros that it reads beyond each border."""
        return (self.side - self.stride + 1) // 2

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
        more = (side - self.side) // 2
        return replace(self, weight=nn.functional.pad(self.weight, (more,) * 4))

    def padded(self, outputs: int, inputs: int) -> Kernel:
        """With channels that give zero and channels that count for nothing."""
        more = outputs - self.outputs
        ignored = 0 if self.groups > 1 else inputs - self.weight.shape[1]
        weight = nn.functional.pad(self.weight, (0, 0, 0, 0, 0, ignored, 0, more))
        groups = outputs if self.groups > 1 else 1
        return Kernel(weight, nn.functional.pad(self.bias, (0, more)), self.stride, groups)


class Layer(NamedTuple):
    """A convolution and the activation behind it."""

    kernel: Kernel
    act: str = ""  # an ONNX operator, or none
    slope: float = 0.0  # of LeakyReLU below zero


def layers_of(modules: nn.Sequential) -> list[Layer]:
    """Convolutions, norms and activations as convolutions with all that belongs to them.

    Raises:
        TypeError: a module of another kind.
    """
    layers: list[Layer] = []
    for module in modules.children():
        if isinstance(module, nn.Conv2d):
            layers.append(Layer(kernel(module)))
        elif isinstance(module, DeformableConv):
            alone = module.weight.detach().double()
            # The factor of two is that of its mask.
            layers.append(Layer(Kernel(2 * alone, torch.zeros(len(alone)).double())))
        elif isinstance(module, nn.BatchNorm2d) and layers:
            layers[-1] = Layer(layers[-1].kernel.then(module))
        elif isinstance(module, nn.BatchNorm2d):
            layers.append(Layer(per_channel(*affine(module))))
        elif isinstance(module, nn.LeakyReLU):
            layers[-1] = Layer(layers[-1].kernel, "LeakyRelu", module.negative_slope)
        elif isinstance(module, nn.ReLU):
            layers[-1] = Layer(layers[-1].kernel, "Relu")
        else:
            raise TypeError(f"no rule to export {type(module).__name__}; add it to `layers_of`")
    return layers


def signed(depthwise: Layer, pointwise: Layer) -> tuple[Layer, Layer]:
    """Two layers without the LeakyReLU between them, for a map of which everything is there twice.

    LeakyReLU(x) = ReLU(x) - slope ReLU(-x): the depthwise convolution gives x and -x, and the
    pointwise one weighs both. ONNX Runtime computes ReLU within a convolution, and goes through
    the output once more for LeakyReLU.
    """
    assert depthwise.act == "LeakyRelu"
    k, slope = depthwise.kernel, depthwise.slope
    both = replace(stacked(k, k.times(-1)), groups=2 * k.groups)
    weight = pointwise.kernel.weight
    weighed = replace(pointwise.kernel, weight=torch.cat([weight, -slope * weight], dim=1))
    return Layer(both, "Relu"), pointwise._replace(kernel=weighed)


def all_of(kind: type[T], modules: nn.Module) -> list[T]:
    """The members of a list of modules, when they are all of one kind.

    Raises:
        TypeError: one of them is not.
    """
    found = []
    for module in modules.children():
        if not isinstance(module, kind):
            raise TypeError(f"no rule to export {type(module).__name__} for {kind.__name__}")
        found.append(module)
    return found


def kernel(conv: nn.Conv2d) -> Kernel:
    """A convolution alone."""
    weight = conv.weight.detach().double()
    bias = torch.zeros(len(weight)).double() if conv.bias is None else conv.bias.detach().double()
    return Kernel(weight, bias, conv.stride[0], conv.groups)


def affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Factor and summand, (C,) each, that a batch norm applies to its channels."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale, norm.bias.detach().double() - norm.running_mean.double() * scale


def per_channel(scale: Tensor, shift: Tensor) -> Kernel:
    """A factor and a summand, (C,) each, as a depthwise 1x1 convolution."""
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
    side = kernels[0].side
    taps = zip(*(each.weight.flatten(2).unbind(2) for each in kernels), strict=True)
    weight = torch.stack([torch.block_diag(*tap) for tap in taps], dim=2)
    return Kernel(weight.unflatten(2, (side, side)), torch.cat([each.bias for each in kernels]))
