"""A large picture looked at in overlapping tiles, and what they show brought together.

Tiles see every pixel at a bounded cost of memory, however large the picture. A face that an edge
may have cut is dropped: if it is smaller than the overlap, another tile shows it whole. For larger
faces the picture is shrunk by a factor of four at most, and looked at in tiles again, until it
fits into one; an object larger than the overlap thereby keeps a sixteenth of a tile at least.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from featherface.boxes import intersection, iou
from featherface.image import MULTIPLE, Fit, Fitted, fit
from featherface.types import Bools, Detections, Floats, Integers, Pixels

Look = Callable[[Sequence[Fitted]], list[Detections]]

SMALLEST = 128
"""Pixels that a tile has at least."""

SHARED = 4
"""Neighbouring tiles share this part of their side at least: a quarter."""

SHRINK = 4
"""The picture is shrunk by this factor at most from one look to the next."""

EDGE = 0.08
"""A face nearer to a tile's inner edge than this share of its side may be cut by it."""

COVERED = 0.7
"""Of two faces seen in different tiles, one lying within the other by this share is part of it."""


def find_in_tiles(look: Look, picture: Fitted, *, side: int, overlap: float) -> Detections:
    """Finds the faces of a picture tile by tile.

    Args:
        look: finds the faces of fitted pictures, in their pixels.
        picture: ready for the network, as large as it may be.
        side: of a tile, in pixels of `picture`.
        overlap: IoU above which the weaker of two boxes goes.

    Returns:
        In pixels of `picture.pixels`, best score first.
    """
    side = -(-side // MULTIPLE) * MULTIPLE
    views: list[Detections] = []
    for pixels, level in _levels(picture.pixels, side):
        for left, top in _places(pixels, side):
            tile = np.ascontiguousarray(pixels[top : top + side, left : left + side])
            (found,) = look([Fitted(tile, Fit((tile.shape[0], tile.shape[1])))])
            found = found[~_is_cut(found.boxes, left, top, tile.shape, pixels.shape)]
            corner = np.array([left, top], np.float32)
            views.append(
                Detections(
                    level.undo(found.boxes + np.tile(corner, 2)),
                    found.scores,
                    level.undo(found.landmarks + corner),
                )
            )
    seen = Detections(
        np.concatenate([view.boxes for view in views]),
        np.concatenate([view.scores for view in views]),
        np.concatenate([view.landmarks for view in views]),
    )
    view_of = np.repeat(np.arange(len(views)), [len(view) for view in views])
    return seen[merge(seen.boxes, seen.scores, view_of, overlap)]


def _levels(pixels: Pixels, side: int) -> Iterator[tuple[Pixels, Fit]]:
    """The picture, then smaller and smaller, until it fits into one tile."""
    height, width = pixels.shape[:2]
    yield pixels, Fit((height, width))
    ratio = max(height, width) / side
    steps = max(0, math.ceil(math.log(ratio, SHRINK) - 1e-9))
    for step in range(1, steps + 1):
        yield fit(pixels, long_side=round(max(height, width) * ratio ** (-step / steps)))


def _places(pixels: Pixels, side: int) -> Iterator[tuple[int, int]]:
    """(left, top) of each tile; multiples of `MULTIPLE`, so that all tiles share one grid."""
    shared = -(-side // (SHARED * MULTIPLE)) * MULTIPLE
    height, width = pixels.shape[:2]
    for top in _starts(height, side, shared):
        for left in _starts(width, side, shared):
            yield left, top


def _starts(length: int, side: int, shared: int) -> list[int]:
    """Where tiles of `side` begin so that they cover `length`; the last one ends with it."""
    last = max(0, length - side)
    return [*range(0, last, side - shared), last]


def _is_cut(
    boxes: Floats, left: int, top: int, tile: tuple[int, ...], pixels: tuple[int, ...]
) -> Bools:
    """(N,) whether a box in a tile is at one of the edges that are not the picture's own."""
    near = EDGE * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)[:, None] + 1  # (N, 1)
    ends = np.array([tile[1], tile[0]], np.float32)
    has_before = np.array([left > 0, top > 0])
    has_after = np.array([left + tile[1] < pixels[1], top + tile[0] < pixels[0]])
    cut = ((boxes[:, :2] < near) & has_before) | ((boxes[:, 2:] > ends - near) & has_after)
    either: Bools = cut.any(axis=1)
    return either


def merge(boxes: Floats, scores: Floats, views: Integers, overlap: float) -> Integers:
    """Indices of the faces kept, best score first.

    Suppression as in `boxes.nms`; between views also what is part of a better face goes.
    """
    order = np.argsort(-scores, kind="stable")
    keep = []
    while len(order):
        best, order = order[:1], order[1:]
        keep.append(best[0])
        area = np.prod(boxes[order, 2:] - boxes[order, :2], axis=1)
        smaller = np.minimum(area, np.prod(boxes[best, 2:] - boxes[best, :2]))
        shared = intersection(boxes[best], boxes[order])[0]
        is_part = (views[order] != views[best]) & (shared > COVERED * smaller)
        is_same = iou(boxes[best], boxes[order])[0] > overlap
        order = order[~(is_part | is_same)]
    return np.asarray(keep, np.int64)
