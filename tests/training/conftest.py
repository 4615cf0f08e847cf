"""What the training tests share: a few drawn pictures, a very small network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from featherface.anchors import NANO_B, make_anchors
from featherface.data.crops import CropConfig
from featherface.data.labels import read_labels
from featherface.data.loader import CropDataset
from featherface.data.pixels import PixelStore
from featherface.data.synthetic import write_dataset
from featherface.models.nano_b import NanoB, NanoBConfig

CROP = 96


@pytest.fixture(scope="session")
def crops(tmp_path_factory: pytest.TempPathFactory) -> CropDataset:
    """Crops of 96 x 96 pixels from four drawn pictures."""
    folder = tmp_path_factory.mktemp("drawn")
    labels = write_dataset(folder, np.random.default_rng(5), pictures=4, size=(160, 160), faces=4)
    images = read_labels(labels)
    store = PixelStore(folder / "pixels", [image.path for image in images])
    config = CropConfig(size=CROP, mosaic=0.3)
    return CropDataset(store, images, np.ones(len(images)), config, NANO_B, seed=0)


@pytest.fixture(scope="session")
def anchors() -> Tensor:
    """(A, 4) of those crops."""
    return torch.from_numpy(make_anchors(NANO_B, (CROP, CROP)))


@pytest.fixture
def tiny() -> NanoB:
    """Every kind of module, few channels."""
    torch.manual_seed(0)
    widths = ((4, 4, 8, 8, 8, 8), (12,) * 6, (16, 16))
    return NanoB(NanoBConfig(widths=widths, channels=16, repeats=1))


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    """Where a test may put weights."""
    return tmp_path / "weights.safetensors"
