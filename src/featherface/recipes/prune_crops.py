"""The crops that pruning trains on and is measured on, of different pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from featherface.anchors import make_anchors
from featherface.data.loader import Batch, CropDataset, collate
from featherface.models.nano_b import NanoB
from featherface.pruning.config import PruneConfig
from featherface.recipes.config import RecipeError, TrainConfig
from featherface.recipes.train import open_sets
from featherface.training.loop import FitConfig
from featherface.training.losses import CRITERIA
from featherface.training.recovery import Recovery

WARMUP = 0.1  # share of a recovery


def open_crops(
    config: TrainConfig,
    prune: PruneConfig,
    dense: NanoB,
    data: Path,
    pixels: Path,
    *,
    rank: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[CropDataset, Recovery]:
    """Endless crops for the soft phase, and the first of them for the trials, in memory.

    Raises:
        RecipeError: when no picture is left to train or to measure on.
    """
    sets = open_sets(config, data, pixels, rank=rank, progress=progress)
    is_held = np.random.default_rng(config.seed).random(len(sets.images)) < prune.hold_out
    if is_held.all() or not is_held.any():
        raise RecipeError(
            f"prune.hold_out: {prune.hold_out} of {len(sets.images)} pictures leaves none to "
            f"{'train' if is_held.all() else 'measure'} on"
        )
    train, held = (
        CropDataset(
            sets.store,
            sets.images,
            sets.weights * chosen,
            config.crop,
            dense.config.anchors,
            seed=config.seed,
        )
        for chosen in (~is_held, is_held)
    )
    fit = config.fit
    recovery = Recovery(
        dense,
        _first(train, prune.recovery, fit.batch),
        _first(held, prune.validation, fit.batch),
        CRITERIA[config.criterion],
        torch.from_numpy(make_anchors(dense.config.anchors, (config.crop.size,) * 2)),
        FitConfig(
            crops=prune.recovery,
            batch=fit.batch,
            rate=fit.rate,
            warmup=WARMUP,
            decay=fit.decay,
            average=fit.average,
            bfloat16=fit.bfloat16,
        ),
    )
    return train, recovery


def _first(dataset: CropDataset, count: int, batch: int) -> list[Batch]:
    """The first crops, in whole batches."""
    starts = range(0, count, batch)
    return [collate([dataset[number] for number in range(s, s + batch)]) for s in starts]
