"""Recipes of training runs: TOML on disk, frozen dataclasses in memory."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from featherface.data.crops import CropConfig
from featherface.training.loop import FitConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


class RecipeError(ValueError):
    """A recipe that cannot be followed; the message names the file and the entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """One labelled set.

    Attributes:
        labels: labels file or folder, relative to the data folder.
        weight: how often its pictures are drawn, relative to those of the other sets.
    """

    labels: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """A training run.

    Attributes:
        network: a name of `models.zoo`.
        criterion: a name of `training.losses.CRITERIA`.
        data: the labelled sets.
        crop: how crops are drawn.
        fit: how the run goes.
        crowd: pictures are drawn by (1 + faces) to this power.
        workers: processes that cut crops, for each rank.
        seed: of everything random.
    """

    network: str = "nano_b_enhanced"
    criterion: str = "aligned"
    data: tuple[DataConfig, ...]
    crop: CropConfig = field(default_factory=CropConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    crowd: float = 0.5
    workers: int = 1
    seed: int = 0


def read_recipe(path: Path) -> TrainConfig:
    """Read a recipe.

    Raises:
        RecipeError: when the file is missing, is not TOML, or an entry is unknown or of the wrong type.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: no such recipe; the ones that come along are in configs/") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not TOML ({error})") from error
    sets = values.pop("data", [])
    if not isinstance(sets, list) or not sets:
        raise RecipeError(f"{path}: no [[data]] table; name at least one labelled set")
    parts = {
        "data": tuple(_build(DataConfig, part, f"{path}: data") for part in sets),
        "crop": _build(CropConfig, values.pop("crop", {}), f"{path}: crop"),
        "fit": _build(FitConfig, values.pop("fit", {}), f"{path}: fit"),
    }
    return _build(TrainConfig, {**values, **parts}, str(path))


def _build(kind: type[T], values: dict[str, Any], where: str) -> T:
    """A dataclass from plain values, checked against its defaults' types."""
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise RecipeError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(fields)}")
    checked = {}
    for name, value in values.items():
        default = fields[name].default
        if isinstance(default, float) and isinstance(value, int):
            value = float(value)
        if isinstance(default, tuple) and isinstance(value, list):
            value = tuple(value)
        if default is not dataclasses.MISSING and type(value) is not type(default):
            wanted = type(default).__name__
            raise RecipeError(f"{where}: {name} is {value!r}, but must be of type {wanted}")
        checked[name] = value
    try:
        return kind(**checked)
    except TypeError as error:
        raise RecipeError(f"{where}: {error}") from error
