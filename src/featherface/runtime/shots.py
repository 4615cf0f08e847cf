"""Scene cuts, by the difference of colour histograms; flashes are none.

The oldest of the methods (Zhang, Kankanhalli, Smoliar, "Automatic Partitioning of Full-motion
Video", 1993). Dissolves are not found: faces fade with them, and tracks end by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featherface.types import Pixels

BINS = 4  # a channel
SAMPLES = 64  # rows and columns that are looked at, about
CHANGED = 0.5  # share of the picture with other colours than before
LOOK = 3  # frames to both sides: what is back by then was a flash, not a cut

Colours = NDArray[np.uint16]  # (BINS ** 3,) share of each colour, 65535 being all


def colours(pixels: Pixels) -> Colours:
    """How much of a picture (H, W, 3) has each of 64 colours."""
    height, width = pixels.shape[:2]
    few = pixels[:: max(1, height // SAMPLES), :: max(1, width // SAMPLES)] // (256 // BINS)
    index = (few[..., 0].astype(np.intp) * BINS + few[..., 1]) * BINS + few[..., 2]
    counts = np.bincount(index.ravel(), minlength=BINS**3)
    return (counts * 65535 // index.size).astype(np.uint16)


def find_cuts(frames: Sequence[Colours]) -> list[int]:
    """Indices of the frames that begin a new scene, the first frame not counted.

    None of the frames just before the cut looks like any of those just after it.
    """
    return [
        index
        for index in range(1, len(frames))
        if all(
            _difference(before, after) > CHANGED
            for before in reversed(frames[max(0, index - LOOK) : index])
            for after in frames[index : index + LOOK]
        )
    ]


def _difference(a: Colours, b: Colours) -> float:
    """0 to 1."""
    return float(np.abs(a.astype(np.int32) - b).sum()) / (2 * 65535)
