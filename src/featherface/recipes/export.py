"""`featherface export`: a trained network in, one ONNX file out."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from featherface.export.onnx import export_onnx
from featherface.image import fit
from featherface.metadata import ModelError, ModelInfo
from featherface.models.featherface_v1 import FeatherFaceV1
from featherface.models.nano_b import NanoB
from featherface.recipes.info import costs
from featherface.runtime.folder import find_pictures
from featherface.training.checkpoint import CheckpointError, load_model
from featherface.training.upstream import load_featherface_v1
from featherface.types import Pixels

SAMPLE = 100
"""Photographs that integers are calibrated with."""

LONG_SIDE = 640


def main(
    weights: Path,
    output: Path,
    *,
    name: str | None = None,
    recipe: str | None = None,
    data: str | None = None,
    data_licence: str = "",
    trained: str | None = None,
    int8: Path | None = None,
) -> None:
    """Turn a trained network into .onnx: pixels in, boxes, scores and landmarks out.

    The file is compared with the network at three sizes before it is put in place.

    Args:
        weights: A run's folder, its model.safetensors, or the published FeatherFace V1 weights.
        output: The .onnx file to write.
        name: Name of the network to keep in the file, if not the one that it was trained under.
        recipe: File that it was trained with, to keep in the file.
        data: What it was trained on, if not the sets that the weights name.
        data_licence: What that data may be used for, to keep in the file.
        trained: How long it was trained, if not the number of crops that the weights tell.
        int8: Folder of photographs like those that it will see; a hundred of them calibrate
            integers of 8 bits for the dense 3x3 convolutions. Faster on processors with VNNI,
            slower and less exact on others; measure with: featherface evaluate.
    """
    photographs = None if int8 is None else _sample(int8)
    model, facts = _load(weights / "model.safetensors" if weights.is_dir() else weights)
    cost = costs(copy.deepcopy(model).to("meta"))["total"]
    sets = facts.get("recipe", {}).get("data", ())
    crops = facts.get("crops")
    info = ModelInfo(
        name=name or facts.get("name", ""),
        parameters=cost.parameters,
        macs_640=cost.macs,
        anchors=model.config.anchors,
        recipe=recipe or "",
        data=data if data is not None else ", ".join(each["labels"] for each in sets),
        data_licence=data_licence,
        trained=trained if trained is not None else f"{crops:,} crops" if crops else "",
    )
    parity = export_onnx(model, output, info, calibration=photographs)
    print(
        f"{output}: {info.name}, {info.parameters:,} parameters, "
        f"{info.macs_640 / 1e6:,.1f} M MACs at 640x640, {output.stat().st_size / 1e3:,.0f} kB"
    )
    print(
        f"differs from the network by at most {parity.score:.1e} in scores "
        f"and {parity.pixels:.1e} pixels" + (" before quantisation" if int8 else "")
    )


def _sample(folder: Path) -> list[Pixels]:
    """Some of a folder's photographs, always the same ones, at the size of the benchmarks.

    Raises:
        ImageError: there is none, or one cannot be read.
    """
    files = find_pictures([folder])
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(files), min(SAMPLE, len(files)), replace=False)
    return [fit(files[index], long_side=LONG_SIDE).pixels for index in chosen]


def _load(path: Path) -> tuple[NanoB | FeatherFaceV1, dict[str, Any]]:
    """A network and what its file says about it.

    Raises:
        ModelError: the file is none of those that can be exported.
    """
    try:
        return load_model(path)
    except CheckpointError as error:
        try:
            return load_featherface_v1(path), {"name": "featherface_v1"}
        except (SafetensorError, ValueError, OSError):
            raise ModelError(str(error)) from error
