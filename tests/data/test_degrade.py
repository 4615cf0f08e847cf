"""Damage changes how a picture looks, never where things are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from featherface.data.degrade import degrade, recolour
from featherface.data.synthetic import draw_faces

KINDS = {"recolour": recolour, "degrade": degrade}
SEEDS = range(60)  # enough for every kind of damage


def blob(x: float, y: float) -> Image.Image:
    """A white spot on grey, 64 x 80 pixels."""
    rows, columns = np.mgrid[:64, :80]
    light = 100 + 150 * np.exp(-((rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2) / 60)
    return Image.fromarray(np.repeat(light[..., None], 3, axis=2).astype(np.uint8))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_picture(kind: str) -> None:
    picture = blob(40, 30)
    first, again, other = (
        np.asarray(KINDS[kind](picture, np.random.default_rng(seed))) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (50, 64)])
def test_size_and_mode_stay(kind: str, size: tuple[int, int]) -> None:
    for seed in SEEDS:
        changed = KINDS[kind](Image.new("RGB", size, (90, 120, 30)), np.random.default_rng(seed))
        assert (changed.size, changed.mode) == (size, "RGB")


@pytest.mark.parametrize("kind", KINDS)
def test_things_stay_in_their_place(kind: str) -> None:
    at = np.array([43.3, 29.8])
    for seed in SEEDS:
        changed = KINDS[kind](blob(*at), np.random.default_rng(seed))
        light = np.asarray(changed.convert("L"), np.float64)
        weight = np.clip(light - light.min() - 0.5 * np.ptp(light), 0, None)
        rows, columns = np.mgrid[:64, :80] + 0.5
        centre = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        assert np.abs(centre - at).max() < 0.7, seed


def test_every_damage_is_seen_and_leaves_something_to_see() -> None:
    picture = draw_faces(np.random.default_rng(0), (96, 96), [40.0]).picture
    for seed in SEEDS:
        damaged = np.asarray(degrade(Image.fromarray(picture), np.random.default_rng(seed)))
        assert 0.5 < np.abs(damaged - picture.astype(float)).mean() < 20


def test_light_and_colour_vary() -> None:
    picture = Image.new("RGB", (8, 8), (180, 120, 80))
    colours = np.array(
        [np.asarray(recolour(picture, np.random.default_rng(seed)))[0, 0] for seed in SEEDS], float
    )
    assert np.ptp(colours.mean(1)) > 60
    grey = np.ptp(colours, axis=1) == 0
    assert 0 < grey.mean() < 0.25
