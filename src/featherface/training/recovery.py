"""What a proposed network is worth: cut it out, train it for a moment, look at held-out crops.

Every network gets the same crops, in the same order, and is measured on the same ones, so that
differences in the loss come from the networks.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from featherface.data.loader import Batch
from featherface.models.layers import normalise
from featherface.models.nano_b import NanoB, NanoBConfig
from featherface.pruning.surgery import cut_network
from featherface.training.loop import FitConfig, fit, is_finished
from featherface.training.losses import Criterion

CALIBRATION = 8  # batches that the norms' statistics are taken from


@dataclass(frozen=True, slots=True)
class Recovery:
    """Measures proposals; always gives the same loss for the same one.

    Attributes:
        dense: what proposals are cut out of; not changed.
        recovery: crops to train on.
        validation: crops to measure on.
        criterion: see `losses`.
        anchors: (A, 4) cxcywh of the crop size.
        fit: how to train; `crops` are those of `recovery`.
    """

    dense: NanoB
    recovery: Sequence[Batch]
    validation: Sequence[Batch]
    criterion: Criterion
    anchors: Tensor
    fit: FitConfig

    def __call__(self, network: NanoBConfig, folder: Path) -> float | None:
        """The loss of a network, or None when a signal asked to stop.

        Args:
            network: the widths to cut the dense network to.
            folder: for the state that an interrupted training goes on from; removed at the end.

        Raises:
            FloatingPointError: when the training diverges or the loss is not finite.
        """
        folder.mkdir(parents=True, exist_ok=True)
        average = fit(
            cut_network(self.dense, network),
            lambda seen: iter(self.recovery[seen // self.fit.batch :]),
            self.criterion,
            self.anchors,
            folder,
            self.fit,
            facts={},
        )
        if not is_finished(folder, self.fit):
            return None
        recalibrate(average.model, self.recovery[:CALIBRATION])
        loss = self.measure(average.model)
        if not math.isfinite(loss):
            raise FloatingPointError(f"{folder}: the validation loss is {loss}")
        shutil.rmtree(folder)
        return loss

    @torch.no_grad()
    def measure(self, model: NanoB) -> float:
        """Mean loss a batch of the validation crops."""
        model.eval()
        total = 0.0
        for batch in self.validation:
            losses = self.criterion(model(normalise(batch.images)), batch, self.anchors)
            total += sum(loss.item() for loss in losses.values())
        return total / len(self.validation)

    @torch.no_grad()
    def difference(self, one: NanoB, other: NanoB) -> float:
        """The largest one between two networks' raw outputs on the validation crops."""
        largest = 0.0
        for batch in self.validation:
            images = normalise(batch.images)
            for ours, theirs in zip(one.eval()(images), other.eval()(images), strict=True):
                largest = max(largest, (ours - theirs).abs().max().item())
        return largest


@torch.no_grad()
def recalibrate(model: NanoB, batches: Sequence[Batch]) -> None:
    """Take the statistics of the norms anew, as means over the batches, in place; eval mode after.

    Channels that went have moved all that comes after them. The neck's norms have a momentum of
    0.01 and would need hundreds of steps to follow: they would decide over a short trial.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a mean of all batches
    model.train()
    for batch in batches:
        model(normalise(batch.images))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
