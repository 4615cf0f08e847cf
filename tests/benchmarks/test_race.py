"""Everybody gets every turn in a process of its own; ratios survive a machine that slows down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from entrants import Entrant
from measure import picture_for
from onnx_cost import forward_only
from race import STAGES, Event, Times, race

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
COLLAGE = BENCHMARKS.parent / "assets" / "collage.jpg"


@pytest.fixture
def entrant(toy_graph: Path, tmp_path: Path) -> Entrant:
    forward = tmp_path / "forward.onnx"
    onnx.save(forward_only(onnx.load(toy_graph)), forward)
    return Entrant(
        name="toy",
        family="featherface",
        file=toy_graph,
        graph=toy_graph,
        forward=forward,
        parameters=3,
    )


def test_ratios_do_not_follow_the_machine(rng: np.random.Generator) -> None:
    slowness = rng.uniform(1, 10, 31)  # of each round
    noise = rng.normal(1, 0.01, (2, 31))
    times = Times(np.array([[8.0], [16.0]]) * slowness * noise)
    assert times.ratio(1)[0] == pytest.approx(0.5, rel=0.01)
    assert times.ratio(1)[1] == 1
    assert times.best()[0] < times.median()[0]


def test_median_and_best_of_rounds() -> None:
    times = Times(np.array([[3.0, 1.0, 2.0], [9.0, 4.0, 4.0]]))
    assert (times.median(), times.best()) == ([2, 4], [1, 4])
    assert times.ratio(1) == [1 / 3, 1]  # of 1/3, 1/4, 1/2


def test_everybody_is_timed_in_every_event(entrant: Entrant) -> None:
    pictures = {
        (64, 96): np.zeros((128, 192, 3), np.uint8),
        (64, 64): np.zeros((99, 99, 3), np.uint8),
    }
    turns: list[int] = []
    found = race([entrant, entrant], pictures, threads=[1], rounds=3, repeats=1, tell=turns.append)
    assert turns == [0, 1, 2]
    assert set(found) == {Event(size, 1, stage) for size in pictures for stage in STAGES}
    assert all(times.rounds.shape == (2, 3) for times in found.values())
    assert all((times.rounds > 0).all() for times in found.values())


def test_a_detector_that_fails_is_named(entrant: Entrant, tmp_path: Path) -> None:
    entrant.forward.write_bytes(b"no graph")
    with pytest.raises(RuntimeError, match="toy failed"):
        race(
            [entrant],
            {(64, 96): np.zeros((64, 96, 3), np.uint8)},
            threads=[1],
            rounds=1,
            repeats=1,
            tell=lambda turn: None,
        )


@pytest.mark.parametrize("size", [(640, 640), (480, 640)])
def test_pictures_are_shrunk_to_the_input_exactly(size: tuple[int, int]) -> None:
    from featherface.image import fit

    picture = picture_for(size)
    assert picture.shape[0] > size[0]
    assert fit(picture, long_side=max(size)).pixels.shape == (*size, 3)


def test_a_new_process_finds_boxes_and_knows_its_own_memory(toy_graph: Path) -> None:
    ballast = np.ones(400_000_000, np.uint8)  # of this process: must not be counted
    ran = subprocess.run(
        [sys.executable, BENCHMARKS / "first_boxes.py", "featherface", toy_graph, COLLAGE, "640"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(ran.stdout)
    assert told["faces"] >= 0
    assert 20e6 < told["peak"] < ballast.nbytes
