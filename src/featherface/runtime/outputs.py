"""Where the outputs of a run go: checked before the first picture is looked at."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from featherface.runtime.folder import place
from featherface.runtime.formats import FILES, STREAMS
from featherface.runtime.journal import place_of
from featherface.runtime.work import Task

STDOUT = Path("-")
SUFFIXES = {".json": "json", ".jsonl": "jsonl", ".csv": "csv"}
"""Names of files that say their format."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is made of the pictures.

    Attributes:
        format: a key of `formats.STREAMS` or `formats.FILES`, or "" for lines for people.
        stream: the file for a format that is one; None for stdout.
        labels: the folder for a format that is a file a picture.
        drawings: the folder for copies with boxes.
        crops: the folder for faces.
    """

    format: str = ""
    stream: Path | None = None
    labels: Path | None = None
    drawings: Path | None = None
    crops: Path | None = None

    @classmethod
    def of(
        cls, format: str | None, output: Path | None, *, draw: Path | None, crop: Path | None
    ) -> Outputs:
        """What the options of a command line stand for.

        Raises:
            ValueError: the format cannot be told, or does not go with the output.
        """
        path = None if output == STDOUT else output
        if format is None and output:
            format = SUFFIXES.get(output.suffix.lower())
            if format is None:
                formats = ", ".join([*STREAMS, *FILES])
                raise ValueError(f"{output}: of which format? add --format with one of: {formats}")
        if draw and crop and os.path.realpath(draw) == os.path.realpath(crop):
            raise ValueError(f"{draw}: crops would mix with drawings there, name two folders")
        if format in FILES:
            if path is None:
                raise ValueError(f"{format} is a file for each picture, wanted --output FOLDER")
            return cls(format, labels=path, drawings=draw, crops=crop)
        if path and path.is_dir():
            raise ValueError(f"{path}: is a folder, and {format} is one file; name a file")
        return cls(format or "", stream=path, drawings=draw, crops=crop)

    @property
    def folders(self) -> list[Path]:
        """Folders that are written to."""
        return [path for path in (self.labels, self.drawings, self.crops) if path]

    @property
    def journal(self) -> Path | None:
        """Where the journal lies; None if nothing is made that a later run could go on with."""
        if self.stream and (self.stream.is_file() or not self.stream.exists()):
            return place_of(self.stream, is_folder=False)
        return place_of(self.folders[0], is_folder=True) if self.folders else None

    def prepare(self) -> None:
        """Makes the folders.

        Raises:
            ValueError: one cannot be made or written to.
        """
        for folder in self.folders:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise ValueError(f"{folder}: a file is in the way, wanted a folder") from error
            except OSError as error:
                raise ValueError(f"{folder}: cannot be made ({error.strerror})") from error
        if self.stream and not self.stream.parent.is_dir():
            raise ValueError(f"{self.stream}: there is no such folder to write it to")
        for folder in [*self.folders, *([self.stream.parent] if self.stream else [])]:
            if not os.access(folder, os.W_OK):
                raise ValueError(f"{folder}: may not be written to, name another folder")

    def check_apart(self, given: Iterable[Path]) -> None:
        """Makes sure that new pictures do not mix with those that are searched for faces.

        Raises:
            ValueError: a folder for drawings or crops lies in a folder that is searched, and has
                something in it already.
        """
        searched = [os.path.realpath(path) for path in given if path.is_dir()]
        for folder in (self.drawings, self.crops):
            if folder and any(folder.iterdir()):
                real = os.path.realpath(folder)
                for top in searched:
                    if os.path.commonpath([top, real]) == top:
                        raise ValueError(
                            f"{folder}: is not empty, and lies in {top}, which is searched for "
                            "pictures; empty it, or name another folder"
                        )

    def tasks(self, pictures: Sequence[Path], given: Sequence[Path]) -> list[Task]:
        """What is to be done, picture by picture.

        Args:
            pictures: what `find_pictures` made of `given`.
            given: files and folders.

        Raises:
            ValueError: something would overwrite a picture, or something else that is made.
        """
        wanted = ((self.drawings, None), (self.crops, ""), (self.labels, ".txt"))
        drawings, crops, labels = (
            place(pictures, given=given, target=folder, suffix=suffix) if folder else {}
            for folder, suffix in wanted
        )
        if self.stream and os.path.realpath(self.stream) in map(os.path.realpath, pictures):
            raise ValueError(f"{self.stream}: would overwrite one of the pictures")
        theirs = {os.path.realpath(folder) for folder in {path.parent for path in pictures}}
        for folder in {crop.parent for crop in crops.values()}:
            if os.path.realpath(folder) in theirs:
                raise ValueError(f"{folder}: crops would mix with pictures there, name another one")
        return [
            Task(picture, drawings.get(picture), crops.get(picture), labels.get(picture))
            for picture in pictures
        ]

    def sweep(self, task: Task | None, process: int) -> None:
        """Deletes the drafts that a killed process has left.

        Args:
            task: what it was at; None if it had done them all.
            process: its number, which ends the names of drafts.
        """
        made = [path for path in (*(task or ())[1:], self.stream) if path]
        for folder in {path.parent for path in made}:
            for draft in folder.glob(f".*.{process}"):
                draft.unlink()
