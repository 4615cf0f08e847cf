"""Which anchors may answer for which face, found before the network is asked.

Work in pairs (anchor, face) instead of tables of all anchors by all faces: a picture has a few
hundred pairs and 6,300 anchors. Losses choose among the pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from featherface.anchors import AnchorSpec, level_shapes, make_anchors
from featherface.boxes import area, to_cxcywh, to_xyxy
from featherface.data.crops import Faces
from featherface.types import Bools, Floats, Integers

REACH = 1.5  # cells between an anchor's centre and the face's, and
REACH_FACE = 0.3  # the same as a share of the face, whichever is more
SIZES = (0.36, 2.8)  # anchor side over face side
SMALLER = 3  # a region whose side is within this factor of the anchor's may stand for it
IGNORED = 0.5  # share of an anchor inside an ignore region that takes it out of the loss


class Pairs(NamedTuple):
    """Anchor and face that could go together."""

    anchor: Integers  # (P,) row of make_anchors
    face: Integers  # (P,) row of the faces that count
    overlap: Floats  # (P,) IoU of the anchor and the face


class AnchorGrid:
    """The anchors of one input size, arranged so that those around a face are found at once."""

    def __init__(self, spec: AnchorSpec, side: int) -> None:
        self.spec = spec
        self.shapes = level_shapes(spec, (side, side))
        self.anchors = make_anchors(spec, (side, side))
        self.corners = to_xyxy(self.anchors)
        counts = [
            rows * columns * per
            for (rows, columns), per in zip(self.shapes, spec.per_cell, strict=True)
        ]
        self.starts = np.cumsum([0, *counts[:-1]])

    def pairs(self, boxes: Floats) -> Pairs:
        """Anchors near each face (N, 4) xyxy in place and in size.

        A face with no such anchor (larger or smaller than all) gets those of the nearest size, and
        one beyond the grid the nearest cell, so that no face is without a pair.
        """
        found = [self._around(box, number) for number, box in enumerate(boxes)]
        anchor = np.concatenate([np.zeros(0, np.int64), *(a for a, _ in found)])
        face = np.concatenate([np.zeros(0, np.int64), *(f for _, f in found)])
        return Pairs(anchor, face, _overlap(self.corners[anchor], boxes[face]))

    def _around(self, box: Floats, number: int) -> tuple[Integers, Integers]:
        x, y, width, height = to_cxcywh(box)
        side = float(np.sqrt(max(width * height, 1.0)))
        sizes = np.concatenate([np.asarray(s, float) for s in self.spec.sizes])
        low, high = np.asarray(SIZES) * side
        if not ((sizes >= low) & (sizes <= high)).any():
            low = high = float(sizes[np.abs(np.log(sizes / side)).argmin()])
        chosen = []
        levels = zip(self.spec.strides, self.spec.sizes, self.shapes, self.starts, strict=True)
        for stride, level_sizes, (rows, columns), start in levels:
            fits = [k for k, size in enumerate(level_sizes) if low <= size <= high]
            if not fits:
                continue
            reach = max(REACH * stride, REACH_FACE * side)
            row, column = (
                _near(centre / stride - 0.5, reach / stride, count)
                for centre, count in ((y, rows), (x, columns))
            )
            cells = (row[:, None] * columns + column).reshape(-1)
            chosen.append((start + cells[:, None] * len(level_sizes) + fits).reshape(-1))
        anchor = np.concatenate(chosen)
        return anchor, np.full(len(anchor), number, np.int64)

    def covered(self, regions: Floats) -> Floats:
        """Largest share of each anchor that one of the regions (R, 4) xyxy covers: (A,), 0 to 1.

        A region smaller than the anchor, but not by far, counts by its own area: no anchor is
        as small as the faces that are too small to learn. On a grid of squares the overlap is
        that of the columns times that of the rows.
        """
        if not len(regions):
            return np.zeros(len(self.anchors), np.float32)
        shares = []
        region = area(regions)[:, None]  # (R, 1)
        levels = zip(self.spec.strides, self.spec.sizes, self.shapes, strict=True)
        for stride, sizes, (rows, columns) in levels:
            side = np.asarray(sizes, np.float32)
            whole = np.where(side > SMALLER * np.sqrt(region), side**2, region.clip(1, side**2))
            along = [
                _shared(count, stride, side, regions[:, axis], regions[:, axis + 2])
                for axis, count in ((1, rows), (0, columns))
            ]
            shared = along[0][:, :, None] * along[1][:, None]  # (R, rows, columns, K)
            share = shared / whole[:, None, None]
            shares.append(share.max(0).reshape(-1))
        return np.concatenate(shares)


def _shared(count: int, stride: int, side: Floats, low: Floats, high: Floats) -> Floats:
    """Length shared by cells' anchors and intervals low-high (R,): (R, count, K)."""
    centre = ((np.arange(count, dtype=np.float32) + 0.5) * stride)[None, :, None]
    end = np.minimum(centre + side / 2, high[:, None, None])
    start = np.maximum(centre - side / 2, low[:, None, None])
    length: Floats = np.maximum(end - start, 0)
    return length


def _near(position: float, reach: float, count: int) -> Integers:
    """Cells of 0..count-1 within `reach` of a position; the nearest when there is none."""
    low, high = int(np.ceil(position - reach)), int(np.floor(position + reach))
    cells = np.arange(max(low, 0), min(high, count - 1) + 1)
    return cells if len(cells) else np.array([np.clip(round(position), 0, count - 1)])


def _overlap(a: Floats, b: Floats) -> Floats:
    """IoU row by row: (P, 4), (P, 4) xyxy -> (P,)."""
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    union = np.prod(a[:, 2:] - a[:, :2], 1) + np.prod(b[:, 2:] - b[:, :2], 1) - shared
    share: Floats = (shared / np.maximum(union, 1e-9)).astype(np.float32)
    return share


class Target(NamedTuple):
    """What a loss needs to know of one crop."""

    boxes: Floats  # (N, 4) xyxy, faces that count
    landmarks: Floats  # (N, 5, 2), zeros where not known
    has_landmarks: Bools  # (N,)
    probability: Floats  # (N,)
    anchor: Integers  # (P,)
    face: Integers  # (P,)
    overlap: Floats  # (P,)
    ignore: Bools  # (A,), anchors that must not learn the background from this crop


def make_target(grid: AnchorGrid, faces: Faces) -> Target:
    """Pairs and ignored anchors of one crop."""
    counted = faces.rows(~faces.ignore)
    known: Bools = np.asarray(np.isfinite(counted.landmarks).all(axis=(1, 2)))
    ignore = grid.covered(faces.boxes[faces.ignore]) > IGNORED
    pairs = grid.pairs(counted.boxes)
    return Target(
        counted.boxes,
        np.where(known[:, None, None], counted.landmarks, 0).astype(np.float32),
        known,
        counted.probability,
        *pairs,
        ignore,
    )
