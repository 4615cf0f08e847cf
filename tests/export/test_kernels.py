"""Folded and joined convolutions against the layers that they come from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from featherface.export.attention import shifted
from featherface.export.kernels import (
    Kernel,
    Layer,
    all_of,
    identity,
    kernel,
    layers_of,
    per_channel,
    side_by_side,
    signed,
    stacked,
)
from featherface.models.layers import conv_bn, conv_bn_act, depthwise_separable


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def settled(modules: nn.Sequential) -> nn.Sequential:
    """In eval mode and double precision, with norms that change what passes through them."""
    for module in modules:
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.1, 2)
    return modules.eval().double()


def apply(k: Kernel, x: Tensor) -> Tensor:
    return functional.conv2d(x, k.weight, k.bias, k.stride, k.margin, groups=k.groups)


def apply_layer(layer: Layer, x: Tensor) -> Tensor:
    y = apply(layer.kernel, x)
    if layer.act == "LeakyRelu":
        return functional.leaky_relu(y, layer.slope)
    return y.relu() if layer.act == "Relu" else y


def random(channels: int, *, size: int = 12) -> Tensor:
    return torch.randn(2, channels, size, size).double()


@pytest.mark.parametrize(
    ("modules", "channels", "count"),
    [
        (conv_bn(3, 5, 3, stride=2), 3, 1),
        (conv_bn_act(4, 4, 3, groups=4), 4, 1),
        (depthwise_separable(4, 6, stride=2), 4, 2),
        (nn.Sequential(nn.BatchNorm2d(4), nn.LeakyReLU(0.3)), 4, 1),
        (nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 1)), 4, 2),
    ],
)
def test_layers_of_compute_what_the_modules_do(
    modules: nn.Sequential, channels: int, count: int
) -> None:
    settled(modules)
    layers = layers_of(modules)
    assert len(layers) == count
    x = y = random(channels)
    for layer in layers:
        y = apply_layer(layer, y)
    torch.testing.assert_close(y, modules(x))


def test_unknown_modules_are_named() -> None:
    with pytest.raises(TypeError, match="GroupNorm"):
        layers_of(nn.Sequential(nn.Conv2d(4, 4, 1), nn.GroupNorm(2, 4)))
    with pytest.raises(TypeError, match="ReLU for Conv2d"):
        all_of(nn.Conv2d, nn.ModuleList([nn.Conv2d(1, 1, 1), nn.ReLU()]))


def test_factors() -> None:
    k, x = kernel(nn.Conv2d(3, 4, 3)), random(3)
    factors = torch.randn(4).double()
    torch.testing.assert_close(apply(k.times(factors), x), apply(k, x) * factors[:, None, None])
    torch.testing.assert_close(apply(k.times(3), x), apply(k, x) * 3)
    torch.testing.assert_close(apply(k.reading(0.25), 0.25 * x), apply(k, x))
    scale, shift = torch.randn(2, 3).double()
    expected = x * scale[:, None, None] + shift[:, None, None]
    torch.testing.assert_close(apply(per_channel(scale, shift), x), expected)


def test_joined_kernels() -> None:
    a, b = kernel(nn.Conv2d(3, 4, 3)), kernel(nn.Conv2d(3, 2, 3))
    point = kernel(nn.Conv2d(3, 5, 1))
    x, y = random(3), random(3)
    both = torch.cat([apply(a, x), apply(point, x)], 1)
    torch.testing.assert_close(apply(stacked(a, point.enlarged(3)), x), both)
    together = apply(side_by_side(a, b), torch.cat([x, y], 1))
    torch.testing.assert_close(together, torch.cat([apply(a, x), apply(b, y)], 1))
    torch.testing.assert_close(apply(identity(3), x), x)


def test_signs_take_the_place_of_leaky_relu() -> None:
    modules = settled(depthwise_separable(4, 6))
    depthwise, pointwise = signed(*layers_of(modules))
    assert (depthwise.act, pointwise.act) == ("Relu", "LeakyRelu")
    x = random(4)
    y = apply_layer(pointwise, apply_layer(depthwise, torch.cat([x, x], 1)))
    torch.testing.assert_close(y, modules(x))


@pytest.mark.parametrize("groups", [1, 3])
def test_padding_adds_zeros_and_reads_nothing(groups: int) -> None:
    k = kernel(nn.Conv2d(3, 3, 3, groups=groups))
    x = random(8)
    y = apply(k.padded(8, 8), x)
    torch.testing.assert_close(y[:, :3], apply(k, x[:, :3]))
    if groups == 1:
        assert not y[:, 3:].any()


@pytest.mark.parametrize("block", [1, 2, 4])
def test_a_square_of_places_at_once(block: int) -> None:
    conv = nn.Conv2d(2, 1, 7, padding=3).double()
    k = kernel(conv)
    bias = k.bias.expand(block * block)
    square = Kernel(shifted(k.weight[0], block), bias, stride=block)
    x = random(2, size=16)
    torch.testing.assert_close(functional.pixel_shuffle(apply(square, x), block), conv(x))
