"""Crops in batches: sample number n is always the same crop, whoever draws it and when.

That makes a resumed run equal to an uninterrupted one, and lets ranks split a run by number.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from featherface.anchors import AnchorSpec
from featherface.data.crops import NOWHERE, CropConfig, Faces, draw_crop, finish, join
from featherface.data.labelled import LabelledImage
from featherface.data.pixels import PixelStore
from featherface.data.targets import AnchorGrid, Target, make_target
from featherface.types import Floats, Pixels

SMALLEST_PART = 160  # pixels that the side of a part has at least in a mosaic within a mosaic


class Batch(NamedTuple):
    """Crops and what is known of them; faces and pairs of all crops in one row each."""

    images: Tensor  # (B, S, S, 3) uint8 RGB
    boxes: Tensor  # (N, 4) xyxy pixels of the crop
    landmarks: Tensor  # (N, 5, 2)
    has_landmarks: Tensor  # (N,) bool
    probability: Tensor  # (N,)
    image: Tensor  # (P,) which crop
    anchor: Tensor  # (P,) which anchor of it
    face: Tensor  # (P,) which face
    overlap: Tensor  # (P,) IoU of anchor and face
    ignore: Tensor  # (B, A) bool


def collate(samples: Sequence[tuple[Pixels, Target]]) -> Batch:
    """Join crops into a batch."""
    images, targets = zip(*samples, strict=True)
    faces = np.cumsum([0, *(len(t.boxes) for t in targets)])
    image = [np.full(len(t.anchor), number) for number, t in enumerate(targets)]
    face = [t.face + start for t, start in zip(targets, faces, strict=False)]

    def together(arrays: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays))

    return Batch(
        torch.from_numpy(np.stack(images)),
        together([t.boxes for t in targets]),
        together([t.landmarks for t in targets]),
        together([t.has_landmarks for t in targets]),
        together([t.probability for t in targets]),
        together(image),
        together([t.anchor for t in targets]),
        together(face),
        together([t.overlap for t in targets]),
        torch.from_numpy(np.stack([t.ignore for t in targets])),
    )


class CropDataset(Dataset[tuple[Pixels, Target]]):
    """Endless training crops, a pure function of the seed and the number.

    Args:
        store: decoded pictures.
        images: their labels, in the same order.
        weights: how often each picture is drawn, relative to the others.
        pool: after so many crops the first ones come again; 0 for never.
        mistakes: places of each picture to show again, see `mistakes.read_mistakes`.
    """

    def __init__(
        self,
        store: PixelStore,
        images: Sequence[LabelledImage],
        weights: np.ndarray,
        config: CropConfig,
        anchors: AnchorSpec,
        *,
        seed: int,
        pool: int = 0,
        mistakes: Sequence[Floats] | None = None,
    ) -> None:
        self.store = store
        self.faces = [
            Faces(image.boxes, image.landmarks, image.probability, image.ignore) for image in images
        ]
        self.cumulative = np.cumsum(weights / weights.sum())
        self.config = config
        self.grid = AnchorGrid(anchors, config.size)
        self.seed = seed
        self.pool = pool
        self.mistakes = mistakes or [NOWHERE] * len(images)

    def __getitem__(self, number: int) -> tuple[Pixels, Target]:
        number = number % self.pool if self.pool else number
        crop, faces = self.draw(np.random.default_rng((self.seed, number)))
        return crop, make_target(self.grid, faces)

    def draw(self, rng: np.random.Generator) -> tuple[Pixels, Faces]:
        """One crop and its faces."""
        config = self.config
        cut = self._mosaic if rng.random() < config.mosaic else self._part
        return finish(*cut(config.size, rng), config, rng)

    def _mosaic(self, size: int, rng: np.random.Generator) -> tuple[Pixels, Faces]:
        half = size // 2
        nested = self.config.nested if half // 2 >= SMALLEST_PART else 0.0
        crop = np.empty((size, size, 3), np.uint8)
        parts = []
        for y in (0, half):
            for x in (0, half):
                # Without nesting nothing is drawn here: crops of older recipes stay what they were.
                cut = self._mosaic if nested and rng.random() < nested else self._part
                crop[y : y + half, x : x + half], faces = cut(half, rng)
                boxes = np.clip(faces.boxes, 0, half)  # beyond lies another picture
                parts.append(faces._replace(boxes=boxes).moved(1.0, x, y))
        return crop, join(parts)

    def _part(self, size: int, rng: np.random.Generator) -> tuple[Pixels, Faces]:
        picture = min(int(np.searchsorted(self.cumulative, rng.random())), len(self.faces) - 1)
        pixels, faces = self.store[picture], self.faces[picture]
        return draw_crop(pixels, faces, self.config, size, rng, mistakes=self.mistakes[picture])


class _Numbers:
    """Batches of sample numbers of one rank, from `first` on, without end."""

    def __init__(self, first: int, batch: int, rank: int, ranks: int) -> None:
        self.first, self.batch, self.rank, self.ranks = first, batch, rank, ranks

    def __iter__(self) -> Iterator[list[int]]:
        start = self.first + self.rank * self.batch
        while True:
            yield list(range(start, start + self.batch))
            start += self.batch * self.ranks


def stream(
    dataset: CropDataset, *, batch: int, workers: int, first: int = 0, rank: int = 0, ranks: int = 1
) -> Iterator[Batch]:
    """Batches without end.

    Args:
        batch: crops a batch of this rank.
        workers: processes that cut crops; 0 cuts them in this one.
        first: sample number to begin with, counted over all ranks.
    """
    numbers = _Numbers(first, batch, rank, ranks)
    loader = DataLoader(
        dataset,
        batch_sampler=numbers,
        num_workers=workers,
        collate_fn=collate,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_settle_in,
    )
    return iter(loader)


def _settle_in(_: int) -> None:
    """One thread; requests to end are for the process that trains, which ends its workers."""
    torch.set_num_threads(1)
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)
