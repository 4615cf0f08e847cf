"""The anchor grid against plain loops, and against the teacher's grid."""

from __future__ import annotations

import math

import numpy as np
import pytest

from featherface.anchors import FEATHERFACE_V1, NANO_B, AnchorSpec, level_shapes, make_anchors
from featherface.types import Size

SPECS = {"v1": FEATHERFACE_V1, "nano_b": NANO_B, "uneven": AnchorSpec((4, 64), ((8, 12), (100,)))}


@pytest.mark.parametrize("size", [(32, 32), (320, 320), (64, 160), (33, 70), (1, 1)])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_anchors_equal_plain_loops(spec: AnchorSpec, size: Size) -> None:
    expected = []
    for stride, sizes in zip(spec.strides, spec.sizes, strict=True):
        for row in range(math.ceil(size[0] / stride)):
            for column in range(math.ceil(size[1] / stride)):
                for side in sizes:
                    x, y = (column + 0.5) * stride, (row + 0.5) * stride
                    expected.append((x, y, side, side))
    anchors = make_anchors(spec, size)
    assert anchors.dtype == np.float32
    np.testing.assert_array_equal(anchors, np.array(expected, np.float32))
    cells = [rows * columns for rows, columns in level_shapes(spec, size)]
    assert sum(np.multiply(cells, spec.per_cell)) == len(anchors)


def test_the_numbers_of_the_papers() -> None:
    assert len(make_anchors(FEATHERFACE_V1, (640, 640))) == 16_800
    assert len(make_anchors(NANO_B, (640, 640))) == 25_200


@pytest.mark.parametrize("size", [(640, 640), (96, 32)])
def test_the_teachers_anchors_are_a_subset_in_the_same_order(size: Size) -> None:
    ours, theirs = make_anchors(NANO_B, size), make_anchors(FEATHERFACE_V1, size)
    shared = np.isin(ours[:, 2], theirs[:, 2])
    np.testing.assert_array_equal(ours[shared], theirs)
    extra = {side for sizes in NANO_B.sizes for side in sizes[:1]}
    assert set(ours[~shared][:, 2].tolist()) == extra
