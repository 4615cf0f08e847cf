"""Scene cuts, by the difference of colour histograms; a flash is none.

As the oldest methods have it (Zhang, Kankanhalli, Smoliar, "Automatic Partitioning of Full-motion
Video", 1993), but comparing cumulative histograms, which little changes of brightness do not upset.
A cut between scenes of the same colours is missed, and a dissolve is none; then a track may go on
into the new scene, where it covers too much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featherface.types import Pixels

BINS = 16  # a channel
SAMPLES = 64  # rows and columns that are looked at, about
CHANGED = 0.08  # mean way that the colours have moved, of the way from black to white
LOOK = 3  # frames to both sides: what is back by then was a flash, not a cut

SHAPE = (3, BINS)
Colours = NDArray[np.uint16]
"""Of that shape: the share of pixels as dark as that, or darker, by channel; 65535 being all."""


def colours(pixels: Pixels) -> Colours:
    """The cumulative histograms of a picture (H, W, 3)."""
    height, width = pixels.shape[:2]
    few = pixels[:: max(1, height // SAMPLES), :: max(1, width // SAMPLES)].reshape(-1, 3)
    counts = [np.bincount(each // (256 // BINS), minlength=BINS) for each in few.T]
    return (np.cumsum(counts, axis=1) * 65535 // len(few)).astype(np.uint16)


def find_cuts(frames: Sequence[Colours] | Colours) -> list[int]:
    """Indices of the frames that begin a new scene, the first frame not counted.

    None of the frames just before the cut looks like any of those just after it.

    Args:
        frames: the `colours` of each frame.
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
    return float(np.abs(a.astype(np.int32) - b).mean()) / 65535
