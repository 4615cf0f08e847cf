"""From what the levels say to faces, as ONNX nodes: candidates, decoding, suppression.

Only anchors that score above the threshold are given a box at all, so a picture without faces
costs the scores and nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from featherface.anchors import AnchorSpec
from featherface.export.graph import Graph
from featherface.export.heads import CODE, Head


class Candidates(NamedTuple):
    """Names of the tensors that hold M candidates."""

    scores: str  # (M,)
    boxes: str  # (M, 4)
    landmarks: str  # (M, 10)
    pictures: str  # (M,)
    anchors: str  # (M,), number of the anchor within its level


def add_faces(g: Graph, images: str, heads: Sequence[Head], spec: AnchorSpec) -> str:
    """Add the outputs boxes, scores, landmarks and image_index to the graph.

    The inputs score_threshold, iou_threshold and max_faces are read by their names.

    Returns:
        A tensor (N,) that tells which anchor of its level each face comes from, for checks.
    """
    levels = [
        candidates(g, each, spec.strides[level], spec.sizes[level], spec.variances)
        for level, each in enumerate(heads)
    ]
    scores, boxes, landmarks, pictures, anchors = (
        g.node("Concat", *parts, axis=0) for parts in zip(*levels, strict=True)
    )
    kept = suppress(g, images, boxes, scores, pictures)
    g.node("Gather", boxes, kept, name="boxes")
    g.node("Gather", scores, kept, name="scores")
    points = g.node("Gather", landmarks, kept)
    g.node("Reshape", points, g.integers(-1, 5, 2), name="landmarks")
    g.node("Gather", pictures, kept, name="image_index")
    return g.node("Gather", anchors, kept)


def candidates(
    g: Graph, head: Head, stride: int, sizes: tuple[int, ...], variances: tuple[float, float]
) -> Candidates:
    """One level's anchors above the threshold, decoded as in `boxes`."""
    count = g.integers(len(sizes))
    logits = g.node("Transpose", head.logits, perm=[0, 2, 3, 1])  # (B, H, W, K)
    scores = g.node("Sigmoid", g.node("Reshape", logits, g.integers(0, -1)))
    above = g.node("NonZero", g.node("Greater", scores, "score_threshold"))  # (2, M)
    picture, anchor = (g.node("Gather", above, scalar(g, row)) for row in range(2))
    cell, kind = (g.node(op, anchor, count) for op in ("Div", "Mod"))

    features = g.node("Transpose", head.features, perm=[0, 2, 3, 1])
    features = g.node("Reshape", features, g.integers(0, -1, head.width))
    place = pair(g, picture, cell)
    found = g.node("GatherND", features, place)  # (M, C)
    codes = g.node("Add", g.node("MatMul", found, head.weight), head.bias)
    codes = g.node("Reshape", codes, g.integers(-1, len(sizes), CODE))
    code = g.node("GatherND", codes, g.node("Unsqueeze", kind, g.integers(1)), batch_dims=1)

    columns = g.node("Shape", head.logits, start=3, end=4)
    xy = pair(g, g.node("Mod", cell, columns), g.node("Div", cell, columns))
    centre = g.node("Mul", g.node("Cast", xy, to=1), g.floats(stride))
    centre = g.node("Add", centre, g.floats(stride / 2))  # (M, 2)
    side = g.node("Unsqueeze", g.node("Gather", g.floats(*sizes), kind), g.integers(1))
    reach = g.node("Mul", side, g.floats(variances[0]))

    middle = g.node("Add", centre, g.node("Mul", columns_of(g, code, 0, 2), reach))
    growth = g.node("Exp", g.node("Mul", columns_of(g, code, 2, 4), g.floats(variances[1])))
    half = g.node("Mul", growth, g.node("Mul", side, g.floats(0.5)))
    boxes = g.node("Concat", g.node("Sub", middle, half), g.node("Add", middle, half), axis=1)
    points = g.node("Mul", columns_of(g, code, 4, CODE), reach)
    around = g.node("Concat", *[centre] * 5, axis=1)
    landmarks = g.node("Add", points, around)
    found_scores = g.node("GatherND", scores, g.node("Transpose", above, perm=[1, 0]))
    return Candidates(found_scores, boxes, landmarks, picture, anchor)


def suppress(g: Graph, images: str, boxes: str, scores: str, pictures: str) -> str:
    """Which candidates (N,) are kept: pictures in order, in each the best first.

    To the operator each picture is a class: boxes of the others score less than any threshold.
    """
    zero, one = scalar(g, 0), scalar(g, 1)
    batch = g.node("Gather", g.node("Shape", images), zero)
    rows = g.node("Unsqueeze", g.node("Range", zero, batch, one), g.integers(1))
    own = g.node("Where", g.node("Equal", rows, pictures), scores, g.floats(-1))  # (B, M)
    kept = g.node(
        "NonMaxSuppression",
        g.node("Unsqueeze", boxes, g.integers(0)),
        g.node("Unsqueeze", own, g.integers(0)),
        "max_faces",
        "iou_threshold",
        "score_threshold",
    )  # (N, 3)
    return g.node("Gather", kept, scalar(g, 2), axis=1)


def columns_of(g: Graph, x: str, start: int, end: int) -> str:
    """Columns of a matrix."""
    return g.node("Slice", x, g.integers(start), g.integers(end), g.integers(1))


def pair(g: Graph, first: str, second: str) -> str:
    """Two vectors (M,) as a matrix (M, 2)."""
    column = g.integers(1)
    both = (g.node("Unsqueeze", each, column) for each in (first, second))
    return g.node("Concat", *both, axis=1)


def scalar(g: Graph, value: int) -> str:
    """A constant int64 without dimensions."""
    return g.constant(np.array(value, np.int64))
