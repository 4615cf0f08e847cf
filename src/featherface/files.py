"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of writing, which the system reports without the name of the file."""

LONGEST = 200
"""Bytes of a name that leave room for what a draft's name has in addition."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write to; what was written there takes the place of `path` at the end.

    A reader never sees half a file, and after an error the old file is still there. Something
    that is no ordinary file, such as a pipe or /dev/stdout, is written to directly.

    Raises:
        OSError: the folder does not exist or may not be written to, or the disk is full.
    """
    path = path.resolve()  # a link stays a link
    if path.exists() and not path.is_file():
        yield path
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no such folder to write it to")
    name = os.fsencode(path.name)
    short = path.name if len(name) <= LONGEST else hashlib.sha256(name).hexdigest()
    draft = path.with_name(f".{short}.{os.getpid()}")
    try:
        with naming(path):
            yield draft
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Lets an error of a full disk tell which file did not fit."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = str(path)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Puts `content` in the place of the file `path` in one step.

    Raises:
        OSError: as `replacing`.
    """
    with replacing(path) as draft:
        draft.write_bytes(content)
