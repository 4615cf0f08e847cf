"""What the tests of the recipes share: one thread, a few drawn pictures with labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from featherface.data.synthetic import write_dataset


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors are slowest on many threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What configs/smoke.toml trains on."""
    folder = tmp_path_factory.mktemp("drawn")
    write_dataset(folder, np.random.default_rng(0), pictures=4, size=(160, 160), faces=4)
    return folder
