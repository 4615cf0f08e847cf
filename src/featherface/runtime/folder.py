"""The pictures that a command line names, and the places of what is made of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from featherface.image import SUFFIXES


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """The pictures that paths stand for, each once.

    Files are taken as they are, whatever their name. A folder stands for the pictures in it and in
    its sub-folders, known by their suffix and sorted by path; hidden ones are left out. A folder
    without any stands for itself, and so cannot be read as a picture.
    """
    found: list[Path] = []
    for path in paths:
        found += (_within(path) if path.is_dir() else []) or [path]
    return list(dict.fromkeys(found))


def _within(folder: Path) -> list[Path]:
    found: list[Path] = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += (Path(here, name) for name in names if not name.startswith("."))
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES)


def place(pictures: Sequence[Path], *, given: Iterable[Path], target: Path) -> dict[Path, Path]:
    """Where in the folder `target` the copy of each picture belongs.

    Every picture keeps its name and its sub-folders below the deepest folder that all have in
    common, so that no two copies share a place.

    Args:
        pictures: what `find_pictures` made of `given`.
        given: files and folders.
        target: the folder for the copies.

    Raises:
        ValueError: a copy would take the place of one of the pictures.
    """
    tops = [path if path.is_dir() else path.parent for path in map(_plain, given)]
    root = os.path.commonpath(tops) if tops else ""
    places = {picture: target / _plain(picture).relative_to(root) for picture in pictures}
    originals = {picture.resolve(): picture for picture in pictures}
    for copy in places.values():
        if copy.resolve() in originals:
            raise ValueError(f"{target}: would overwrite {originals[copy.resolve()]}")
    return places


def _plain(path: Path) -> Path:
    """Absolute and without "..": two such paths begin alike when they share a folder."""
    return Path(os.path.normpath(path.absolute()))
