"""`featherface distill`: a training run that follows a teacher as well as the labels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from featherface.recipes.config import read_recipe
from featherface.recipes.train import Inputs, adjusted, launch
from featherface.training.distill import DistillConfig


def main(
    recipe: Path,
    run: Path,
    *,
    teacher: Path,
    data: Path = Path(),
    weights: Path | None = None,
    crops: int | None = None,
    minutes: float | None = None,
    seed: int | None = None,
    pixels: Path | None = None,
    mistakes: Path | None = None,
    cache: Path | None = None,
    quiet: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Train a network with a teacher, or go on with a run that was stopped.

    Args:
        recipe: a TOML file like those in configs/, with or without a [distill] table.
        run: folder for the results; if it holds a `state.pt` the run goes on from there.
        teacher: the network to follow: the safetensors file of a run or of FeatherFace V1, or what
            `featherface export` made of it, which answers sooner.
        data: folder that the recipe's labelled sets lie in.
        weights: safetensors file whose weights (or backbone) a new run starts from.
        crops: crops to see, instead of the recipe's number.
        minutes: training time, instead of the recipe's.
        seed: instead of the recipe's.
        pixels: folder for the decoded pictures, by default beside the run.
        mistakes: see `featherface train`.
        cache: folder that keeps the teacher's answers; of use when crops come again, in this run
            (`pool` in the recipe) or in another one with the same seed.
        quiet: no progress on the terminal.
    """
    config = adjusted(read_recipe(recipe), crops, minutes, seed)
    config = dataclasses.replace(config, distill=config.distill or DistillConfig())
    inputs = Inputs(
        data=data, pixels=pixels, weights=weights, mistakes=mistakes, teacher=teacher, cache=cache
    )
    launch(config, run, inputs, quiet=quiet)
