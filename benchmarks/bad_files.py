"""Files with odd names, loops of links, pipes, a hundred thousand files, disks that are full.

The command line is run as a user runs it, in a folder made for it. Every run has to end by itself,
to name what is wrong, to do the rest, and to leave nothing half-written under its final name.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cyclopts import App
from PIL import Image

from soak import RESULTS, Row, keep

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
PATIENCE = 600.0  # seconds until a run that should be short counts as hanging
NAMES = (
    *(b"a b.png", b" .png", b"-.png", b"--draw.png", b"line\nend.png", b"carriage\rreturn.png"),
    *(b"..png", b"a...b..png", b"\xff\xfe.png", b"\xe2\x80\xae.png", b"\x1b[2J.png", b"CON.png"),
    *("é".encode() * 100 + b".png", b"n" * 251 + b".png", b"*?[a].png", b"a\\b.png", b"'$(x)`.png"),
)
"""Names that Linux allows; only `..png` is hidden, and so is not looked for in a folder."""

app = App(name="python benchmarks/bad_files.py", help_format="markdown")


class Run(NamedTuple):
    """How a command ended."""

    status: int
    told: str  # on stdout
    errors: str  # on stderr


class Fault(Exception):
    """Something that is not as promised."""


def featherface(*arguments: str | Path) -> Run:
    """Runs the command.

    Raises:
        Fault: it does not end, or ends with a traceback.
    """
    command = [sys.executable, "-m", "featherface", *map(str, arguments)]
    try:
        ran = subprocess.run(
            command, env=ENVIRONMENT, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Fault(f"{arguments}: has not ended after {PATIENCE} s") from error
    told, errors = (each.decode("utf-8", "backslashreplace") for each in (ran.stdout, ran.stderr))
    if "Traceback" in errors or ran.returncode not in (0, 1, 2, 3):
        raise Fault(f"{arguments}: status {ran.returncode}, {errors[-2000:]}")
    return Run(ran.returncode, told, errors)


def expect(is_so: bool, what: str, run: Run | None = None) -> None:
    """Raises a `Fault` if it is not so."""
    if not is_so:
        raise Fault(f"{what}; {run}")


def picture(side: int = 32) -> Image.Image:
    """A small one, without a face."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))


# ---- what is tried ---------------------------------------------------------------------------


def names(folder: Path) -> str:
    """Odd names go through `detect` and `blur`, and their outputs are called as they are."""
    (folder / "in").mkdir()
    picture().save(folder / "p.png")
    for name in NAMES:
        os.link(os.fsencode(folder / "p.png"), os.fsencode(folder / "in") + b"/" + name)
    shown = len(NAMES) - 1
    for given in (folder / "in", folder / "in" / ".." / "in", folder / "." / "in" / ""):
        out = folder / "out"
        out.mkdir()
        run = featherface("detect", given, "--output", out / "f.jsonl", "--draw", out / "drawn")
        expect(run.status == 0 and not run.errors, "odd names are read", run)
        lines = (out / "f.jsonl").read_text().splitlines()
        expect(len(lines) == shown and all(map(json.loads, lines)), "a line of JSON each", run)
        drawn = names_in(out / "drawn")
        expect(drawn == {*NAMES} - {b"..png"}, f"each has its drawing: {drawn}", run)
        shutil.rmtree(out)
    run = featherface("blur", folder / "in", folder / "clean")
    made = names_in(folder / "clean")
    expect(run.status == 0 and made == {*NAMES} - {b"..png"}, f"each is blurred: {made}", run)
    expect("\x1b" not in run.told and len(run.told.splitlines()) == shown + 1, "a line each", run)
    run = featherface("detect", *(folder / "in" / os.fsdecode(name) for name in NAMES))
    expect(run.status == 0 and len(run.told.splitlines()) == len(NAMES), "named one by one", run)
    return f"{len(NAMES)} names"


def names_in(folder: Path) -> set[bytes]:
    """As the system has them."""
    return {os.fsencode(path.name) for path in folder.iterdir()}


def links(folder: Path) -> str:
    """Loops of links are not walked round, and links that lead nowhere are named."""
    inside = folder / "in"
    (inside / "deep").mkdir(parents=True)
    picture().save(inside / "deep" / "a.png")
    (inside / "deep" / "up").symlink_to("..")
    (inside / "deep" / "here").symlink_to(".")
    (inside / "self.png").symlink_to("self.png")
    (inside / "one.png").symlink_to("two.png")
    (inside / "two.png").symlink_to("one.png")
    (inside / "gone.png").symlink_to("nothing.png")
    (inside / "link.png").symlink_to("deep/a.png")
    for verb, out in (("detect", "--draw"), ("blur", None)):
        target = folder / verb
        run = featherface(verb, inside, *([out] if out else []), target)
        expect(run.status == 1, "what leads nowhere is a failure", run)
        for name in ("self", "one", "two", "gone"):
            expect(f"{name}.png: " in run.errors, f"{name} is named", run)
        made = sorted(path.relative_to(target) for path in target.rglob("*.png"))
        expect(list(map(str, made)) == ["deep/a.png", "link.png"], f"the rest is done {made}", run)
    return "2 loops of folders, 3 of files, 1 link to nothing, 1 good one"


def pipes(folder: Path) -> str:
    """Nothing that is no ordinary file is waited for."""
    inside = folder / "in"
    (inside / "folder.jpg").mkdir(parents=True)
    picture().save(inside / "folder.jpg" / "a.png")
    picture().save(inside / "no suffix", "PNG")
    os.mkfifo(inside / "pipe.jpg")
    (inside / "zero.png").symlink_to("/dev/zero")
    (inside / "tty.png").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(inside)  # an address has room for a hundred bytes
        listener.bind("socket.png")
        for verb in ("detect", "blur"):
            target = folder / verb
            run = featherface(verb, inside, *(["--draw"] if verb == "detect" else []), target)
            expect(run.status == 1, "they are failures", run)
            for name in ("pipe.jpg", "zero.png", "tty.png", "socket.png"):
                expect(f"{name}: is a pipe or a device" in run.errors, f"{name} is named", run)
            made = [str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()]
            expect(made == ["folder.jpg/a.png"], f"the rest is done: {made}", run)
    run = featherface("detect", inside / "no suffix")
    expect(run.status == 0 and "0 faces" in run.told, "a file needs no suffix if named", run)
    return "a pipe, a socket, 2 devices, a folder called x.jpg, a file without a suffix"


def many(folder: Path, count: int) -> str:
    """A folder of very many files: all are done."""
    (folder / "in").mkdir()
    for number in range(count):
        path = folder / "in" / f"{number:06}.png"
        if number % 1000:
            os.link(folder / "in" / f"{number - number % 1000:06}.png", path)
        else:
            picture().save(path)
    start = time.perf_counter()
    output = folder / "f.jsonl"
    command = [sys.executable, "-m", "featherface", "detect", folder / "in", "--output", output]
    process = subprocess.Popen(command, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    with output.open() as lines:
        expect(sum(1 for _ in lines) == count and process.returncode == 0, "all are there")
    return f"{count:,} files in {seconds:.0f} s, with {usage.ru_maxrss / 1000:.0f} MB at most"


@contextmanager
def disk(folder: Path, size: int, *, read_only: bool = False) -> Iterator[Path]:
    """A file system of so many bytes.

    Raises:
        PermissionError: this user or this container may not mount one.
    """
    folder.mkdir()
    mode = "ro" if read_only else "rw"
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},{mode}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        raise PermissionError(f"mounting is not possible here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def read_only(folder: Path) -> str:
    """Nothing is begun where nothing can be written."""
    picture(640).save(folder / "p.png")
    make_film(folder / "film.mp4")
    tried = 0
    with disk(folder / "disk", 1 << 20, read_only=True) as place:
        for arguments in outputs(folder, place):
            run = featherface(*arguments)
            expect(run.status in (1, 2), "it is a failure", run)
            expect("disk" in run.errors and run.errors.startswith("featherface: "), "named", run)
            expect(not list(place.rglob("*")), "nothing is there", run)
            tried += 1
    return f"{tried} commands"


def outputs(folder: Path, place: Path) -> list[tuple[str | Path, ...]]:
    """Commands that write into a place."""
    given, collage = folder / "p.png", ROOT / "assets" / "collage.jpg"
    weights = ROOT / "src" / "featherface" / "weights" / "nano_b_enhanced.safetensors"
    film = folder / "film.mp4"
    found: list[tuple[str | Path, ...]] = [
        ("detect", given, collage, "--size", "640", "--output", place / "f.jsonl"),
        ("detect", given, collage, "--size", "640", "--draw", place / "drawn"),
        ("detect", collage, "--size", "640", "--crop", place / "faces", "--margin", "3"),
        ("detect", collage, "--size", "640", "--format", "yolo", "--output", place / "labels"),
        ("blur", given, collage, place / "clean"),
        ("export", weights, place / "a.onnx"),
    ]
    if film.is_file():
        found.append(("blur", film, place / "clean.mp4", "--size", "160"))
        found.append(("video", film, "--draw", place / "drawn.mp4", "--size", "160"))
    return found


def full(folder: Path) -> str:
    """A full disk is told, and what is there under its final name is whole.

    Given room, the same command makes what it makes undisturbed.
    """
    picture(640).save(folder / "p.png")
    make_film(folder / "film.mp4")
    tried = 0
    with disk(folder / "disk", 1 << 30) as place:
        for number, arguments in enumerate(outputs(folder, place)):
            featherface(*arguments)
            wanted = contents(place)
            expect(bool(wanted), f"{arguments} writes something")
            empty(place)
            room = sum(len(each) for each in wanted.values())
            for share in (0.0, 0.4, 0.95):
                filler = place / "filler"
                free = shutil.disk_usage(place).free
                with filler.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, max(4096, free - int(room * share)))
                run = featherface(*arguments)
                expect(run.status in (1, 2), f"{share} of the room is too little", run)
                expect("No space left on device" in run.errors, "the reason is told", run)
                expect(str(place) in run.errors, "the file is named", run)
                filler.unlink()
                for name, content in contents(place).items():
                    is_journal = name.endswith(".unfinished")
                    expect(is_journal or wanted.get(name) == content, f"{name} is whole", run)
                if number < 4:  # `detect` goes on; the others begin again
                    run = featherface(*arguments)
                    expect(run.status == 0 and contents(place) == wanted, "it is made up", run)
                empty(place)
                tried += 1
    return f"{tried} full disks, {len(outputs(folder, place))} commands"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in it."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def empty(folder: Path) -> None:
    """Deletes what is in it."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def make_film(path: Path) -> None:
    """Two seconds of moving noise; nothing where PyAV is not installed."""
    try:
        import av
    except ImportError:
        return
    noise = np.random.default_rng(0).integers(0, 256, (240, 400, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, width=320, height=240, pix_fmt="yuv420p")
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(noise[:, number : number + 320])
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


TRIED: dict[str, Callable[[Path], str]] = {
    "names": names,
    "links": links,
    "pipes": pipes,
    "read-only": read_only,
    "full disk": full,
}


@app.default
def main(*names: str, files: int = 100_000, results: Path = RESULTS) -> int:
    """Try all of it, or some.

    Takes about ten minutes of a core, most of them for the many files; Linux only, and the disks
    need the right to mount.

    Args:
        names: What to try; all if nothing is named.
        files: How many there are in the folder with very many.
        results: The table of rows.
    """
    faults = 0
    tried = TRIED | {"many files": lambda folder: many(folder, files)}
    for what in names or tried:
        do = tried[what]
        start = time.perf_counter()
        here = Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome, fault = do(Path(folder)), 0
            except PermissionError as error:
                outcome, fault = f"left out: {error}", 0
            except Fault as error:
                outcome, fault = str(error), 1
            finally:
                os.chdir(here)
        print(f"{what}: {outcome}", file=sys.stderr if fault else sys.stdout)
        faults += fault
        row = Row(
            what=what,
            tried=(do.__doc__ or many.__doc__ or "").splitlines()[0],
            outcome=outcome.splitlines()[0],
            faults=fault,
            minutes=(time.perf_counter() - start) / 60,
            command=f"python benchmarks/bad_files.py --files {files}",
        )
        keep(row, results)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
