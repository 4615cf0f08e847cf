"""The command `featherface`.

Commands are named by strings and imported when they are called, so that --help and `detect` never
wait for torch, nor need it.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from io import TextIOWrapper
from typing import NamedTuple

from cyclopts import App, CycloptsError

from featherface import __version__

FAILED = 1  # exit status: not everything could be done
MISUSED = 2  # exit status: nothing could be done as it was asked


class Command(NamedTuple):
    """A command that is imported only when it is called."""

    name: str
    target: str
    extra: str  # what has to be installed for it: featherface[extra]; "" for nothing
    help: str


DETECT = """Find the faces in pictures.

Prints a line for each picture, or writes what --format and --output say. A picture that cannot be
read is named on stderr, the others still come out, and the exit status is 1. Of an animation the
first frame counts.

A run that was stopped goes on where it stood when the same command is given again, if it makes
files: until it is complete, a journal lies beside them, named `*.unfinished`.
"""

RECIPES = "featherface.recipes"
COMMANDS = (
    Command("detect", f"{RECIPES}.detect:main", "", DETECT),
    Command("train", f"{RECIPES}.train:main", "train", "Train a network on labelled pictures."),
    Command(
        "calibrate", f"{RECIPES}.calibrate:main", "train,evaluate", "Make scores probabilities."
    ),
    Command(
        "distill", f"{RECIPES}.distill:main", "train,export", "Train a network to follow a teacher."
    ),
    Command("label", f"{RECIPES}.label:main", "", "Label pictures by what detectors find."),
    Command(
        "prune", f"{RECIPES}.prune:main", "prune", "Make a trained network smaller and faster."
    ),
    Command("export", f"{RECIPES}.export:main", "export", "Turn a trained network into .onnx."),
    Command("evaluate", f"{RECIPES}.evaluate:main", "evaluate", "Measure a network's accuracy."),
    Command("info", f"{RECIPES}.info:main", "train", "Count a network's parameters and work."),
    Command("video", f"{RECIPES}.video:main", "video", "Find the faces in a video or a camera."),
    Command("blur", f"{RECIPES}.blur:main", "video", "Make faces unrecognisable."),
    Command("serve", f"{RECIPES}.serve:main", "serve", "Find and blur faces over HTTP."),
    Command("batch", f"{RECIPES}.batch:main", "batch", "Find the faces in millions of pictures."),
)
NAMES = tuple(command.name for command in COMMANDS)

app = App(
    name="featherface",
    help="Find faces in pictures with a very small network, or make such a network yourself.",
    version=__version__,
    help_format="markdown",
)
for command in COMMANDS:
    app.command(command.target, name=command.name, help=command.help)


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
    # Cyclopts takes "-" for an option that it does not know; as a path, "./-" is the same.
    tokens = [f".{os.sep}-" if token == "-" else token for token in tokens]
    try:
        status = app(tokens, exit_on_error=False, result_action="return_value")
    except CycloptsError:  # is printed already
        status = MISUSED
    except ImportError as error:
        status = _fail(_missing_extra(tokens[0], error))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILED
    except (OSError, ValueError, MemoryError) as error:  # ours about input are ValueErrors
        status = _fail(error)
    sys.exit(status or 0)


def _missing_extra(name: str, error: ImportError) -> str:
    """What to install for a command that cannot be imported.

    Raises:
        ImportError: `error` itself, when it is not a package that is missing.
    """
    cause = error.__cause__ or error  # a command's own import comes wrapped
    extras = {command.name: command.extra for command in COMMANDS if command.extra}
    package = cause.name if isinstance(cause, ModuleNotFoundError) and cause.name else "featherface"
    if package.partition(".")[0] == "featherface" or not extras.get(name):
        raise error
    return f'{name} needs {package}, please: pip install "featherface[{extras[name]}]"'


def _fail(reason: object) -> int:
    print(f"featherface: {reason}", file=sys.stderr)
    return MISUSED
