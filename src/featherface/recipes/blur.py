"""`featherface blur`: pictures, folders and videos in which no face can be recognised."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from featherface.image import SUFFIXES, opened
from featherface.runtime.clean import clean
from featherface.runtime.detector import Detector
from featherface.runtime.folder import place, within
from featherface.runtime.hide import Cover, How, Shape
from featherface.runtime.progress import Progress, one_line

FAILED = 1  # exit status: some files could not be done, and are not there
UNSURE = 3  # exit status: all files are there, and some are doubtful

SCORE = 0.2
"""Far below that for finding: a blurred wall does less harm than a face left clear."""

MOST_DOUBTS = 20  # lines a video

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".flv"),
        *(".ts", ".mts", ".m2ts", ".3gp", ".ogv"),
    }
)
"""File name endings of videos."""


def main(
    paths: list[Path],
    /,
    *,
    how: How = "gaussian",
    shape: Shape = "ellipse",
    margin: float = 0.2,
    score: float = SCORE,
    size: Annotated[Literal["original"] | int, Parameter(show_choices=False)] = "original",
    weights: str | None = None,
    threads: int = 1,
    keep_metadata: bool = False,
    overwrite: bool = False,
) -> int:
    """Make the faces in pictures and videos unrecognisable: featherface blur IN... OUT.

    In a video each face is followed, and covered also where it is missed for a while. Sound is
    kept as it is. Metadata, such as the place where a picture was taken, are left out.

    A file is written whole or not at all. The exit status is 0 when all is done, 1 when a file
    could not be done, and 3 when all are done but somebody should look at a place that is named.
    No face found is no proof that nobody is there.

    Args:
        paths: Pictures, videos and folders of them, and at last the new file or folder.
        how: gaussian, pixelate, or solid, which alone leaves nothing of a face.
        shape: ellipse or box.
        margin: What is added to a face's box on each side, as a share of that side.
        score: Cover faces that score more than this, 0 to 1; less covers more.
        size: "original", or the pixels that the longer side of each picture is scaled to when
            faces are looked for; the result has its full size always.
        weights: Name of weights that come with featherface, or an .onnx file of your own.
        threads: Processor threads that share the work on a picture.
        keep_metadata: Keep EXIF data, the position too, and what a video says about itself.
        overwrite: Replace files that are there already.
    """
    if len(paths) < 2:
        raise ValueError("wanted what to blur, and where to put it: featherface blur IN... OUT")
    cover = Cover(how=how, shape=shape, margin=margin)
    targets = _targets(paths[:-1], paths[-1], may_overwrite=overwrite)
    detector = Detector(weights, score=score, size=size, threads=threads)
    bar = Progress(len(targets), unit="files")
    failed = unsure = 0
    for done, (path, target) in enumerate(targets.items()):
        bar.show(done)
        try:
            do = _do_video if _is_video(path) else _do_picture
            target.parent.mkdir(parents=True, exist_ok=True)
            told, doubts = do(path, target, detector, cover=cover, keep_metadata=keep_metadata)
        except (ValueError, OSError) as error:
            bar.clear()
            failed += 1
            print(f"featherface: {one_line(str(error))}", file=sys.stderr)
            continue
        bar.clear()
        print(f"{one_line(str(path))} -> {one_line(str(target))}: {told}")
        for doubt in doubts:
            print(f"featherface: {one_line(str(path))}: unsure: {doubt}", file=sys.stderr)
        unsure += bool(doubts)
    if len(targets) > 1:
        sure = len(targets) - failed - unsure
        print(f"{len(targets)} files: {sure} done, {unsure} done but unsure, {failed} failed")
    return FAILED if failed else UNSURE if unsure else 0


def _do_picture(
    path: Path, target: Path, detector: Detector, *, cover: Cover, keep_metadata: bool
) -> tuple[str, list[str]]:
    """What was done, and what is doubtful about it."""
    count = clean(path, target, detector.detect, cover=cover, keep_metadata=keep_metadata)
    with opened(path) as image:
        frames = getattr(image, "n_frames", 1) if image.format in ("GIF", "WEBP", "PNG") else 1
    doubts = [f"only the first of its {frames} pictures is kept"] if frames > 1 else []
    if count == 0:
        return "no face found", doubts
    return f"{count} face{'s' * (count != 1)} covered", doubts


def _do_video(
    path: Path, target: Path, detector: Detector, *, cover: Cover, keep_metadata: bool
) -> tuple[str, list[str]]:
    """As `_do_picture`."""
    from featherface.runtime.anonymise import anonymise  # here, since PyAV is an extra

    bars: list[Progress] = []

    def tell(done: int, total: int) -> None:
        if not bars:
            bars.append(Progress(total, unit="steps"))
        bars[0].show(done)

    try:
        report = anonymise(
            path, target, detector.detect, cover=cover, keep_metadata=keep_metadata, tell=tell
        )
    finally:
        for bar in bars:
            bar.clear()
    doubts = [f"{_clock(start)} to {_clock(end)}: {why}" for start, end, why in report.doubts]
    if (more := len(doubts) - MOST_DOUBTS) > 0:
        doubts[MOST_DOUBTS:] = [f"and {more} more places"]
    told = (
        f"{report.frames} frames, faces covered in {report.covered}, "
        f"{report.tracked} of them resting on tracking alone, {report.cuts} scene cuts"
    )
    return told if report.covered else f"{report.frames} frames, no face found", doubts


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}:{rest:04.1f}"


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _targets(given: list[Path], out: Path, *, may_overwrite: bool) -> dict[Path, Path]:
    """Where what becomes of each file belongs.

    `out` is a file if one file is given and `out` looks like one, else a folder.

    Raises:
        ValueError: a file would be overwritten, or two would share a place.
    """
    is_file = len(given) == 1 and not given[0].is_dir() and out.suffix and not out.is_dir()
    if is_file:
        targets = {given[0]: out}
        if out.resolve() == given[0].resolve():
            raise ValueError(f"{out}: would overwrite {given[0]}")
        if not _is_video(given[0]) and out.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{out}: pictures are written as {', '.join(SUFFIXES)}")
    else:
        if out.is_file():
            raise ValueError(f"{out}: is a file, wanted a folder for what becomes of many")
        places = place(_find(given), given=given, target=out)
        targets = {path: _writable(target) for path, target in places.items()}
    _check_free(targets.values(), may_overwrite=may_overwrite)
    return targets


def _find(given: Iterable[Path]) -> list[Path]:
    """The pictures and videos that paths stand for, each once; hidden ones are left out.

    Raises:
        ValueError: a folder has none.
    """
    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            found.append(path)
            continue
        inside = within(path, suffixes=VIDEO_SUFFIXES | SUFFIXES.keys())
        if not inside:
            raise ValueError(f"{path}: no pictures and no videos in this folder")
        found += inside
    return list(dict.fromkeys(found))


def _writable(target: Path) -> Path:
    """Its name, with another ending after it where nothing is written that ends as it does."""
    if _is_video(target):
        from featherface.runtime.video_out import FORMATS as WRITABLE

        return (
            target if target.suffix.lower() in WRITABLE else target.with_name(f"{target.name}.mp4")
        )
    return target if target.suffix.lower() in SUFFIXES else target.with_name(f"{target.name}.png")


def _check_free(targets: Iterable[Path], *, may_overwrite: bool) -> None:
    taken: set[Path] = set()
    for target in targets:
        if target in taken:
            raise ValueError(f"{target}: two files would get this name")
        if target.is_file() and not may_overwrite:
            raise ValueError(f"{target}: is there already; to replace it: --overwrite")
        taken.add(target)
