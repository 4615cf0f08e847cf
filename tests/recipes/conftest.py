"""What the tests of the recipes share: a few drawn pictures with labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featherface.data.synthetic import write_dataset


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What configs/smoke.toml trains on."""
    folder = tmp_path_factory.mktemp("drawn")
    write_dataset(folder, np.random.default_rng(0), pictures=4, size=(160, 160), faces=4)
    return folder
