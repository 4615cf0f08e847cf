"""Recipes: the committed ones can be followed, the others are refused with file and entry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from featherface.data.crops import CropConfig
from featherface.recipes.config import DataConfig, RecipeError, TrainConfig, read_recipe
from featherface.training.distill import DistillConfig
from featherface.training.loop import FitConfig

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.toml"))
DATA = '[[data]]\nlabels = "some/labels.txt"\n'


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Where a test may write one."""
    return tmp_path / "recipe.toml"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_committed_recipes_can_be_followed(path: Path) -> None:
    assert read_recipe(path).data
    assert path.read_text(encoding="utf-8").startswith("# "), "a recipe says what it is for"


def test_there_are_committed_recipes() -> None:
    assert {path.stem for path in CONFIGS} >= {"dense", "smoke"}


def test_what_is_not_said_has_a_default(recipe: Path) -> None:
    recipe.write_text(DATA)
    assert read_recipe(recipe) == TrainConfig(data=(DataConfig(labels="some/labels.txt"),))


def test_every_entry_arrives(recipe: Path) -> None:
    recipe.write_text(
        f"""
        network = "nano_b"
        criterion = "multibox"
        crowd = 1
        workers = 2
        seed = 7
        {DATA}
        weight = 3
        [[data]]
        labels = "others"
        [crop]
        size = 64
        small = [4, 9.5]
        [fit]
        crops = 100
        minutes = 90
        bfloat16 = true
        [distill]
        temperature = 2
        weights = "fixed"
        """
    )
    assert read_recipe(recipe) == TrainConfig(
        network="nano_b",
        criterion="multibox",
        crowd=1.0,
        workers=2,
        seed=7,
        data=(DataConfig(labels="some/labels.txt", weight=3.0), DataConfig(labels="others")),
        crop=CropConfig(size=64, small=(4.0, 9.5)),
        fit=FitConfig(crops=100, minutes=90.0, bfloat16=True),
        distill=DistillConfig(temperature=2.0, weights="fixed"),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "data is missing"),
        ("data = []", "data: no labelled set"),
        ("data = 3", "data: is 3, but must be a list"),
        ('data = ["a"]', "data[0]: is 'a', but must be a table"),
        ("[[data]]\nweight = 1.0", "data[0].labels is missing"),
        (f"{DATA}[[data]]\nlabels = 3", "data[1].labels: is 3, but must be of type str"),
        (f"{DATA}colour = 1", "data[0]: unknown colour; known: labels, weight"),
        (f"colour = 1\n{DATA}", "unknown colour; known: network, detail, criterion, data"),
        (f"seed = 1.5\n{DATA}", "seed: is 1.5, but must be of type int"),
        (f"seed = true\n{DATA}", "seed: is True, but must be of type int"),
        (f"crop = 3\n{DATA}", "crop: is 3, but must be a table"),
        (f"{DATA}[crop]\nsize = '64'", "crop.size: is '64', but must be of type int"),
        (f"{DATA}[crop]\nflip = true", "crop.flip: is True, but must be of type float"),
        (f"{DATA}[crop]\nsize = 100", "crop.size: 100 is no multiple of 32"),
        (f"{DATA}[crop]\nsize = 0", "crop.size: 0 is no multiple of 32"),
        (f"{DATA}[crop]\nsmall = 3.0", "crop.small: is 3.0, but must be a list"),
        (f"{DATA}[crop]\nsmall = [3.0]", "crop.small: is [3.0], but must be 2 values"),
        (f"{DATA}[crop]\nsmall = [3.0, 'x']", "crop.small[1]: is 'x', but must be of type float"),
        (f"{DATA}[fit]\nepochs = 3", "fit: unknown epochs; known: crops, minutes"),
        (f"{DATA}[fit]\nbatch = 0", "fit.batch: 0, but a step needs a crop"),
        (f"distill = 3\n{DATA}", "distill: is 3, but must be a table"),
        (f"{DATA}[distill]\nT = 4", "distill: unknown T; known: temperature, weights"),
        (f"{DATA}[distill]\nweights = 'x'", "distill.weights: no 'x'; there are learned, fixed"),
        (f"{DATA}[distill]\ntemperature = 0", "distill.temperature: is 0.0, but must be over 0"),
        (f"{DATA}[prune]\nepochs = 3", "prune: unknown epochs; known: budget, search, recovery"),
        (f"{DATA}[prune]\nevery = 0", "prune.every: is 0, but must be at least 1"),
        (f"{DATA}[prune]\nhold_out = 1.0", "prune.hold_out: is 1.0, but must lie between 0 and 1"),
        (f"{DATA}[prune.search]\nstrategy = 'x'", "prune.search.strategy: no 'x'; there are bayes"),
        (f"{DATA}[prune.search]\nacquisition = 'x'", "prune.search.acquisition: no 'x'; there"),
        (f"{DATA}[prune.budget]\nmultiple = 0", "prune.budget.multiple: is 0, but must be at"),
        (f"network = 'other'\n{DATA}", "network: no 'other'; there are featherface_v1, nano_b"),
        (f"network = 'nano_b'\ndetail = true\n{DATA}", 'detail: is for a network = "weights" only'),
        (f"network = 'weights'\ndetail = true\n{DATA}[prune]", "detail: pruning adds nothing"),
        (f"criterion = 'x'\n{DATA}", "criterion: no 'x'; there are multibox, aligned"),
        ("seed = ", "not TOML"),
    ],
)
def test_a_bad_entry_is_named(recipe: Path, text: str, problem: str) -> None:
    recipe.write_text(text)
    with pytest.raises(RecipeError, match=f"^{re.escape(str(recipe))}: {re.escape(problem)}"):
        read_recipe(recipe)


def test_no_such_recipe(recipe: Path) -> None:
    with pytest.raises(RecipeError, match=f"^{recipe}: no such recipe"):
        read_recipe(recipe)


def test_not_text(recipe: Path) -> None:
    recipe.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=f"^{recipe}: not TOML"):
        read_recipe(recipe)
