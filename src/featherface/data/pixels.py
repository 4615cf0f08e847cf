"""Decoded pictures in one memory-mapped file, so that a picture is decoded once, not per crop.

Decoding a JPEG costs as much as a training step of a light network; training reads every picture
hundreds of times. The file is shared by all worker processes through the page cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from featherface.files import replacing, write_atomically
from featherface.image import load
from featherface.types import Pixels

Progress = Callable[[int, int], None]


class PixelStore:
    """Pictures by number, uint8 (H, W, 3) RGB, read-only.

    Args:
        folder: where the file lives; it is written there on first use, about 1.5 MB a picture.
        paths: the pictures. Their names, sizes and dates decide whether a stored file still fits.
        progress: called with (done, total) while the file is written.

    Raises:
        ImageError: when a picture cannot be read; the message names it.
    """

    def __init__(
        self, folder: Path, paths: Sequence[Path], *, progress: Progress | None = None
    ) -> None:
        key = hashlib.sha256()
        for path in paths:
            facts = path.stat() if path.exists() else None
            key.update(
                f"{path.resolve()}|{facts and (facts.st_size, facts.st_mtime_ns)}\n".encode()
            )
        stem = folder / key.hexdigest()[:16]
        self._file = stem.with_suffix(".bin")
        index = stem.with_suffix(".json")
        if not (index.exists() and self._file.exists()):
            folder.mkdir(parents=True, exist_ok=True)
            self._write(index, paths, progress)
        entries = json.loads(index.read_text())
        self.sizes: list[tuple[int, int]] = [(height, width) for _, height, width in entries]
        self._starts: list[int] = [start for start, _, _ in entries]
        self._map: np.memmap | None = None

    def _write(self, index: Path, paths: Sequence[Path], progress: Progress | None) -> None:
        entries = []
        with replacing(self._file) as draft, draft.open("wb") as file:
            for number, path in enumerate(paths):
                picture = load(path)
                entries.append((file.tell(), *picture.shape[:2]))
                file.write(picture.tobytes())
                if progress:
                    progress(number + 1, len(paths))
        write_atomically(index, json.dumps(entries).encode())  # last: an index has its file

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, number: int) -> Pixels:
        if self._map is None:  # opened in the process that reads
            self._map = np.memmap(self._file, np.uint8, "r")
        height, width = self.sizes[number]
        start = self._starts[number]
        return self._map[start : start + height * width * 3].reshape(height, width, 3)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_map": None}
