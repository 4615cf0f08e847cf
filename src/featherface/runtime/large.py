"""A second look at large pictures, shrunk, for faces that are too large at their full size.

The network's largest anchor is 512 pixels, and a face that is larger than that looks like none, or
like several. Shrunk, such a face has a usual size, and the look costs a ninth of the first at most.
"""

from __future__ import annotations

import numpy as np

from featherface.image import Fit, Fitted, fit
from featherface.runtime.tiles import Look, merge
from featherface.types import Detections

LARGE = 1280
"""Pictures with more pixels along their longer side are looked at twice,"""

SHRUNK = 640
"""the second time with so many."""

FACE = 192
"""Smaller faces, in pixels of the first look, are none of the second one's business."""


def add_large_faces(
    look: Look, picture: Fitted, found: Detections, *, overlap: float
) -> Detections:
    """Looks again if the picture is large, and brings both looks together.

    Args:
        look: finds the faces of fitted pictures, in pixels of what they were made from.
        picture: as it was looked at.
        found: its faces.
        overlap: IoU above which the weaker of two boxes goes.

    Returns:
        Like `found`, best score first.
    """
    if max(picture.pixels.shape[:2]) <= LARGE:
        return found
    pixels, again = fit(picture.pixels, long_side=SHRUNK)
    scale = picture.fit.scale * again.scale
    (shrunk,) = look([Fitted(pixels, Fit(picture.fit.size, scale))])
    sides = picture.fit.apply(shrunk.boxes[:, 2:] - shrunk.boxes[:, :2])
    shrunk = shrunk[sides.max(axis=1, initial=0) > FACE]
    both = Detections(
        np.concatenate([found.boxes, shrunk.boxes]),
        np.concatenate([found.scores, shrunk.scores]),
        np.concatenate([found.landmarks, shrunk.landmarks]),
    )
    views = np.repeat([0, 1], [len(found), len(shrunk)])
    return both[merge(both.boxes, both.scores, views, overlap)]
