"""`featherface label`: photographs without labels in, labels to train on out."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from featherface.data.agreement import DOUBTFUL, agree
from featherface.data.label_text import label_entry
from featherface.image import fit
from featherface.metadata import ModelError
from featherface.runtime.detector import Detector
from featherface.runtime.folder import find_pictures
from featherface.runtime.progress import Progress, one_line
from featherface.runtime.scrfd import Scrfd
from featherface.types import Detections

FAILED = 1  # exit status: some pictures could not be read


def main(
    folder: Path,
    /,
    *,
    teacher: list[Path],
    output: Path | None = None,
    size: Annotated[Literal["original"] | int, Parameter(show_choices=False)] = "original",
    threads: int = 1,
) -> int:
    """Write labels for photographs from what one or two detectors find in them.

    Where two detectors agree there is a face, and where only one sees something there is an ignore
    region, from which training learns nothing. With one detector the unsure places are ignored.
    A run that was stopped goes on when the command is given again. A picture that cannot be read is
    named and left out, and the exit status is 1.

    Args:
        folder: Folder that is searched for pictures with all its sub-folders.
        teacher: An .onnx file that `featherface export` made, or SCRFD's. Give it twice for two.
        output: The labels file; by default labels.txt in the folder. Names in it are relative to
            where it lies.
        size: "original", or the pixels that the longer side of each picture is scaled to.
        threads: Processor threads that share the work on a picture.

    Raises:
        ValueError: no pictures, or not one or two teachers.
        ModelError: a teacher is neither kind of graph.
    """
    if len(teacher) not in (1, 2):
        raise ValueError(f"--teacher: wanted one or two, not {len(teacher)}")
    pictures = find_pictures([folder])
    if pictures == [folder]:
        raise ValueError(f"{folder}: no pictures in this folder")
    output = output or folder / "labels.txt"
    finders = [_open(path, size, threads) for path in teacher]
    draft = output.with_name(f".{output.name}.{_fingerprint(teacher, size)}.part")
    done = _entries(draft)
    draft.write_text("".join(done.values()), "utf-8")
    bar = Progress(len(pictures), unit="pictures")
    broken = 0
    with draft.open("a", encoding="utf-8") as file:
        for number, path in enumerate(pictures):
            bar.show(number)
            try:
                header = label_entry(agree(path, [Detections.empty()]), output.parent, **KIND)
                if header in done:
                    continue
                labels = agree(path, [find(path) for find in finders])
                file.write(label_entry(labels, output.parent, **KIND))
                file.flush()
            except ValueError as error:  # unreadable, or of a name that no label file can hold
                broken += 1
                bar.clear()
                print(f"featherface: {one_line(str(error))}", file=sys.stderr)
    bar.clear()
    _check_not_empty(draft, folder)
    draft.replace(output)
    print(f"{output}: {len(pictures) - broken} pictures")
    return FAILED if broken else 0


KIND = {"human": False, "soft": False}
"""Boxes are made by machine, and are faces or regions to ignore."""


def _open(
    path: Path, size: int | Literal["original"], threads: int
) -> Callable[[Path], Detections]:
    """What finds the faces of a picture by the graph in a file."""
    try:
        return Detector(path, score=DOUBTFUL, size=size, threads=threads).detect
    except ModelError as ours:
        if not path.is_file():
            raise
        try:
            foreign = Scrfd(path, threads=threads)
        except ModelError as theirs:
            raise ModelError(f"{path}: cannot teach ({ours}; {theirs})") from theirs

    def find(picture: Path) -> Detections:
        long_side = max(foreign.size) if foreign.size else None if size == "original" else size
        return foreign.find([fit(picture, long_side=long_side)], score=DOUBTFUL)[0]

    return find


def _fingerprint(teachers: Sequence[Path], size: int | str) -> str:
    """Changes with the answers: another teacher never goes on with this one's labels."""
    digest = hashlib.sha256(str(size).encode())
    for path in teachers:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _entries(draft: Path) -> dict[str, str]:
    """Pictures of a run that was stopped, by their first lines; the last may be cut off."""
    if not draft.exists():
        return {}
    entries = draft.read_text("utf-8").split("\n# ")[:-1]
    texts = [("" if number == 0 else "# ") + entry + "\n" for number, entry in enumerate(entries)]
    return {text.partition("\n")[0] + "\n": text for text in texts}


def _check_not_empty(draft: Path, folder: Path) -> None:
    if not draft.stat().st_size:
        draft.unlink()
        raise ValueError(f"{folder}: none of its pictures can be read")
