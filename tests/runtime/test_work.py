"""Many pictures, one process or several: the same results, in order, a handful at a time."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface import Detections, Detector
from featherface.image import Fitted, Picture, fit
from featherface.runtime.work import AHEAD, Task, Worker, work


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Twenty, each with a red cell more or less; one of them broken."""
    paths = [tmp_path / f"{number}.png" for number in range(20)]
    for number, path in enumerate(paths):
        pixels = np.zeros((64, 32 * (1 + number % 4), 3), np.uint8)
        pixels[:32, : 32 * (number % 3)] = (255, 0, 0)
        Image.fromarray(pixels).save(path)
    paths[7].write_bytes(b"")
    return paths


@pytest.mark.parametrize("processes", [1, 2])
def test_in_order_and_a_handful_at_a_time(
    toy_graph: Path, pictures: list[Path], processes: int
) -> None:
    worker = Worker(Detector(toy_graph))
    taken = 0

    def tasks() -> Iterator[Task]:
        nonlocal taken
        for picture in pictures:
            taken += 1
            yield Task(picture)

    for number, outcome in enumerate(work(tasks(), worker, processes=processes)):
        assert outcome.record.path == pictures[number]
        assert bool(outcome.record.error) == (number == 7)
        assert outcome.record.to_dict() == worker(Task(pictures[number])).record.to_dict()
        assert taken <= number + AHEAD * processes
        assert outcome.files == []
        assert outcome.seconds > 0
    assert taken == len(pictures)


class Dying(Detector):
    """The system ends its process, as it does for want of memory."""

    def __init__(self) -> None:
        """Opens nothing."""

    def __reduce__(self) -> tuple[type[Dying], tuple[()]]:
        return Dying, ()

    def fit(self, picture: Picture) -> Fitted:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_worker_that_dies_is_told(pictures: list[Path]) -> None:
    tasks = [Task(picture) for picture in pictures]
    with pytest.raises(ChildProcessError, match=r"a worker process was killed.*fewer --workers"):
        next(work(tasks, Worker(Dying()), processes=2))


class Warned(Detector):
    """Pillow has something to say about its picture."""

    def __init__(self) -> None:
        """Opens nothing."""

    def __reduce__(self) -> tuple[type[Warned], tuple[()]]:
        return Warned, ()

    def fit(self, picture: Picture) -> Fitted:
        warnings.warn_explicit("odd EXIF data", UserWarning, "TiffImagePlugin.py", 1, "PIL.Tiff")
        return fit(np.zeros((32, 32, 3), np.uint8))

    def find(self, pictures: Sequence[Fitted], *, score: float | None = None) -> list[Detections]:
        return [Detections.empty()]


def test_workers_keep_to_themselves_what_does_not_matter(
    pictures: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    assert len(list(work(map(Task, pictures[:3]), Worker(Warned()), processes=2))) == 3
    assert capfd.readouterr().err == ""
