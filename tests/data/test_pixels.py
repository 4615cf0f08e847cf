"""The store of decoded pictures: what it gives equals the files, and it notices their changes."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface.data.pixels import PixelStore
from featherface.image import ImageError, load


@pytest.fixture
def paths(tmp_path: Path, rng: np.random.Generator) -> list[Path]:
    """Three pictures of different sizes and formats."""
    found = []
    for name, size in (("a.png", (7, 11)), ("b.jpg", (40, 30)), ("c.png", (1, 1))):
        path = tmp_path / name
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(path)
        found.append(path)
    return found


def open_counting(folder: Path, paths: list[Path]) -> tuple[PixelStore, int]:
    """A store, and how many pictures were decoded for it."""
    calls: list[tuple[int, int]] = []
    store = PixelStore(folder, paths, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(n + 1, len(paths)) for n in range(len(calls))]
    return store, len(calls)


def assert_same(store: PixelStore, paths: list[Path]) -> None:
    assert len(store) == len(paths)
    for number, path in enumerate(paths):
        np.testing.assert_array_equal(store[number], load(path))
        assert store.sizes[number] == store[number].shape[:2]


def test_pictures_are_decoded_once(tmp_path: Path, paths: list[Path]) -> None:
    store, decoded = open_counting(tmp_path / "new" / "store", paths)
    assert decoded == 3
    assert_same(store, paths)
    again, decoded = open_counting(tmp_path / "new" / "store", paths)
    assert decoded == 0
    assert_same(again, paths)


def test_it_reads_in_another_process(tmp_path: Path, paths: list[Path]) -> None:
    store = PixelStore(tmp_path / "store", paths)
    assert store[0].shape == (7, 11, 3)  # is open, and the map does not travel
    assert len(pickle.dumps(store)) < 2000
    assert_same(pickle.loads(pickle.dumps(store)), paths)


def test_other_pictures_or_another_order_are_another_store(
    tmp_path: Path, paths: list[Path]
) -> None:
    open_counting(tmp_path / "store", paths)
    for other in (paths[::-1], paths[:2]):
        store, decoded = open_counting(tmp_path / "store", other)
        assert decoded == len(other)
        assert_same(store, other)


def test_a_changed_picture_is_read_again(tmp_path: Path, paths: list[Path]) -> None:
    open_counting(tmp_path / "store", paths)
    Image.new("RGB", (7, 11), "red").save(paths[0])
    os.utime(paths[0], ns=(1, 1))
    store, decoded = open_counting(tmp_path / "store", paths)
    assert decoded == 3
    assert_same(store, paths)


def test_lost_pixels_are_decoded_again(tmp_path: Path, paths: list[Path]) -> None:
    open_counting(tmp_path / "store", paths)
    (pixels,) = (tmp_path / "store").glob("*.bin")
    pixels.unlink()
    store, decoded = open_counting(tmp_path / "store", paths)
    assert decoded == 3
    assert_same(store, paths)


@pytest.mark.parametrize("content", [None, b"", b"no picture"], ids=["missing", "empty", "text"])
def test_a_broken_picture_is_named_and_nothing_is_left(
    tmp_path: Path, paths: list[Path], content: bytes | None
) -> None:
    broken = tmp_path / "broken.jpg"
    if content is not None:
        broken.write_bytes(content)
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        PixelStore(tmp_path / "store", [*paths, broken])
    assert list((tmp_path / "store").iterdir()) == []


def test_the_pixels_cannot_be_changed_by_accident(tmp_path: Path, paths: list[Path]) -> None:
    with pytest.raises(ValueError, match="read-only"):
        PixelStore(tmp_path / "store", paths)[0][:] = 0
