"""The journal of a run: what is done already, so that the same command goes on after a kill.

One JSON object a line: first whose run it is, then a picture each, written once all that is made
of the picture is in place. It lies beside the output under the name of `place_of`, and is deleted
when the run is complete. A picture that has changed since, or is not among those asked for any
more, does not count as done; a run with other settings begins anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Any

from featherface.files import naming
from featherface.runtime.record import Record

try:
    import fcntl
except ImportError:  # on Windows nobody stops a second run of the same command
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".unfinished"
NAME = f"featherface{SUFFIX}"
"""Of the journal inside a folder of outputs."""

Stamp = list[int] | None  # bytes and time of the last change of a picture; None if it is not there


def place_of(output: Path, *, is_folder: bool) -> Path:
    """Where the journal of a run lies that makes this file, or files in this folder."""
    return output / NAME if is_folder else output.with_name(output.name + SUFFIX)


class Journal:
    """An open journal.

    Attributes:
        is_resumed: it goes on with an earlier run of the same settings.
        killed: the process that was the last to write to it.
    """

    is_resumed: bool
    killed: int | None

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Opens or begins the journal.

        Args:
            path: from `place_of`.
            settings: all that decides what a run makes; anything that JSON can hold.

        Raises:
            OSError: it cannot be written, or another process is writing to it.
        """
        self._path = path
        try:
            self._file: IO[bytes] = path.open("a+b")
        except PermissionError as error:
            raise PermissionError(f"{path}: may not be written to, name another folder") from error
        self._lock()
        self._places: dict[str, tuple[int, Stamp]] = {}
        self.killed = None
        self.is_resumed = self._read(settings)
        if not self.is_resumed:
            self._places.clear()
            self._file.truncate(0)
        self._write({"settings": settings, "process": os.getpid()})

    def _lock(self) -> None:
        try:
            if fcntl:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise BlockingIOError(f"{self._path}: another run is writing to it") from None

    def _read(self, settings: dict[str, Any]) -> bool:
        """Takes in what is there; whether it is of a run with these settings."""
        is_same = False
        self._file.seek(0)
        place = 0
        for line in iter(self._file.readline, b""):
            if not line.endswith(b"\n"):  # the kill came in the middle of it
                break
            facts = _parse(line)
            if "settings" in facts:
                process = facts.get("process")  # a name of files will end with it
                self.killed = process if isinstance(process, int) else None
                is_same = facts["settings"] == settings
            elif isinstance(facts.get("path"), str):
                self._places[facts["path"]] = (place, facts.get("stamp"))
            place = self._file.tell()
        self._file.truncate(place)
        return is_same

    def _write(self, facts: dict[str, Any]) -> int:
        """Adds a line, and tells where it begins."""
        place = self._file.seek(0, os.SEEK_END)
        with naming(self._path):
            self._file.write(json.dumps(facts).encode() + b"\n")
            self._file.flush()
        return place

    def add(self, record: Record) -> None:
        """Notes a picture as done."""
        stamp = _stamp(record.path)
        place = self._write({**record.to_dict(), "stamp": stamp})
        self._places[str(record.path)] = (place, stamp)

    def is_done(self, picture: Path) -> bool:
        """Whether a picture was done, and is still what it was then."""
        known = self._places.get(str(picture))
        return known is not None and known[1] == _stamp(picture)

    def read(self, picture: Path) -> Record:
        """What came out for a picture that is done.

        Raises:
            ValueError: somebody has changed the journal.
        """
        self._file.seek(self._places[str(picture)][0])
        try:
            return Record.from_dict(json.loads(self._file.readline()))
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{self._path}: is damaged, delete it to begin anew") from error

    def close(self) -> None:
        """Leaves the journal to the next run of the same command."""
        with naming(self._path):
            self._file.close()

    def finish(self) -> None:
        """Deletes the journal: everything is done."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def _parse(line: bytes) -> dict[str, Any]:
    """Nothing for a line that is none of ours."""
    try:
        facts = json.loads(line)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]
