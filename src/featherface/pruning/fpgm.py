"""Filter ranking by geometric median (FPGM, He et al., CVPR 2019).

The filter nearest to all others is the one the others can best replace. As in the paper the sum
of Euclidean distances to the raw filters stands in for the distance to the median itself.
"""

from __future__ import annotations

import torch
from torch import Tensor


def scores(weight: Tensor) -> Tensor:
    """Sum of distances from each filter to all others: (N, ...) -> (N,); lowest goes first."""
    filters = weight.detach().flatten(1).double()
    # Not through inner products: those lose the small distances that decide the ranking.
    return torch.cdist(filters, filters, compute_mode="donot_use_mm_for_euclid_dist").sum(1)


def keep(weight: Tensor, count: int) -> Tensor:
    """Indices, ascending, of the `count` filters that are hardest to replace.

    Raises:
        ValueError: when the layer has fewer filters than that.
    """
    if not 0 < count <= len(weight):
        raise ValueError(f"cannot keep {count} of {len(weight)} filters")
    return scores(weight).topk(count).indices.sort().values
