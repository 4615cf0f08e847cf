"""Many pictures, one thread or several: the same results, in order, a handful at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface import Detector
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


@pytest.mark.parametrize("threads", [1, 2])
def test_in_order_and_a_handful_at_a_time(
    toy_graph: Path, pictures: list[Path], threads: int
) -> None:
    worker = Worker(Detector(toy_graph))
    taken = 0

    def tasks() -> Iterator[Task]:
        nonlocal taken
        for picture in pictures:
            taken += 1
            yield Task(picture)

    for number, outcome in enumerate(work(tasks(), worker, threads=threads)):
        assert outcome.record.path == pictures[number]
        assert bool(outcome.record.error) == (number == 7)
        assert outcome.record.to_dict() == worker(Task(pictures[number])).record.to_dict()
        assert taken <= number + AHEAD * threads
        assert outcome.files == []
        assert outcome.seconds > 0
    assert taken == len(pictures)
