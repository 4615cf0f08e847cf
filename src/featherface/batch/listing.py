"""What an input holds: pictures, Parquet files of pictures, or tars of pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from featherface.batch.places import Place, from_bytes, place_of
from featherface.image import SUFFIXES

Kind = Literal["pictures", "parquet", "tar"]

LISTS = (".txt", ".lst")
"""Endings of files that list others, one path or URI a line."""

SHARDS: dict[str, Kind] = {".parquet": "parquet", ".tar": "tar"}
"""Endings of files that hold many pictures."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of an input, in the order in which they are done.

    Attributes:
        kind: what they are.
        names: below the input's folder, or paths and URIs by themselves if it is a list.
        is_list: they stand for themselves.
    """

    kind: Kind
    names: list[str]
    is_list: bool = False


def look_up(source: Place) -> Listing:
    """Finds the files of an input.

    A folder stands for all pictures, or all Parquet files, or all tars in it and its sub-folders,
    sorted by name; hidden ones are left out. A list's lines are taken as they are, in their order,
    and each once. Any other file is an input of one file.

    Raises:
        ValueError: there is nothing there, or files of several kinds.
        OSError: it cannot be reached.
    """
    if source.is_folder():
        names = [
            name for name in source.names(is_deep=True) if _suffix(name) in (*SUFFIXES, *SHARDS)
        ]
        return Listing(_kind(source, names), names)
    if not source.is_file():
        raise ValueError(f"{source.shown}: no such file or folder")
    if _suffix(source.path) in LISTS:
        lines = source.read().splitlines()
        names = list(dict.fromkeys(from_bytes(line) for line in lines if line.strip()))
        return Listing(_kind(source, names), names, is_list=True)
    name = source.path.rpartition("/")[2]
    return Listing(_kind(source, [name]), [name])


def top_of(source: Place, listing: Listing) -> Place:
    """What the names of a listing lie below; for a list, the folder that one stands in."""
    if listing.is_list:
        return place_of(".")
    if source.is_folder():
        return source
    path, shown = (each.rpartition("/")[0] for each in (source.path, source.shown))
    return Place(source.files, path, shown)


def locate(name: str, top: Place, *, is_list: bool) -> Place:
    """Where a file of a listing is."""
    if is_list:
        given = place_of(name)
        is_relative = given.is_local and "://" not in name and not name.startswith("/")
        return Place(top.files, f"{top.path}/{name}", name) if is_relative else given
    return top / name if top.shown else Place(top.files, f"{top.path}/{name}", name)


def _kind(source: Place, names: list[str]) -> Kind:
    kinds: Counter[Kind] = Counter(SHARDS.get(_suffix(name), "pictures") for name in names)
    if not kinds:
        wanted = ", ".join((*SUFFIXES, *SHARDS))
        raise ValueError(f"{source.shown}: nothing to look at there, wanted files of {wanted}")
    if len(kinds) > 1:
        found = " and ".join(f"{count} of {kind}" for kind, count in kinds.most_common())
        raise ValueError(f"{source.shown}: has files of several kinds ({found}), wanted one kind")
    return next(iter(kinds))


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
