"""What a Nano-B costs, from its widths alone: no weights, no forward pass, microseconds.

Only what pruning can narrow is worked out by formulae; all the rest depends on the taps and is
counted once by running the network on shapes. A search can thus throw away thousands of networks
that are too large or too slow without building one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from featherface.models.layers import count_parameters
from featherface.models.mobilenet import FINER, STRIDES
from featherface.models.nano_b import Hidden, NanoB, NanoBConfig

SIDE = 640
LEVELS = (8, 16, 32)  # strides
BLOCK = 16
"""Exported widths are multiples of this: AVX-512 reads so many channels at once, AVX2 half."""


class Cost(NamedTuple):
    """What a network or a part of one costs."""

    parameters: int
    macs: int  # multiply-accumulates of convolutions and matrix products, one 640x640 picture

    def less(self, other: Cost) -> Cost:
        """The difference."""
        return Cost(self.parameters - other.parameters, self.macs - other.macs)

    def plus(self, other: Cost) -> Cost:
        """The sum."""
        return Cost(self.parameters + other.parameters, self.macs + other.macs)


def padded(channels: int) -> int:
    """Channels that a map of so many takes up in an exported graph."""
    return -(-channels // BLOCK) * BLOCK


def measure(model: nn.Module) -> Cost:
    """Cost of any network of `models.zoo` on the meta device, by running it on shapes."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.empty(1, 3, SIDE, SIDE, device="meta"))
    return Cost(count_parameters(model), counter.get_total_flops() // 2)


def cost(config: NanoBConfig) -> Cost:
    """Exactly what `measure(NanoB(config))` says."""
    return _narrowable(config, exported=False).plus(_rest(_bare(config)))


def exported_macs(config: NanoBConfig) -> int:
    """Multiply-accumulates with the zero channels that an exported graph is padded with.

    Differences between two networks of the same taps are those of their graphs; the total leaves
    out a few percent that the graph saves or adds elsewhere.
    """
    widths = tuple(tuple(padded(width) for width in stage) for stage in config.widths)
    sequence = padded(config.hidden.sequence)
    wide = replace(config, widths=widths, hidden=replace(config.hidden, sequence=sequence))
    return _narrowable(wide, exported=True).macs + _rest(_bare(wide)).macs


def _bare(config: NanoBConfig) -> NanoBConfig:
    """The taps and the other things that pruning leaves alone, all the rest as thin as can be."""
    widths = tuple((1,) * (len(stage) - 1) + stage[-1:] for stage in config.widths)
    return replace(config, widths=widths, hidden=Hidden())


@cache
def _rest(bare: NanoBConfig) -> Cost:
    with torch.device("meta"):
        return measure(NanoB(bare)).less(_narrowable(bare, exported=False))


def _narrowable(config: NanoBConfig, *, exported: bool) -> Cost:
    """The backbone, and the layers that make or read a hidden channel."""
    return Cost(*map(sum, zip(*_parts(config, exported=exported), strict=True)))


def _parts(config: NanoBConfig, *, exported: bool) -> Iterator[Cost]:
    yield from _backbone(config)
    if config.scale_decoupling and config.detail:
        kernels = 9 * config.widths[0][FINER - 1] * config.widths[0][-1]
        yield Cost(kernels, kernels * _cells(LEVELS[0]))
    hidden, width = config.hidden, config.channels
    unit = 2 * width + 1  # of a bottleneck: a column in, a row out, a bias
    if config.semantic:
        yield Cost(unit * hidden.semantic, 2 * width * hidden.semantic)
        yield Cost(3 * unit * hidden.guide, 3 * 2 * width * hidden.guide)
    if config.scale_sequence:
        yield Cost(unit * hidden.gate, 2 * 2 * width * hidden.gate)  # mean and maximum
        joint, depth = hidden.sequence, config.elan
        spatial = 9 * joint * joint * depth or 9 * joint  # whole convolutions, or a depthwise one
        kernels = spatial + joint * width * (depth + 1)
        yield Cost(
            joint * (3 * width + 2) + 2 * joint * (depth or 1) + kernels,
            # A norm that no convolution precedes is a product for each cell in a graph.
            joint * width * sum(map(_cells, LEVELS))
            + (kernels + joint * exported) * _cells(LEVELS[0]),
        )
    yield _context(width, hidden.context, exported=exported)


def _backbone(config: NanoBConfig) -> Iterator[Cost]:
    stride, inputs = 1, 0
    for widths, strides in zip(config.widths, STRIDES, strict=True):
        for width, step in zip(widths, strides, strict=True):
            stride *= step
            if inputs:
                kernels = 9 * inputs + inputs * width
                yield Cost(kernels + 2 * inputs + 2 * width, kernels * _cells(stride))
            else:
                yield Cost((27 + 2) * width, 27 * width * _cells(stride))
            inputs = width


def _context(width: int, inner: int, *, exported: bool) -> Cost:
    """The branches of SSH, three levels; an exported graph computes them side by side."""
    branch = width // 4
    kernels = width * branch * (9 + 1)  # 3x3 and 1x1
    kernels += 9 * (2 * width * inner + 2 * inner * branch + inner * inner)  # 5x5 and 7x7
    macs = kernels
    if exported:
        first, second, out = padded(2 * inner), padded(branch + inner), padded(2 * branch)
        macs = 9 * (padded(width) * (out + first) + first * second + second * out)
    norms = 2 * (4 * branch + 3 * inner)
    return Cost(3 * (kernels + norms), macs * sum(map(_cells, LEVELS)))


def _cells(stride: int) -> int:
    return (SIDE // stride) ** 2
