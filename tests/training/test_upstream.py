"""Reading foreign weights: complete or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from featherface.training.upstream import load_featherface_v1

NAME = "featherface_v1_widerface.safetensors"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors"):
        load_featherface_v1(tmp_path / "absent.safetensors")


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"backbone.weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"other\.safetensors.*backbone\.weight"):
        load_featherface_v1(path)


def test_no_key_may_be_missing(shared: Path, tmp_path: Path) -> None:
    state = load_file(shared / "weights" / NAME)
    del state["bifpn.2.p5_w2"]
    path = tmp_path / "incomplete.safetensors"
    save_file(state, path)
    with pytest.raises(ValueError, match=r"bifpn\.2\.p5_out\.weights"):
        load_featherface_v1(path)
