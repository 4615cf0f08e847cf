"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write to; what was written there takes the place of `path` at the end.

    A reader never sees half a file, and after an error the old file is still there. Something
    that is no ordinary file, such as a pipe or /dev/stdout, is written to directly.

    Raises:
        OSError: the folder does not exist or may not be written to.
    """
    path = path.resolve()  # a link stays a link
    if path.exists() and not path.is_file():
        yield path
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no such folder to write it to")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Puts `content` in the place of the file `path` in one step.

    Raises:
        OSError: as `replacing`.
    """
    with replacing(path) as draft:
        draft.write_bytes(content)
