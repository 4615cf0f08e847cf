"""The ranking of filters against distances worked out one by one."""

from __future__ import annotations

import math

import pytest
import torch

from featherface.pruning import fpgm


def filters(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1, 3, 3, 3), (7, 5, 1, 1), (20, 3, 3, 3), (6, 1, 3, 3)])
def test_scores_equal_the_distances(shape: tuple[int, ...]) -> None:
    weight = filters(*shape)
    rows = [row.flatten().tolist() for row in weight]
    expected = [sum(math.dist(one, other) for other in rows) for one in rows]
    torch.testing.assert_close(fpgm.scores(weight), torch.tensor(expected, dtype=torch.float64))


def test_the_filter_in_the_middle_goes_first() -> None:
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1], [0.1, 0]])
    assert fpgm.keep(corners, 4).tolist() == [0, 1, 2, 3]


def test_a_copy_goes_before_what_is_alone() -> None:
    weight = torch.cat([torch.zeros(3, 4), torch.eye(4)[:2] * 5])
    assert fpgm.keep(weight, 2).tolist() == [3, 4]


def test_small_differences_decide_even_far_from_the_origin() -> None:
    spread = filters(9, 8) * 1e-3
    assert fpgm.keep(spread + 1000, 4).tolist() == fpgm.keep((spread + 1000) - 1000, 4).tolist()


@pytest.mark.parametrize("count", [1, 4, 6])
def test_what_is_kept_scores_highest(count: int) -> None:
    weight = filters(6, 3, 3, 3)
    kept = fpgm.keep(weight, count)
    assert kept.tolist() == sorted(set(kept.tolist()))
    gone = [row for row in range(6) if row not in kept]
    scores = fpgm.scores(weight)
    assert all(scores[kept].min() >= scores[row] for row in gone)


@pytest.mark.parametrize("count", [0, -1, 7])
def test_counts_that_cannot_be(count: int) -> None:
    with pytest.raises(ValueError, match=f"cannot keep {count} of 6"):
        fpgm.keep(filters(6, 2), count)
