"""Deformable convolution against loops that follow the definition word for word."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from featherface.models.deformable import DeformableConv, deform_conv2d


def case(
    batch: int = 2, channels: int = 3, size: tuple[int, int] = (5, 7), spread: float = 3.0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random x, weight, offsets, mask in float64; a spread of 3 cells reaches outside."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return (
        normal(batch, channels, *size),
        normal(4, channels, 3, 3),
        normal(batch, 18, *size) * spread,
        normal(batch, 9, *size).sigmoid() * 2,
    )


def read(plane: Tensor, y: float, x: float) -> float:
    """One value of a plane (H, W), bilinearly; zero outside."""
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                share = (1 - abs(y - row)) * (1 - abs(x - column))
                total += share * plane[row, column].item()
    return total


def naive(x: Tensor, weight: Tensor, offsets: Tensor, mask: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    out = torch.zeros(batch, len(weight), height, width, dtype=x.dtype)
    for b in range(batch):
        for row in range(height):
            for column in range(width):
                for point in range(9):
                    y = row + point // 3 - 1 + offsets[b, 2 * point, row, column].item()
                    x_ = column + point % 3 - 1 + offsets[b, 2 * point + 1, row, column].item()
                    for channel in range(channels):
                        value = read(x[b, channel], y, x_) * mask[b, point, row, column]
                        taps = weight[:, channel, point // 3, point % 3]
                        out[b, :, row, column] += taps * value
    return out


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (2, 9)])
def test_equals_the_definition(size: tuple[int, int]) -> None:
    values = case(size=size)
    torch.testing.assert_close(deform_conv2d(*values), naive(*values))


def test_is_a_plain_convolution_without_offsets() -> None:
    x, weight, offsets, mask = case()
    found = deform_conv2d(x, weight, torch.zeros_like(offsets), torch.ones_like(mask))
    torch.testing.assert_close(found, functional.conv2d(x, weight, padding=1))


@pytest.mark.parametrize(("axis", "dim"), [(0, 2), (1, 3)])
def test_first_offset_is_down_second_is_right(axis: int, dim: int) -> None:
    x, weight, offsets, mask = case()
    shift = torch.zeros_like(offsets)
    shift[:, axis::2] = 1.0
    moved = functional.conv2d(x.roll(-1, dim), weight, padding=1)
    found = deform_conv2d(x, weight, shift, torch.ones_like(mask))
    torch.testing.assert_close(found[:, :, 1:-2, 1:-2], moved[:, :, 1:-2, 1:-2])


def test_reads_zero_far_outside() -> None:
    x, weight, offsets, mask = case()
    found = deform_conv2d(x, weight, torch.full_like(offsets, 100.0), mask)
    assert torch.count_nonzero(found) == 0


def test_gradients_of_all_four_inputs() -> None:
    values = case(batch=1, channels=2, size=(3, 4), spread=0.7)
    inputs = tuple(value.requires_grad_() for value in values)
    assert torch.autograd.gradcheck(deform_conv2d, inputs)


def test_batch_equals_one_by_one() -> None:
    x, weight, offsets, mask = case(batch=3)
    single = [deform_conv2d(x[i, None], weight, offsets[i, None], mask[i, None]) for i in range(3)]
    torch.testing.assert_close(deform_conv2d(x, weight, offsets, mask), torch.cat(single))


def test_module_starts_as_a_plain_convolution() -> None:
    torch.manual_seed(0)
    layer = DeformableConv(6, 4)
    x = torch.randn(2, 6, 8, 8)
    torch.testing.assert_close(layer(x), functional.conv2d(x, layer.weight, padding=1))


def test_module_uses_offsets_and_twice_the_sigmoid() -> None:
    torch.manual_seed(0)
    layer = DeformableConv(3, 4).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(1, 3, 4, 6, dtype=torch.float64)
    expected = naive(x, layer.weight, layer.offset(x), 2 * layer.modulate(x).sigmoid())
    torch.testing.assert_close(layer(x), expected)
