"""The same pictures in every kind of input, and rows read back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from featherface import Detections, Detector
from featherface.batch.part import Job
from featherface.batch.places import place_of
from featherface.batch.plan import finished
from featherface.image import Fitted

ROOT = Path(__file__).resolve().parents[2]
BROKEN = "05.png"
ROWS_A_GROUP = 5
Rows = list[dict[str, Any]]
Plain = Callable[[Rows], Rows]


def names_in(folder: Path) -> list[str]:
    """The pictures of a folder as a batch takes them."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def as_tar(folder: Path, path: Path) -> Path:
    """The pictures as a WebDataset."""
    with tarfile.open(path, "w") as tar:
        for name in names_in(folder):
            tar.add(folder / name, name)
            label = tarfile.TarInfo(f"{name.removesuffix('.png')}.cls")
            label.size = 1
            tar.addfile(label, BytesIO(b"7"))
    return path


def as_parquet(folder: Path, path: Path, *, is_nested: bool = False) -> Path:
    """The pictures in a column of bytes, or of structs as Hugging Face's datasets have them."""
    contents = [(folder / name).read_bytes() for name in names_in(folder)]
    if is_nested:
        cells = [
            {"bytes": content, "path": name}
            for name, content in zip(names_in(folder), contents, strict=True)
        ]
        table = pa.table({"label": range(len(cells)), "image": cells})
    else:
        table = pa.table({"path": names_in(folder), "jpg": contents})
    pq.write_table(table, path, row_group_size=ROWS_A_GROUP)
    return path


def as_list(folder: Path, path: Path) -> Path:
    """A list of the pictures' paths."""
    path.write_text("".join(f"{folder / name}\n" for name in names_in(folder)))
    return path


def do_all(
    source: Path | str, output: Path | str, detector: Detector, *, part: int = 4, column: str = ""
) -> Rows:
    """A run in this process; its rows."""
    job = Job.begin(str(source), str(output), detector, part=part, column=column)
    for number in set(range(job.plan.parts)) - finished(place_of(str(output))):
        assert job.do(number).failure == ""
    return rows_of(output)


def rows_of(output: Path | str) -> Rows:
    """The rows of an output, as anybody reads them."""
    place = place_of(str(output))
    table = pyarrow.dataset.dataset(place.path, filesystem=place.files).to_table()
    rows: Rows = table.to_pylist()
    return rows


def files_of(output: Path) -> dict[str, bytes]:
    """The files of a local output, byte by byte."""
    return {path.name: path.read_bytes() for path in sorted(output.glob("*.parquet"))}


class Slow(Detector):
    """Takes its time, as long as the variable FEATHERFACE_TEST_PAUSE says."""

    def find(self, pictures: Sequence[Fitted], *, score: float | None = None) -> list[Detections]:
        time.sleep(float(os.environ.get("FEATHERFACE_TEST_PAUSE", "0.05")))
        return super().find(pictures, score=score)

    def __reduce__(self) -> tuple[type[Detector], tuple[str]]:
        return type(self), (self._weights,)


class Deadly(Slow):
    """The system ends its process at one of the pictures, as it does for want of memory."""

    def find(self, pictures: Sequence[Fitted], *, score: float | None = None) -> list[Detections]:
        if pictures[0].fit.size[1] == 128 and pictures[0].pixels[0, 63, 0] > 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return Detector.find(self, pictures, score=score)


STUCK = "FEATHERFACE_TEST_STUCK"
RUN = """
import sys
from importlib import import_module
from batch_inputs import Stuck
from featherface.batch.part import Job

source, output, graph, engine = sys.argv[1:]
engine = import_module(f"featherface.batch.{engine}")
job = Job.begin(source, output, Stuck(graph), part=12)
list(engine.run(job, [0], workers=1))
"""


class Stuck(Detector):
    """Does not come to an end with a picture 96 pixels wide while there is the file STUCK names.

    That it has come so far, it tells in the file.
    """

    def find(self, pictures: Sequence[Fitted], *, score: float | None = None) -> list[Detections]:
        file = Path(os.environ.get(STUCK, "nowhere"))
        if pictures[0].fit.size[1] == 96 and file.exists():
            file.write_text("reached")
            while file.exists():
                time.sleep(0.02)
        return super().find(pictures, score=score)

    def __reduce__(self) -> tuple[type[Detector], tuple[str]]:
        return type(self), (self._weights,)


def start(source: Path, output: Path, graph: Path, engine: str) -> subprocess.Popen[bytes]:
    """A run of one part with `Stuck`, in a process with a group of its own."""
    there = [str(ROOT / "src"), str(Path(__file__).parent)]
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(source), str(output), str(graph), engine],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(there)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_until_stuck() -> None:
    """Waits for a `Stuck` to get stuck, and makes the file ready for the next one."""
    file = Path(os.environ[STUCK])
    deadline = time.monotonic() + 120
    while not file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    file.write_text("")
