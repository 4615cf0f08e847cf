"""Modulated deformable 3x3 convolution in plain torch (DCNv2, Zhu et al., CVPR 2019).

The layout of offsets and mask is the one of ONNX DeformConv: for each kernel point, row by row,
first the shift down and then the shift right, and one factor.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from featherface.models.layers import SLOPE

POINTS = 9


def deform_conv2d(x: Tensor, weight: Tensor, offsets: Tensor, mask: Tensor) -> Tensor:
    """Convolve at shifted places, which are read bilinearly; what lies outside `x` is zero.

    Args:
        x: (B, C, H, W).
        weight: (O, C, 3, 3).
        offsets: (B, 18, H, W) cells, down and right for each of the 9 kernel points.
        mask: (B, 9, H, W) factors, one a kernel point.

    Returns:
        (B, O, H, W): stride 1, padding 1.
    """
    batch, channels, height, width = x.shape
    grid = _sampling_grid(offsets.unflatten(1, (POINTS, 2)))
    sampled = nn.functional.grid_sample(x, grid.flatten(1, 2), align_corners=False)
    sampled = sampled.view(batch, channels, POINTS, height, width)
    # In place: it is nine times the size of x, and a second one costs more than the arithmetic.
    sampled = sampled.mul_(mask.unsqueeze(1))
    out = weight.flatten(1) @ sampled.view(batch, channels * POINTS, height * width)
    return out.unflatten(2, (height, width))


def _sampling_grid(offsets: Tensor) -> Tensor:
    """Offsets (B, 9, 2, H, W) -> where to read, (B, 9, H, W, 2) xy, the map being -1 to 1."""
    height, width = offsets.shape[-2:]
    point = torch.arange(POINTS, device=offsets.device)[:, None, None]
    row = torch.arange(height, device=offsets.device)[:, None] + point // 3 - 1  # (9, H, 1)
    column = torch.arange(width, device=offsets.device) + point % 3 - 1  # (9, 1, W)
    y = (offsets[:, :, 0] + row) * (2 / height) + (1 / height - 1)
    x = (offsets[:, :, 1] + column) * (2 / width) + (1 / width - 1)
    return torch.stack([x, y], dim=-1)


class DeformableConv(nn.Module):
    """3x3 convolution without bias that learns where to look and how much each place counts.

    At the start it looks where a plain convolution does, with factors of one.

    Args:
        inputs: channels of the map.
        outputs: channels of the result.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.offset = nn.Conv2d(inputs, 2 * POINTS, 3, padding=1)
        self.modulate = nn.Conv2d(inputs, POINTS, 3, padding=1)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        nn.init.kaiming_normal_(self.weight, a=SLOPE, mode="fan_out")
        self.zero_init()

    def zero_init(self) -> None:
        """Start as a plain convolution."""
        for value in (*self.offset.parameters(), *self.modulate.parameters()):
            nn.init.zeros_(value)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H, W)."""
        mask = 2 * self.modulate(x).sigmoid()
        return deform_conv2d(x, self.weight, self.offset(x), mask)
