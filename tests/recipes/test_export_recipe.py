"""`featherface export` from a run's files to a file that a detector opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from featherface.image import ImageError
from featherface.metadata import ModelError
from featherface.models.layers import count_parameters
from featherface.models.zoo import nano_b
from featherface.recipes.export import main
from featherface.runtime.detector import Detector
from featherface.training.checkpoint import save_model

FACTS = {
    "name": "nano_b",
    "crops": 3200,
    "recipe": {"data": [{"labels": "one/labels.txt"}, {"labels": "two"}]},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with a small network's weights."""
    torch.manual_seed(0)
    folder = tmp_path / "run"
    folder.mkdir()
    save_model(folder / "model.safetensors", nano_b(), FACTS)
    return folder


def test_a_run_becomes_a_file_that_knows_itself(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "network.onnx"
    main(run, output, recipe="configs/some.toml", data_licence="research only")
    said = capsys.readouterr().out
    assert "119,109 parameters" in said
    assert "pixels" in said
    assert f"{output.stat().st_size / 1e3:,.0f} kB" in said
    info = Detector(output).info
    assert (info.name, info.parameters) == ("nano_b", count_parameters(nano_b()))
    assert info.macs_640 > 10**8
    assert (info.data, info.trained) == ("one/labels.txt, two", "3,200 crops")
    assert (info.recipe, info.data_licence) == ("configs/some.toml", "research only")


def test_the_file_of_weights_does_too_and_facts_can_be_told(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "network.onnx"
    main(run / "model.safetensors", output, name="mine", data="photographs", trained="long")
    info = Detector(output).info
    assert (info.name, info.data, info.trained) == ("mine", "photographs", "long")
    assert len(Detector(output, score=0).detect(np.zeros((40, 50, 3), np.uint8))) > 0


@pytest.mark.parametrize("content", [None, b"", b"not tensors"])
def test_what_is_no_network_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    weights = tmp_path / "model.safetensors"
    if content is not None:
        weights.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        main(weights, tmp_path / "network.onnx")
    assert not (tmp_path / "network.onnx").exists()


def test_published_weights(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(shared / "weights" / "featherface_v1_widerface.safetensors", tmp_path / "v1.onnx")
    assert "featherface_v1, 592,371 parameters" in capsys.readouterr().out
    assert Detector(tmp_path / "v1.onnx").info.name == "featherface_v1"


def test_integers(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photographs = Path(__file__).resolve().parents[2] / "assets"
    main(run, tmp_path / "int8.onnx", int8=photographs)
    assert "before quantisation" in capsys.readouterr().out
    assert "int8" in Detector(tmp_path / "int8.onnx").info.precision
    with pytest.raises(ImageError, match="wanted a picture"):
        main(run, tmp_path / "again.onnx", int8=run)
    assert not (tmp_path / "again.onnx").exists()
