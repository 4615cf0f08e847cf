"""A network that has learned already and only answers: frozen, no gradients, never saved."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from torch import Tensor

from featherface.anchors import AnchorSpec
from featherface.models.featherface_v1 import FeatherFaceV1
from featherface.models.heads import Raw
from featherface.models.layers import normalise
from featherface.models.nano_b import NanoB
from featherface.training.checkpoint import CheckpointError, load_model
from featherface.training.upstream import load_featherface_v1


class Answers(Protocol):
    """Whatever is followed."""

    @property
    def anchors(self) -> AnchorSpec:
        """Its own anchors, in the order of its answers."""

    def __call__(self, images: Tensor) -> Raw:
        """(B, S, S, 3) uint8 RGB -> Raw of those anchors, without gradient."""


class Teacher:
    """Answers for the crops that the student sees; on purpose no module of the criterion.

    Args:
        model: the network; frozen and put in eval mode.
    """

    def __init__(self, model: NanoB | FeatherFaceV1) -> None:
        self.model = model.eval().requires_grad_(False)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.anchors = model.config.anchors

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Raw:
        """(B, S, S, 3) uint8 RGB -> Raw of the teacher's own anchors, without gradient.

        V1's own normalisation, BGR less (104, 117, 123), is `normalise` since its first
        convolution is turned to RGB when it is read.
        """
        raw: Raw = self.model(normalise(images))
        return raw


def load_teacher(path: Path) -> Teacher:
    """A teacher from the `model.safetensors` of a run, or from the published FeatherFace V1.

    Raises:
        CheckpointError: when the file is missing or holds neither.
    """
    try:
        return Teacher(load_model(path)[0])
    except CheckpointError as error:
        not_ours = error
    try:
        return Teacher(load_featherface_v1(path))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file; give a teacher's .safetensors") from error
    except (ValueError, OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: no teacher, wanted the model.safetensors of a run or the published "
            f"FeatherFace V1 ({not_ours}; {error})"
        ) from error
