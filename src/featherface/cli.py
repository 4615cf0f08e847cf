"""The command `featherface`.

`detect` is here; the commands of the workshop are named by strings and imported when they are
called, so that --help and `detect` never wait for torch, nor need it.
"""

from __future__ import annotations

import json as jsonlib
import os
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Annotated, Any, Literal, NamedTuple

from cyclopts import App, CycloptsError, Parameter

from featherface import Detector, ImageError, __version__
from featherface.files import replacing
from featherface.image import SUFFIXES
from featherface.runtime.draw import draw as draw_faces
from featherface.runtime.draw import save
from featherface.runtime.folder import find_pictures, place
from featherface.runtime.progress import Progress

FAILED = 1  # exit status: some pictures could not be read
MISUSED = 2  # exit status: nothing could be done as it was asked


class Command(NamedTuple):
    """A command that is imported only when it is called."""

    name: str
    target: str
    extra: str  # what has to be installed for it: featherface[extra]
    help: str


RECIPES = "featherface.recipes"
COMMANDS = (
    Command("train", f"{RECIPES}.train:main", "train", "Train a network on labelled pictures."),
    Command(
        "calibrate", f"{RECIPES}.calibrate:main", "train,evaluate", "Make scores probabilities."
    ),
    Command("distill", f"{RECIPES}.distill:main", "train", "Train a network to follow a teacher."),
    Command("export", f"{RECIPES}.export:main", "export", "Turn a trained network into .onnx."),
    Command("evaluate", f"{RECIPES}.evaluate:main", "evaluate", "Measure a network's accuracy."),
    Command("info", f"{RECIPES}.info:main", "train", "Count a network's parameters and work."),
    Command("video", f"{RECIPES}.video:main", "video", "Find the faces in a video or a camera."),
    Command("blur", f"{RECIPES}.blur:main", "video", "Make faces unrecognisable."),
)
NAMES = ("detect", *(command.name for command in COMMANDS))

app = App(
    name="featherface",
    help="Find faces in pictures with a very small network, or make such a network yourself.",
    version=__version__,
    help_format="markdown",
)
for command in COMMANDS:
    app.command(command.target, name=command.name, help=command.help)


def _no_option(_: Any, path: Path | None) -> None:
    """Since --json takes "-", it would take the next option for a file as well."""
    if path and str(path).startswith("--"):
        raise ValueError('wanted a file, or "-"')


@app.command
def detect(
    paths: list[Path],
    /,
    *,
    weights: str | None = None,
    score: float = 0.5,
    size: Annotated[Literal["original"] | int, Parameter(show_choices=False)] = "original",
    json: Annotated[Path | None, Parameter(allow_leading_hyphen=True, validator=_no_option)] = None,
    draw: Path | None = None,
    threads: int = 1,
) -> int:
    """Find the faces in pictures.

    Prints a line for each picture, or JSON with --json. A picture that cannot be read is named on
    stderr, the others still come out, and the exit status is 1.

    Args:
        paths: Pictures, and folders, which are searched for pictures with all their sub-folders.
        weights: Name of weights that come with featherface, or an .onnx file of your own.
        score: Report faces that score more than this, 0 to 1.
        size: "original", or the pixels that the longer side of each picture is scaled to. The
            original size finds the smallest faces, and takes longest on large pictures.
        json: Write one JSON object a picture and line to this file, or to stdout for "-".
        draw: Put copies of the pictures with boxes and landmarks into this folder.
        threads: Processor threads that share the work on a picture.
    """
    pictures = find_pictures(paths)
    try:
        detector = Detector(weights, score=score, size=size, threads=threads)
        places = place(pictures, given=paths, target=draw) if draw else {}
    except ValueError as error:
        return _fail(error)
    bar = Progress(len(pictures), unit="pictures")
    broken = 0
    with ExitStack() as stack:
        output = _open_json(json, stack)
        for done, path in enumerate(pictures):
            bar.show(done)
            started = time.perf_counter()
            record = _examine(detector, path, copy=places.get(path))
            seconds = time.perf_counter() - started
            bar.clear()
            if "error" in record:
                broken += 1
                print(f"featherface: {record['error']}", file=sys.stderr)
            if output:
                print(jsonlib.dumps(record), file=output, flush=True)
            elif "faces" in record:
                count = len(record["faces"])
                print(f"{path}: {count} face{'s' * (count != 1)}, {1000 * seconds:.0f} ms")
    return FAILED if broken else 0


def _open_json(path: Path | None, stack: ExitStack) -> IO[str] | None:
    """Where the JSON lines go; a file is complete, or not there at all."""
    if path is None:
        return None
    if path == Path("-"):
        return sys.stdout
    return stack.enter_context(stack.enter_context(replacing(path)).open("w", encoding="utf-8"))


def _examine(detector: Detector, path: Path, *, copy: Path | None) -> dict[str, Any]:
    """What is to be told about one picture, ready for JSON."""
    try:
        if path.is_dir():
            raise ImageError(f"{path}: no pictures in this folder ({', '.join(SUFFIXES)})")
        picture = detector.fit(path)
        faces = detector.find([picture])[0]
        if copy:
            save(draw_faces(path, faces), copy)
    except ImageError as error:
        return {"path": str(path), "error": str(error)}
    height, width = picture.fit.size
    return {"path": str(path), "width": width, "height": height, "faces": faces.to_list()}


def main(tokens: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process with its exit status.

    Args:
        tokens: what stands after `featherface`; None for the arguments of the process.
    """
    tokens = sys.argv[1:] if tokens is None else tokens
    warnings.filterwarnings("ignore", module="PIL")  # what matters about a picture becomes an error
    if isinstance(sys.stdout, TextIOWrapper):  # file names may hold what the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    if tokens and not tokens[0].startswith("-") and tokens[0] not in NAMES:
        # Cyclopts would import every command, and torch with them, to suggest one.
        sys.exit(_fail(f"no command {tokens[0]!r}, there are: {', '.join(NAMES)}"))
    try:
        status = app(tokens, exit_on_error=False, result_action="return_value")
    except CycloptsError:  # is printed already
        status = MISUSED
    except ImportError as error:
        status = _fail(_missing_extra(tokens[0], error))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILED
    except (OSError, ValueError) as error:  # all errors of ours about input are ValueErrors
        status = _fail(error)
    sys.exit(status or 0)


def _missing_extra(name: str, error: ImportError) -> str:
    """What to install for a command that cannot be imported.

    Raises:
        ImportError: `error` itself, when it is not a package that is missing.
    """
    cause = error.__cause__ or error  # a command's own import comes wrapped
    extras = {command.name: command.extra for command in COMMANDS}
    package = cause.name if isinstance(cause, ModuleNotFoundError) and cause.name else "featherface"
    if package.partition(".")[0] == "featherface" or name not in extras:
        raise error
    return f'{name} needs {package}, please: pip install "featherface[{extras[name]}]"'


def _fail(reason: object) -> int:
    print(f"featherface: {reason}", file=sys.stderr)
    return MISUSED
