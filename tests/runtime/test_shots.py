"""Cuts are found, and what only looks like one is not."""

from __future__ import annotations

import numpy as np
import pytest

from featherface.runtime.shots import colours, find_cuts

RED, BLUE, GREEN = (200, 30, 30), (30, 30, 200), (30, 200, 30)


def scene(colour: tuple[int, int, int], count: int) -> list[np.ndarray]:
    """Frames with a textured wall of one colour, and something that moves."""
    rng = np.random.default_rng(0)
    wall = np.clip(np.array(colour) + rng.normal(0, 20, (90, 120, 1)), 0, 255).astype(np.uint8)
    frames = [wall.copy() for _ in range(count)]
    for index, frame in enumerate(frames):
        frame[20:50, 4 * index : 4 * index + 30] = 255
    return frames


def cuts(frames: list[np.ndarray]) -> list[int]:
    return find_cuts([colours(frame) for frame in frames])


def test_no_frames_and_one() -> None:
    assert cuts([]) == []
    assert cuts(scene(RED, 1)) == []


@pytest.mark.parametrize("length", [1, 2, 10])
def test_cuts_are_the_first_frames_of_scenes(length: int) -> None:
    frames = scene(RED, length) + scene(BLUE, length) + scene(GREEN, 10)
    assert cuts(frames) == [length, 2 * length]


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut(length: int) -> None:
    white = [np.full((90, 120, 3), 255, np.uint8)] * length
    frames = scene(RED, 12)
    assert cuts(frames[:6] + white + frames[6:]) == []


def test_movement_and_fading_are_no_cuts() -> None:
    frames = scene(RED, 20)
    assert cuts(frames) == []
    faded = [(frame * (1 - index / 20)).astype(np.uint8) for index, frame in enumerate(frames)]
    assert cuts(faded) == []


def test_the_histogram_is_that_of_all_sizes() -> None:
    for height, width in ((1, 1), (3, 500), (1080, 1920)):
        share = colours(np.full((height, width, 3), 255, np.uint8))
        assert share.shape == (3, 16)
        assert (share[:, -1] == 65535).all()
        assert share.sum() == 3 * 65535
