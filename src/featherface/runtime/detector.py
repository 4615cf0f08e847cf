"""The detector: a picture of any kind in, the faces in that picture's own pixels out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from featherface import boxes, weights
from featherface.image import Fit, Fitted, Picture, fit
from featherface.metadata import ModelError, ModelInfo
from featherface.runtime.large import add_large_faces
from featherface.runtime.session import Session
from featherface.runtime.tiles import SMALLEST, find_in_tiles
from featherface.types import Detections

if TYPE_CHECKING:
    from featherface.runtime.stream import Seen

OVERLAP = 0.4
"""IoU above which the weaker of two boxes goes, as in RetinaFace."""

MAX_FACES = 10_000
"""More than any crowd has: a bound for memory, not a limit to notice."""

BATCH_PIXELS = 4 * 1024 * 1024
"""Pictures are collected up to so many input pixels before they go through the graph together."""


class Detector:
    """Finds faces in pictures.

    Opened once, used often; safe to use from several threads, and can be pickled (the copy opens
    its weights anew).

    Attributes:
        info: what the weights say about themselves.
        score: a face is reported when it scores more than this, 0 to 1.
        size: "original", or the pixels that the longer side of every picture is scaled to.
        tiles: the side of the tiles that larger pictures are cut into; None for no tiles.
        sha256: of the weights.
    """

    info: ModelInfo
    score: float
    size: int | Literal["original"]
    tiles: int | None
    sha256: str

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        *,
        score: float = 0.5,
        size: int | Literal["original"] = "original",
        tiles: int | None = None,
        threads: int = 1,
    ) -> None:
        """Opens the weights.

        Args:
            weights: the name of weights that ship (`featherface.weights.names()`), or the path
                of an .onnx file made by `featherface export`; None for the best that ship.
            score: a face is reported when it scores more than this, 0 to 1.
            size: "original" looks at every pixel, and finds the smallest faces; a number scales
                the picture, up or down, so that its longer side has so many pixels.
            tiles: looks at pictures that are larger (after scaling to `size`) in overlapping
                tiles of so many pixels, and shrunk for large faces: the network's memory no
                longer grows with the picture. None looks at each picture at once, and
                at one of more than 1280 pixels again, shrunk to 640, for large faces.
            threads: processor threads that share the work on one picture.

        Raises:
            ModelError: no such weights, or a file that is not a featherface network.
            ValueError: score, size, tiles or threads out of range.
        """
        if size != "original" and size < 1:
            raise ValueError(f'size is {size}, wanted "original" or at least 1 pixel')
        if tiles is not None and tiles < SMALLEST:
            raise ValueError(f"tiles is {tiles}, wanted at least {SMALLEST} pixels")
        if threads < 1:
            raise ValueError(f"threads is {threads}, wanted at least 1")
        self.score = _check_score(score)
        self.size = size
        self.tiles = tiles
        self._threads = threads
        self._weights, graph = _find(weights)
        self.sha256 = hashlib.sha256(graph).hexdigest()
        self._session = Session(graph, source=self._weights, threads=threads)
        self.info = self._session.info

    def __reduce__(self) -> tuple[Callable[..., Detector], tuple[str]]:
        opener = partial(
            Detector, score=self.score, size=self.size, tiles=self.tiles, threads=self._threads
        )
        return opener, (self._weights,)

    def detect(self, picture: Picture, *, score: float | None = None) -> Detections:
        """Finds the faces of one picture.

        Args:
            picture: a path, the bytes of a file, a PIL image, or a uint8 array, RGB (H, W, 3) or
                grey (H, W); see `featherface.load_image` for what becomes of other modes.
            score: takes the place of the detector's own for this call.

        Returns:
            Boxes and landmarks in pixels of the upright picture, best score first. Boxes end at
            the picture's border; landmarks may lie beyond it.

        Raises:
            ImageError: the picture cannot be read; the message names it and the reason.
        """
        return self.find([self.fit(picture)], score=score)[0]

    def detect_batch(
        self, pictures: Iterable[Picture], *, score: float | None = None
    ) -> list[Detections]:
        """Finds the faces of many pictures, in their order, each as `detect` would.

        Pictures of the same padded shape go through the graph together; no more than a handful
        is in memory at once.

        Raises:
            ImageError: one of the pictures cannot be read.
        """
        chunks = _chunks(map(self.fit, pictures))
        return [faces for chunk in chunks for faces in self.find(chunk, score=score)]

    def stream(
        self, video: str | os.PathLike[str] | int, *, score: float | None = None
    ) -> Iterator[Seen]:
        """Finds the faces of every frame of a video or of a camera, as it is read.

        Args:
            video: the path of a file, or the number of a camera, the first being 0.
            score: takes the place of the detector's own for this call.

        Returns:
            An iterator over index, time in seconds, pixels (H, W, 3) and faces of each frame.
            Close it, or read it to the end, to let go of the video.

        Raises:
            VideoError: it cannot be opened, or has no frame that can be decoded.
            ModuleNotFoundError: PyAV is missing: pip install "featherface[video]".
        """
        from featherface.runtime.stream import stream  # here, since PyAV is an extra

        return stream(video, partial(self.detect, score=score))

    def fit(self, picture: Picture) -> Fitted:
        """Reads a picture and brings it to the detector's size: the first half of `detect`.

        Raises:
            ImageError: the picture cannot be read.
        """
        return fit(picture, long_side=None if self.size == "original" else self.size)

    def find(self, pictures: Sequence[Fitted], *, score: float | None = None) -> list[Detections]:
        """Finds the faces of pictures that went through `fit`: the second half of `detect`."""
        look = partial(self._look, score=self.score if score is None else _check_score(score))
        if self.tiles is not None:
            tiles = partial(find_in_tiles, look, side=self.tiles, overlap=OVERLAP)
            return [to_picture(tiles(picture), picture.fit) for picture in pictures]
        more = partial(add_large_faces, look, overlap=OVERLAP)
        return [more(*seen) for seen in zip(pictures, look(pictures), strict=True)]

    def _look(self, pictures: Sequence[Fitted], *, score: float) -> list[Detections]:
        """Pictures of the same shape go through the graph together."""
        shapes: dict[tuple[int, ...], list[int]] = {}
        for index, picture in enumerate(pictures):
            shapes.setdefault(picture.pixels.shape, []).append(index)
        found = [Detections.empty()] * len(pictures)
        for together in shapes.values():
            batch = np.stack([pictures[index].pixels for index in together])
            answer = self._session.run(batch, score=score, overlap=OVERLAP, max_faces=MAX_FACES)
            for index, faces in zip(together, answer, strict=True):
                found[index] = to_picture(faces, pictures[index].fit)
        return found


def _find(wanted: str | os.PathLike[str] | None) -> tuple[str, bytes]:
    """The name or absolute path of weights, and their content."""
    name = weights.DEFAULT if wanted is None else os.fspath(wanted)
    if name == Path(name).stem:
        return name, weights.read(name)
    path = Path(name).absolute()
    if path.suffix != ".onnx":
        raise ModelError(f"{path}: is no .onnx file; make one with: featherface export")
    if not path.is_file():
        ship = ", ".join(weights.names()) or "none"
        raise ModelError(f"{path}: no such file; weights that ship go by their names: {ship}")
    return str(path), path.read_bytes()


def _check_score(score: float) -> float:
    if not 0 <= score <= 1:
        raise ValueError(f"score is {score}, wanted 0 to 1")
    return score


def _chunks(pictures: Iterable[Fitted]) -> Iterator[list[Fitted]]:
    """Groups of pictures that fit in memory together."""
    chunk: list[Fitted] = []
    pixels = 0
    for picture in pictures:
        chunk.append(picture)
        pixels += picture.pixels.shape[0] * picture.pixels.shape[1]
        if pixels >= BATCH_PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk


def to_picture(faces: Detections, placed: Fit) -> Detections:
    """From pixels of the input to those of the picture; what lies in the padding goes."""
    height, width = placed.size
    limit = np.array([width, height, width, height], np.float32)
    found = Detections(
        np.clip(placed.undo(faces.boxes), 0, limit), faces.scores, placed.undo(faces.landmarks)
    )
    return found[boxes.area(found.boxes) > 0]
