"""Crops by number: the same for everybody, shared out among ranks without gap or overlap."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
import torch

from featherface.anchors import NANO_B
from featherface.data.crops import CropConfig, Faces
from featherface.data.labels import LabelledImage, read_labels
from featherface.data.loader import Batch, CropDataset, collate, stream
from featherface.data.pixels import PixelStore
from featherface.data.synthetic import write_dataset
from featherface.data.targets import make_target

SIZE = 96


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    """Five drawn pictures with up to four faces."""
    folder = tmp_path_factory.mktemp("drawn")
    rng = np.random.default_rng(1)
    return read_labels(write_dataset(folder, rng, pictures=5, size=(140, 160), faces=4))


@pytest.fixture(scope="module")
def store(images: list[LabelledImage], tmp_path_factory: pytest.TempPathFactory) -> PixelStore:
    """Their pixels."""
    return PixelStore(tmp_path_factory.mktemp("pixels"), [image.path for image in images])


def dataset_of(
    store: PixelStore,
    images: list[LabelledImage],
    *,
    seed: int = 0,
    weights: list[float] | None = None,
) -> CropDataset:
    return CropDataset(
        store,
        images,
        np.array(weights or [1.0] * len(images)),
        CropConfig(size=SIZE, mosaic=0.5, degraded=0.5),
        NANO_B,
        seed=seed,
    )


def test_a_pool_comes_round(store: PixelStore, images: list[LabelledImage]) -> None:
    endless = dataset_of(store, images)
    pooled = CropDataset(
        store, images, np.ones(len(images)), endless.config, NANO_B, seed=0, pool=3
    )
    for number in range(7):
        assert_equal(collate([pooled[number]]), collate([endless[number % 3]]))


def assert_equal(one: Batch, other: Batch) -> None:
    for name, left, right in zip(Batch._fields, one, other, strict=True):
        assert left.dtype == right.dtype
        assert torch.equal(left, right), name


def take(batches: Iterator[Batch], count: int) -> list[Batch]:
    return list(islice(batches, count))


def test_a_number_is_always_the_same_crop(store: PixelStore, images: list[LabelledImage]) -> None:
    one, other = dataset_of(store, images), dataset_of(store, images)
    forwards = [one[number] for number in range(12)]
    backwards = [other[number] for number in reversed(range(12))][::-1]
    assert_equal(collate(forwards), collate(backwards))
    crops = {crop.tobytes() for crop, _ in forwards}
    assert len(crops) == 12
    assert crops.isdisjoint({dataset_of(store, images, seed=1)[n][0].tobytes() for n in range(12)})


@pytest.mark.parametrize("workers", [0, 1])
def test_starting_later_is_skipping(
    store: PixelStore, images: list[LabelledImage], workers: int
) -> None:
    dataset = dataset_of(store, images)
    all_of_it = take(stream(dataset, batch=3, workers=0), 4)
    later = take(stream(dataset, batch=3, workers=workers, first=6), 2)
    for one, other in zip(all_of_it[2:], later, strict=True):
        assert_equal(one, other)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_numbers(
    store: PixelStore, images: list[LabelledImage], ranks: int
) -> None:
    dataset = dataset_of(store, images)
    batch, steps, first = 6, 3, 12
    alone = take(stream(dataset, batch=batch, workers=0, first=first), steps)
    shared = [
        take(
            stream(dataset, batch=batch // ranks, workers=0, first=first, rank=rank, ranks=ranks),
            steps,
        )
        for rank in range(ranks)
    ]
    for step, whole in enumerate(alone):
        parts = [shared[rank][step] for rank in range(ranks)]
        assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
        assert torch.equal(torch.cat([part.boxes for part in parts]), whole.boxes)
        assert torch.equal(torch.cat([part.anchor for part in parts]), whole.anchor)


def test_collating_keeps_every_crop_apart(store: PixelStore, images: list[LabelledImage]) -> None:
    dataset = dataset_of(store, images)
    samples = [dataset[number] for number in range(8)]
    nothing = np.zeros((0, 4), np.float32)
    empty = Faces(
        nothing, np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32), np.zeros(0, np.bool_)
    )
    samples.insert(3, (samples[0][0], make_target(dataset.grid, empty)))
    batch = collate(samples)
    assert batch.images.shape == (9, SIZE, SIZE, 3)
    assert batch.ignore.shape == (9, len(dataset.grid.anchors))
    start = 0
    for number, (crop, target) in enumerate(samples):
        own = batch.image == number
        np.testing.assert_array_equal(batch.images[number], crop)
        np.testing.assert_array_equal(batch.anchor[own], target.anchor)
        np.testing.assert_array_equal(batch.face[own] - start, target.face)
        np.testing.assert_array_equal(batch.boxes[batch.face[own]], target.boxes[target.face])
        np.testing.assert_array_equal(batch.ignore[number], target.ignore)
        start += len(target.boxes)
    assert start == len(batch.boxes) == len(batch.landmarks) == len(batch.probability)


def test_a_batch_without_any_face(store: PixelStore, images: list[LabelledImage]) -> None:
    dataset = dataset_of(store, images)
    none = np.zeros(0, np.bool_)
    empty = Faces(
        np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32), none
    )
    batch = collate([(dataset[0][0], make_target(dataset.grid, empty))] * 2)
    assert batch.boxes.shape == (0, 4)
    assert batch.face.dtype == batch.anchor.dtype == batch.image.dtype == torch.int64


def test_weights_say_how_often_a_picture_is_drawn(
    store: PixelStore, images: list[LabelledImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    real = PixelStore.__getitem__

    def counting(self: PixelStore, number: int) -> np.ndarray:
        drawn.append(number)
        return real(self, number)

    monkeypatch.setattr(PixelStore, "__getitem__", counting)
    dataset = dataset_of(store, images, weights=[0, 1, 0, 3, 0])
    for number in range(120):
        dataset[number]
    counts = np.bincount(drawn, minlength=5)
    assert counts[[0, 2, 4]].tolist() == [0, 0, 0]
    assert 2.2 < counts[3] / counts[1] < 4.2
