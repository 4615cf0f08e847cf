"""Recipes of training runs: TOML on disk, frozen dataclasses in memory."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from featherface.data.crops import CropConfig
from featherface.models.zoo import MODELS, VARIANTS
from featherface.pruning.config import ACQUISITIONS, STRATEGIES, PruneConfig
from featherface.training.distill import WEIGHTS, DistillConfig
from featherface.training.loop import FitConfig
from featherface.training.losses import CRITERIA

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")
GIVEN = "weights"
"""Stands in a recipe for the network that --weights holds, whatever its widths."""
CELL = 32  # a crop has to be whole cells of the coarsest level


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
        network: a name of `models.zoo`, or "weights" for the one that --weights holds.
        detail: the network of --weights gets a ScaleDecoupling that looks at stride 4 too; what
            is new of it starts at zero.
        criterion: a name of `training.losses.CRITERIA`.
        data: the labelled sets.
        crop: how crops are drawn.
        fit: how the run goes.
        distill: how a teacher is followed; only for `featherface distill`.
        prune: how a network is made smaller; only for `featherface prune`, whose soft phase is
            what `fit` says.
        crowd: pictures are drawn by (1 + faces) to this power.
        pool: so many different crops come round and round; 0 for crops without end.
        workers: processes that cut crops, for each rank.
        seed: of everything random.
    """

    network: str = "nano_b_enhanced"
    detail: bool = False
    criterion: str = "aligned"
    data: tuple[DataConfig, ...]
    crop: CropConfig = field(default_factory=CropConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    distill: DistillConfig | None = None
    prune: PruneConfig | None = None
    crowd: float = 0.5
    pool: int = 0
    workers: int = 1
    seed: int = 0


def read_recipe(path: Path) -> TrainConfig:
    """Read a recipe.

    Raises:
        RecipeError: when the file is missing, is not TOML, or an entry is unknown, missing or of
            the wrong type.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        wanted = "the ones that come along are in configs/"
        raise RecipeError(f"{path}: no such recipe; {wanted}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not TOML ({error})") from error
    config = _build(TrainConfig, values, str(path))
    if not config.data:
        raise RecipeError(f"{path}: data: no labelled set; add a [[data]] table")
    for entry, table in (("network", (*MODELS, *VARIANTS, GIVEN)), ("criterion", CRITERIA)):
        if (name := getattr(config, entry)) not in table:
            raise RecipeError(f"{path}: {entry}: no {name!r}; there are {', '.join(table)}")
    if config.detail and config.network != GIVEN:
        raise RecipeError(f'{path}: detail: is for a network = "{GIVEN}" only')
    if config.crop.size <= 0 or config.crop.size % CELL:
        raise RecipeError(f"{path}: crop.size: {config.crop.size} is no multiple of {CELL}")
    if config.fit.batch <= 0:
        raise RecipeError(f"{path}: fit.batch: {config.fit.batch}, but a step needs a crop")
    if config.pool < 0:
        raise RecipeError(f"{path}: pool: is {config.pool}, but must be 0 or more crops")
    if config.distill:
        _require_one_of(path, "distill.weights", config.distill.weights, WEIGHTS)
    if config.distill and config.distill.temperature <= 0:
        raise RecipeError(
            f"{path}: distill.temperature: is {config.distill.temperature}, but must be over 0"
        )
    if config.prune:
        _check_pruning(path, config.prune)
        if config.detail:
            raise RecipeError(f"{path}: detail: pruning adds nothing; train with it first")
    return config


def _check_pruning(path: Path, prune: PruneConfig) -> None:
    search = prune.search
    _require_one_of(path, "prune.search.strategy", search.strategy, STRATEGIES)
    _require_one_of(path, "prune.search.acquisition", search.acquisition, ACQUISITIONS)
    counts = {
        "prune.search.trials": search.trials,
        "prune.search.startup": search.startup,
        "prune.recovery": prune.recovery,
        "prune.validation": prune.validation,
        "prune.every": prune.every,
        "prune.budget.multiple": prune.budget.multiple,
    }
    for entry, count in counts.items():
        if count < 1:
            raise RecipeError(f"{path}: {entry}: is {count}, but must be at least 1")
    shares = {"prune.search.highest": search.highest, "prune.hold_out": prune.hold_out}
    for entry, share in shares.items():
        if not 0 < share < 1:
            raise RecipeError(f"{path}: {entry}: is {share}, but must lie between 0 and 1")


def _require_one_of(path: Path, entry: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise RecipeError(f"{path}: {entry}: no {name!r}; there are {', '.join(known)}")


def _build(kind: type[T], values: object, where: str) -> T:
    """A dataclass from plain values, checked against the types of its fields."""
    if not isinstance(values, dict):
        raise RecipeError(f"{where}: is {values!r}, but must be a table")
    join = "." if where.partition(": ")[1] else ": "  # file: table.entry
    fields = {field.name: field for field in dataclasses.fields(cast(Any, kind))}
    if unknown := sorted(set(values) - set(fields)):
        raise RecipeError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(fields)}")
    for name, entry in fields.items():
        optional = (entry.default, entry.default_factory) != (dataclasses.MISSING,) * 2
        if not optional and name not in values:
            raise RecipeError(f"{where}{join}{name} is missing")
    hints = get_type_hints(kind)
    checked = {k: _checked(value, hints[k], f"{where}{join}{k}") for k, value in values.items()}
    return kind(**checked)


def _checked(value: object, wanted: Any, where: str) -> object:
    """One entry: a table, a list, or a plain value of exactly the wanted type."""
    if type(None) in get_args(wanted):  # a table that may be left out
        wanted = get_args(wanted)[0]
    if dataclasses.is_dataclass(wanted):
        return _build(cast("type[Any]", wanted), value, where)
    if get_origin(wanted) is tuple:
        kinds = get_args(wanted)
        if not isinstance(value, list):
            raise RecipeError(f"{where}: is {value!r}, but must be a list")
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(value)
        if len(value) != len(kinds):
            raise RecipeError(f"{where}: is {value!r}, but must be {len(kinds)} values")
        pairs = enumerate(zip(value, kinds, strict=True))
        return tuple(_checked(part, kind, f"{where}[{n}]") for n, (part, kind) in pairs)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise RecipeError(f"{where}: is {value!r}, but must be of type {wanted.__name__}")
    return value
