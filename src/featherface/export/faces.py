"""From what the levels say to faces, as ONNX nodes: candidates, decoding, suppression.

Only anchors that score above the threshold are given a box at all, so a picture without faces
costs the scores and nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from onnx import TensorProto

from featherface.anchors import AnchorSpec
from featherface.export.graph import Graph
from featherface.export.heads import CODE, Head

GROWTH = 6.0
"""The largest logarithm that a box's side grows by, as in `models.decode`."""


class Inside(NamedTuple):
    """Names of a level's tensors that a student's teacher is read from (see `teacher`)."""

    logits: str  # (B, H x W x K), face minus background
    faces: str  # (2, M), picture and anchor of each candidate

    @classmethod
    def of(cls, level: int) -> Inside:
        """The names on the level of that number."""
        return cls(*(f"{field}_{level}" for field in cls._fields))


class Candidates(NamedTuple):
    """Names of the tensors that hold M candidates, ordered by level, picture and anchor."""

    scores: str  # (M,)
    boxes: str  # (M, 4)
    landmarks: str  # (M, 5, 2)
    pictures: str  # (M,)


CANDIDATES = Candidates(*(f"candidate_{field}" for field in Candidates._fields))


def add_faces(g: Graph, images: str, heads: Sequence[Head], spec: AnchorSpec) -> Candidates:
    """Add the outputs boxes, scores, landmarks and image_index to the graph.

    The inputs score_threshold, iou_threshold and max_faces are read by their names.

    Args:
        g: the graph.
        images: the input that holds the pictures.
        heads: one for each level.
        spec: the anchors.

    Returns:
        What there was before suppression.
    """
    levels = [
        candidates(g, Inside.of(number), *level, spec.variances)
        for number, level in enumerate(zip(heads, spec.strides, spec.sizes, strict=True))
    ]
    for name, parts in zip(CANDIDATES, zip(*levels, strict=True), strict=True):
        g.output(name, "Concat", *parts, axis=0)
    found = CANDIDATES
    kept = suppress(g, images, found)
    g.output("boxes", "Gather", found.boxes, kept)
    g.output("scores", "Gather", found.scores, kept)
    g.output("landmarks", "Gather", found.landmarks, kept)
    g.output("image_index", "Gather", found.pictures, kept)
    return found


def candidates(
    g: Graph,
    inside: Inside,
    head: Head,
    stride: int,
    sizes: tuple[int, ...],
    variances: tuple[float, float],
) -> Candidates:
    """One level's anchors above the threshold, decoded as in `boxes`."""
    logits = g.node("Transpose", head.logits, perm=[0, 2, 3, 1])  # (B, H, W, K)
    every = g.node("Sigmoid", g.output(inside.logits, "Reshape", logits, g.integers(0, -1)))
    above = g.output(inside.faces, "NonZero", g.node("Greater", every, "score_threshold"))
    scores = g.node("GatherND", every, g.node("Transpose", above, perm=[1, 0]))
    picture, anchor = (g.node("Gather", above, scalar(g, row)) for row in range(2))
    cell, kind = (g.node(op, anchor, g.integers(len(sizes))) for op in ("Div", "Mod"))

    features = g.node("Transpose", head.features, perm=[0, 2, 3, 1])
    features = g.node("Reshape", features, g.integers(0, -1, head.width))
    feature = g.node("GatherND", features, pairs(g, picture, cell))  # (M, C)
    codes = g.node("Add", g.node("MatMul", feature, head.weight), head.bias)
    codes = g.node("Reshape", codes, g.integers(-1, len(sizes), CODE))
    code = g.node("GatherND", codes, column(g, kind), batch_dims=1)  # (M, CODE)

    columns = g.node("Shape", head.logits, start=3, end=4)
    place = pairs(g, g.node("Mod", cell, columns), g.node("Div", cell, columns))
    centre = g.node("Mul", g.node("Cast", place, to=TensorProto.FLOAT), g.floats(stride))
    centre = g.node("Add", centre, g.floats(stride / 2))  # (M, 2)
    side = column(g, g.node("Gather", g.floats(*sizes), kind))  # (M, 1)
    reach = g.node("Mul", side, g.floats(variances[0]))

    middle = g.node("Add", centre, g.node("Mul", part(g, code, 0, 2), reach))
    growth = g.node("Mul", part(g, code, 2, 4), g.floats(variances[1]))
    growth = g.node("Exp", g.node("Min", growth, g.floats(GROWTH)))
    half = g.node("Mul", growth, g.node("Mul", side, g.floats(0.5)))
    boxes = g.node("Concat", g.node("Sub", middle, half), g.node("Add", middle, half), axis=1)
    points = g.node("Reshape", part(g, code, 4, CODE), g.integers(-1, 5, 2))
    points = g.node("Add", g.node("Mul", points, column(g, reach)), column(g, centre))
    return Candidates(scores, boxes, points, picture)


def suppress(g: Graph, images: str, found: Candidates) -> str:
    """Which candidates (N,) are kept: pictures in order, in each the best first.

    To the operator each picture is a class: boxes of the others score less than any threshold.
    """
    zero, one = scalar(g, 0), scalar(g, 1)
    batch = g.node("Gather", g.node("Shape", images), zero)
    rows = column(g, g.node("Range", zero, batch, one))
    is_own = g.node("Equal", rows, found.pictures)  # (B, M)
    own = g.node("Where", is_own, found.scores, g.floats(-1))
    kept = g.node(
        "NonMaxSuppression",
        g.node("Unsqueeze", found.boxes, g.integers(0)),
        g.node("Unsqueeze", own, g.integers(0)),
        "max_faces",
        "iou_threshold",
        "score_threshold",
    )  # (N, 3)
    return g.node("Gather", kept, scalar(g, 2), axis=1)


def part(g: Graph, x: str, start: int, end: int) -> str:
    """Columns of a matrix."""
    return g.node("Slice", x, g.integers(start), g.integers(end), g.integers(1))


def column(g: Graph, x: str) -> str:
    """(M, ...) -> (M, 1, ...)."""
    return g.node("Unsqueeze", x, g.integers(1))


def pairs(g: Graph, first: str, second: str) -> str:
    """Two vectors (M,) as a matrix (M, 2)."""
    return g.node("Concat", column(g, first), column(g, second), axis=1)


def scalar(g: Graph, value: int) -> str:
    """A constant int64 without dimensions."""
    return g.constant(np.array(value, np.int64))
