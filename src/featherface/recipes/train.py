"""`featherface train`: labels and a recipe in, a network out."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from cyclopts import Parameter

from featherface.anchors import AnchorSpec, make_anchors
from featherface.data.labelled import Doubles, LabelledImage
from featherface.data.labels import read_labels
from featherface.data.loader import CropDataset, stream
from featherface.data.mistakes import read_mistakes
from featherface.data.pixels import PixelStore
from featherface.files import write_atomically
from featherface.models.layers import count_parameters
from featherface.models.nano_b import NanoB
from featherface.models.zoo import build
from featherface.recipes.config import GIVEN, RecipeError, TrainConfig, read_recipe
from featherface.recipes.curves import plot_curves
from featherface.recipes.progress import TrainingProgress
from featherface.recipes.teachers import open_teacher
from featherface.training.checkpoint import load_model
from featherface.training.distill import DistillationCriterion, DistillConfig, nested_anchors
from featherface.training.loop import fit
from featherface.training.losses import CRITERIA
from featherface.training.start import start_from


def main(
    recipe: Path,
    run: Path,
    *,
    data: Path = Path(),
    weights: Path | None = None,
    crops: int | None = None,
    minutes: float | None = None,
    seed: int | None = None,
    pixels: Path | None = None,
    mistakes: Path | None = None,
    quiet: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Train a network, or go on with a run that was stopped.

    Several processes: `torchrun --nproc-per-node 2 -m featherface train ...`, one thread each. They
    share each batch; a run may go on with another number of them.

    Args:
        recipe: a TOML file like those in configs/.
        run: folder for the results; if it holds a `state.pt` the run goes on from there.
        data: folder that the recipe's labelled sets lie in.
        weights: safetensors file whose weights (or backbone) a new run starts from.
        crops: crops to see, instead of the recipe's number.
        minutes: training time, instead of the recipe's.
        seed: instead of the recipe's.
        pixels: folder for the decoded pictures, by default beside the run.
        mistakes: .jsonl file of `featherface detect` on the pictures of the recipe's sets: crops
            with no face in mind (`background`) show what it took for faces.
        quiet: no progress on the terminal.
    """
    config = adjusted(read_recipe(recipe), crops, minutes, seed)
    for verb in ("distill", "prune"):
        if getattr(config, verb):
            raise RecipeError(f"{recipe}: has a [{verb}] table; use it with `featherface {verb}`")
    inputs = Inputs(data=data, pixels=pixels, weights=weights, mistakes=mistakes)
    launch(config, run, inputs, quiet=quiet)


def adjusted(
    config: TrainConfig, crops: int | None, minutes: float | None, seed: int | None
) -> TrainConfig:
    """A recipe with what the command line says instead."""
    if crops is not None:
        config = dataclasses.replace(config, fit=dataclasses.replace(config.fit, crops=crops))
    if minutes is not None:
        config = dataclasses.replace(config, fit=dataclasses.replace(config.fit, minutes=minutes))
    if seed is not None:
        config = dataclasses.replace(config, seed=seed)
    return config


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The files that a run is made from, besides its recipe; `main` and `distill.main` say more."""

    data: Path
    pixels: Path | None
    weights: Path | None
    mistakes: Path | None
    teacher: Path | None = None
    cache: Path | None = None


def launch(config: TrainConfig, run: Path, inputs: Inputs, *, quiet: bool) -> None:
    """Train as this process's rank, alone or under torchrun."""
    rank, ranks = join_ranks()
    try:
        train(config, run, inputs, rank, ranks, quiet=quiet)
    finally:
        if ranks > 1:
            torch.distributed.destroy_process_group()


def train(
    config: TrainConfig, run: Path, inputs: Inputs, rank: int, ranks: int, *, quiet: bool
) -> None:
    """One rank of a run.

    Raises:
        ValueError: when the teacher's anchors are not among the network's.
        RecipeError: when the batch cannot be shared out evenly, the network is only a teacher, or
            a run is to go on with other mistakes.
    """
    if config.fit.batch % ranks:
        raise RecipeError(f"fit.batch: {config.fit.batch} crops cannot be shared by {ranks} ranks")
    run.mkdir(parents=True, exist_ok=True)
    about = run / "run.json"
    is_new = not (run / "state.pt").exists()
    torch.manual_seed(config.seed)
    model, name = _network(config, inputs.weights if is_new else run / "model.safetensors")
    begun = json.loads(about.read_text()) if not is_new and about.exists() else {}
    if is_new:
        origin = start_from(model, inputs.weights) if inputs.weights else "scratch"
    else:
        origin = begun.get("start", "not known")
    criterion = CRITERIA[config.criterion]
    if inputs.teacher:
        criterion = _distillation(config, inputs.teacher, inputs.cache, model.config.anchors)
    progress = TrainingProgress(config.fit, shown=rank == 0 and not quiet)
    dataset = open_data(
        config,
        inputs.data,
        inputs.pixels or run.parent / "pixels",
        model.config.anchors,
        mistakes=inputs.mistakes,
        rank=rank,
        progress=progress.decoding,
    )
    mistakes = sum(map(len, dataset.mistakes)) if inputs.mistakes else 0
    if begun and mistakes != begun.get("mistakes", 0):
        raise RecipeError(
            f"{about}: the run began with {begun.get('mistakes', 0)} mistakes, now {mistakes} are "
            "given; give the same --mistakes, or another folder for a new run"
        )
    facts: dict[str, Any] = {
        "name": name,
        "recipe": dataclasses.asdict(config),
        "start": origin,
        "torch": torch.__version__,
    }
    if inputs.teacher:
        facts["teacher"] = inputs.teacher.name
    if mistakes:
        facts["mistakes"] = mistakes
    if rank == 0 and is_new:
        text = json.dumps({**facts, "parameters": count_parameters(model)}, indent=1)
        write_atomically(about, f"{text}\n".encode())
    anchors = torch.from_numpy(make_anchors(model.config.anchors, (config.crop.size,) * 2))
    with progress:
        fit(
            model,
            lambda seen: stream(
                dataset,
                batch=config.fit.batch // ranks,
                workers=config.workers,
                first=seen,
                rank=rank,
                ranks=ranks,
            ),
            criterion,
            anchors,
            run,
            config.fit,
            facts=facts,
            rank=rank,
            ranks=ranks,
            report=progress.report,
        )
    if rank == 0:
        plot_curves(run)


def _network(config: TrainConfig, weights: Path | None) -> tuple[NanoB, str]:
    """A network with fresh weights, as the recipe or the file says, and its name."""
    if config.network == GIVEN:
        if not weights:
            raise RecipeError(f'network: is "{GIVEN}"; say which with --weights FILE')
        given, about = load_model(weights)
        wanted = dataclasses.replace(given.config, detail=config.detail or given.config.detail)
        return NanoB(wanted), about.get("name", "")
    model = build(config.network)
    if not isinstance(model, NanoB):
        raise RecipeError(f"network: {config.network!r} is a teacher, training makes Nano-B's")
    return model, config.network


def _distillation(
    config: TrainConfig, path: Path, cache: Path | None, anchors: AnchorSpec
) -> DistillationCriterion:
    size = (config.crop.size,) * 2
    settings = config.distill or DistillConfig()
    teacher = open_teacher(path, cache)
    rows = nested_anchors(teacher.anchors, anchors, size)
    sides = make_anchors(teacher.anchors, size)[:, 2]  # (T,)
    return DistillationCriterion(
        CRITERIA[config.criterion],
        teacher,
        torch.from_numpy(rows),
        settings,
        followed=torch.from_numpy(sides >= settings.smallest),
    )


def open_data(
    config: TrainConfig,
    data: Path,
    pixels: Path,
    anchors: AnchorSpec,
    *,
    mistakes: Path | None = None,
    rank: int,
    progress: Callable[[int, int], None],
) -> CropDataset:
    """Crops of a recipe's sets; see `open_sets`."""
    sets = open_sets(config, data, pixels, rank=rank, progress=progress)
    return CropDataset(
        *sets,
        config.crop,
        anchors,
        seed=config.seed,
        pool=config.pool,
        mistakes=read_mistakes(mistakes, sets.images) if mistakes else None,
    )


class Sets(NamedTuple):
    """All labelled sets of a recipe as one."""

    store: PixelStore
    images: list[LabelledImage]
    weights: Doubles  # how often each picture is drawn


def open_sets(
    config: TrainConfig,
    data: Path,
    pixels: Path,
    *,
    rank: int,
    progress: Callable[[int, int], None],
) -> Sets:
    """Labels and decoded pictures; the first rank of each machine decodes, the others wait."""
    images: list[LabelledImage] = []
    weights = []
    for part in config.data:
        labelled = read_labels(data / part.labels)
        faces = np.array([np.count_nonzero(~image.ignore) for image in labelled])
        weights.append(part.weight * (1.0 + faces) ** config.crowd)
        images += labelled
    # The very first alone: other machines may see its folder, and need not decode then.
    turn = 0 if rank == 0 else 1 if os.environ.get("LOCAL_RANK") == "0" else 2
    ranks_wait = torch.distributed.is_initialized()
    for _ in range(turn if ranks_wait else 0):
        torch.distributed.barrier()
    store = PixelStore(pixels, [image.path for image in images], progress=progress)
    for _ in range(2 - turn if ranks_wait else 0):
        torch.distributed.barrier()
    return Sets(store, images, np.concatenate(weights))


def join_ranks() -> tuple[int, int]:
    """This process's rank and the number of ranks, as torchrun sets them."""
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks > 1:
        torch.distributed.init_process_group("gloo")
    return int(os.environ.get("RANK", "0")), ranks
