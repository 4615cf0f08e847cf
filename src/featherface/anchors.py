"""The anchor grid, defined once for training, export and distillation.

One anchor set per pyramid level: squares centred on the cells, ordered by level, row, column,
size, not clipped. RetinaFace (Deng et al., CVPR 2020) and FeatherFace V1 order them the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from featherface.types import Floats, Size


@dataclass(frozen=True, slots=True)
class AnchorSpec:
    """What anchors a network has.

    Attributes:
        strides: pixels between cell centres, one number a level.
        sizes: sides of the square anchors in pixels, one tuple a level.
        variances: scale of the centre code and of the size code (see `boxes.encode`).
    """

    strides: tuple[int, ...]
    sizes: tuple[tuple[int, ...], ...]
    variances: tuple[float, float] = (0.1, 0.2)

    @property
    def per_cell(self) -> tuple[int, ...]:
        """Anchors a cell, one number a level."""
        return tuple(len(sizes) for sizes in self.sizes)


FEATHERFACE_V1 = AnchorSpec((8, 16, 32), ((16, 32), (64, 128), (256, 512)))
NANO_B = AnchorSpec((8, 16, 32), ((10, 16, 32), (48, 64, 128), (192, 256, 512)))
"""V1's anchors and one smaller size a level: the smallest faces gain, and V1 can teach."""


def level_shapes(spec: AnchorSpec, size: Size) -> list[tuple[int, int]]:
    """Rows and columns of each level's grid for an input of `size` (height, width)."""
    return [(-(-size[0] // stride), -(-size[1] // stride)) for stride in spec.strides]


def make_anchors(spec: AnchorSpec, size: Size) -> Floats:
    """Anchors for an input of `size` (height, width).

    Returns:
        (A, 4) float32, centre x, centre y, width, height in pixels.
    """
    levels = []
    grids = zip(spec.strides, spec.sizes, level_shapes(spec, size), strict=True)
    for stride, sizes, (rows, columns) in grids:
        y, x, side = np.meshgrid(
            (np.arange(rows) + 0.5) * stride,
            (np.arange(columns) + 0.5) * stride,
            np.asarray(sizes, float),
            indexing="ij",
        )
        levels.append(np.stack([x, y, side, side], axis=-1).reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)
