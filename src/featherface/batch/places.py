"""Files and folders anywhere: local, or wherever a URI leads that pyarrow or fsspec can open.

Local names need not be text: as everywhere in Python, bytes that are no UTF-8 are surrogates.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from pyarrow import ArrowInvalid, fs

from featherface.files import write_atomically

FOLDERLESS = ("s3", "gcs", "abfs")  # pyarrow's names of stores whose keys need no folders

SMALL_AT_ONCE = "allow_delayed_open=true"
"""Makes pyarrow put small objects to S3 in one request instead of three."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file or a folder, which need not be there.

    Attributes:
        files: the file system it is on.
        path: its name there.
        shown: its name for people and rows: no passwords, no options.
    """

    files: fs.FileSystem
    path: str
    shown: str

    @property
    def is_local(self) -> bool:
        """Python opens local files itself, since their names need not be text."""
        return isinstance(self.files, fs.LocalFileSystem)

    def __truediv__(self, name: str) -> Place:
        """What has this name in this folder."""
        joined = (f"{each.rstrip('/')}/{name}" for each in (self.path, self.shown))
        return Place(self.files, *joined)

    def is_folder(self) -> bool:
        """Whether there is such a folder."""
        if self.is_local:
            return Path(self.path).is_dir()
        return bool(self.files.get_file_info(self.path).type == fs.FileType.Directory)

    def is_file(self) -> bool:
        """Whether there is such a file."""
        if self.is_local:
            return Path(self.path).is_file()
        return bool(self.files.get_file_info(self.path).type == fs.FileType.File)

    def open(self) -> IO[bytes]:
        """The file, to be read from any position.

        Raises:
            OSError: it is not there, or cannot be reached.
        """
        if self.is_local:
            return Path(self.path).open("rb")
        file: IO[bytes] = self.files.open_input_file(self.path)
        return file

    def read(self) -> bytes:
        """All that is in the file.

        Raises:
            OSError: as `open`.
        """
        with self.open() as file:
            return file.read()

    def write(self, content: bytes) -> None:
        """Puts the file there, whole or not at all.

        Raises:
            OSError: it cannot be written; then the old one, or none, is there.
        """
        if self.is_local:
            write_atomically(Path(self.path), content)
            return
        # An object appears when it is closed. So it is not closed after an error: there is no
        # `with` here, which would make half of the content an object.
        stream = self.files.open_output_stream(self.path)
        stream.write(content)
        stream.close()

    def delete(self) -> None:
        """Takes the file away, if it is there."""
        with suppress(FileNotFoundError):
            self.files.delete_file(self.path)

    def sweep(self) -> None:
        """Deletes the drafts that killed processes have left in this folder, if it is local."""
        if self.is_local:
            for draft in Path(self.path).glob(".*.*"):
                if draft.suffix[1:].isdecimal():
                    draft.unlink()

    def make_folder(self) -> None:
        """Makes the folder, where folders have to be made.

        Raises:
            OSError: it cannot be made.
        """
        if self.files.type_name not in FOLDERLESS:
            self.files.create_dir(self.path, recursive=True)

    def names(self, *, is_deep: bool = False) -> list[str]:
        """The files in the folder, sorted, without hidden ones.

        Args:
            is_deep: those in sub-folders too, as `sub/name`; links to folders are not followed.
        """
        if self.is_local:
            return sorted(_local_names(self.path, is_deep=is_deep))
        selector = fs.FileSelector(self.path, allow_not_found=True, recursive=is_deep)
        top = self.path.rstrip("/") + "/"
        found = (
            info.path.removeprefix(top)
            for info in self.files.get_file_info(selector)
            if info.type == fs.FileType.File
        )
        return sorted(name for name in found if not _is_hidden(name))


def place_of(name: str) -> Place:
    """The place that a path or a URI stands for.

    A local path becomes absolute, so that it means the same in every process. A URI that pyarrow
    knows (`s3://bucket/folder`, `gs://`, `hdfs://`; options after a "?") is opened by pyarrow, any
    other by fsspec, if a package for it is installed.

    Raises:
        ValueError: a URI that nobody can open.
    """
    if name.startswith("file://"):
        name = name.removeprefix("file://")
    if "://" not in name:
        return Place(fs.LocalFileSystem(), str(Path(name).absolute()), name)
    scheme, _, rest = name.partition("://")
    rest, _, options = rest.partition("?")
    host, _, path = rest.partition("/")
    shown = f"{scheme}://{host.rpartition('@')[2]}/{path}"
    try:
        files, root = _open(scheme, host, options)
    except ArrowInvalid:
        return Place(*_by_fsspec(f"{scheme}://{rest}"), shown)
    return Place(files, f"{root}/{path}".strip("/") if root else f"/{path}", shown)


@lru_cache(maxsize=64)
def _open(scheme: str, host: str, options: str) -> tuple[fs.FileSystem, str]:
    """The file system, and what paths there begin with; opened once in a process."""
    if scheme == "s3":
        options = "&".join(filter(None, (options, SMALL_AT_ONCE)))
    uri = f"{scheme}://{host}" + (f"?{options}" if options else "")
    files, root = fs.FileSystem.from_uri(uri)
    return files, root.strip("/")


def _by_fsspec(uri: str) -> tuple[fs.FileSystem, str]:
    from fsspec.core import url_to_fs  # here, since most never need it

    try:
        files, path = url_to_fs(uri)
    except (ImportError, ValueError) as error:
        known = urlsplit(uri).scheme
        raise ValueError(f"{known}://: neither pyarrow nor fsspec opens it ({error})") from error
    return fs.PyFileSystem(fs.FSSpecHandler(files)), path


def _local_names(top: str, *, is_deep: bool) -> list[str]:
    found: list[str] = []
    for here, folders, names in os.walk(top):
        folders[:] = [name for name in folders if is_deep and not name.startswith(".")]
        inner = os.path.relpath(here, top).replace(os.sep, "/")
        start = "" if inner == "." else f"{inner}/"
        found += (start + name for name in names if not name.startswith("."))
    return found


def _is_hidden(name: str) -> bool:
    return any(step.startswith(".") for step in name.split("/"))


def as_text(name: str) -> str:
    r"""A name as rows can hold it: what is no UTF-8 becomes `\udc..`."""
    return name.encode("utf-8", "backslashreplace").decode()


def as_bytes(name: str) -> bytes:
    """A name so that `from_bytes` gives it back, whatever it holds."""
    return name.encode("utf-8", "surrogateescape")


def from_bytes(name: bytes) -> str:
    """The inverse of `as_bytes`."""
    return name.decode("utf-8", "surrogateescape")
