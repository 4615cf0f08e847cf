"""The pictures that a command line names, and the places of what is made of them."""

from __future__ import annotations

import glob
import os
from collections.abc import Container, Iterable, Sequence, Set
from pathlib import Path
from typing import IO

from featherface.image import SUFFIXES

LISTED = Path("-")
"""Stands for a list of names."""


def expand(names: Iterable[Path], *, listed: IO[bytes]) -> list[Path]:
    """Paths, with patterns that the shell has left alone, and "-" for a list of names.

    A name that does not exist and holds `*`, `?` or `[` is a pattern, `**` standing for folders at
    any depth; one that nothing matches stays as it is. The list has a name a line or, if there is
    a zero byte in it, names that end with zero bytes; its names are taken as they are.

    Args:
        names: as given by the user.
        listed: where the list is read from.
    """
    paths: list[Path] = []
    for name in names:
        if name == LISTED:
            content = listed.read()
            rows = content.split(b"\0") if b"\0" in content else content.splitlines()
            paths += (Path(os.fsdecode(row)) for row in rows if row)
        elif not os.path.lexists(name) and set("*?[") & set(str(name)):
            matches = sorted(glob.glob(str(name), recursive=True))  # noqa: PTH207, Path's wants a root
            paths += map(Path, matches or [str(name)])
        else:
            paths.append(name)
    return paths


def find_pictures(paths: Iterable[Path], *, without: Iterable[Path] = ()) -> list[Path]:
    """The pictures that paths stand for, each once.

    Files are taken as they are, whatever their name. A folder stands for the pictures in it and in
    its sub-folders, known by their suffix and sorted by path; hidden ones are left out, and links
    to folders are not followed. A folder without any stands for itself, and so cannot be read as
    a picture. Two paths to one file are one picture, the first; two links are two.

    Args:
        paths: files and folders.
        without: sub-folders that are not searched.
    """
    barred = {os.path.realpath(folder) for folder in without}
    found: list[Path] = []
    for path in paths:
        found += (within(path, barred=barred) if path.is_dir() else []) or [path]
    folders = {folder: os.path.realpath(folder) for folder in {path.parent for path in found}}
    unique: dict[tuple[str, str], Path] = {}
    for path in found:
        unique.setdefault((folders[path.parent], path.name), path)
    return list(unique.values())


def within(
    folder: Path, *, suffixes: Container[str] = SUFFIXES, barred: Set[str] = frozenset()
) -> list[Path]:
    """Files in a folder and its sub-folders, sorted; hidden ones and links to folders left out.

    Args:
        folder: where to look.
        suffixes: of the files' names, in lower case.
        barred: real paths of sub-folders that are not searched.
    """
    found: list[Path] = []
    for here, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and not (barred and os.path.realpath(Path(here, name)) in barred)
        ]
        found += (Path(here, name) for name in names if not name.startswith("."))
    return sorted(path for path in found if path.suffix.lower() in suffixes)


def place(
    pictures: Sequence[Path], *, given: Iterable[Path], target: Path, suffix: str | None = None
) -> dict[Path, Path]:
    """Where in the folder `target` a file belongs that is made of each picture.

    It keeps the picture's name and its sub-folders below the deepest folder that all pictures have
    in common.

    Args:
        pictures: what `find_pictures` made of `given`.
        given: files and folders.
        target: the folder for the files.
        suffix: takes the place of the picture's own, such as ".txt".

    Raises:
        ValueError: a file would take the place of one of the pictures, or of another file.
    """
    tops = [path if path.is_dir() else path.parent for path in map(_plain, given)]
    root = os.path.commonpath(tops) if tops else ""
    originals = {os.path.realpath(picture): picture for picture in pictures}
    places: dict[Path, Path] = {}
    owners: dict[Path, Path] = {}
    for picture in pictures:
        made = target / _plain(picture).relative_to(root)
        made = made if suffix is None else made.with_suffix(suffix)
        if overwritten := originals.get(os.path.realpath(made)):
            raise ValueError(f"{target}: would overwrite {overwritten}")
        if (owner := owners.setdefault(made, picture)) is not picture:
            raise ValueError(
                f"{picture}: what is made of it would overwrite what is made of {owner}; "
                "rename one of the two, or name them in two calls"
            )
        places[picture] = made
    return places


def _plain(path: Path) -> Path:
    """Absolute and without "..": two such paths begin alike when they share a folder."""
    return Path(os.path.normpath(path.absolute()))
