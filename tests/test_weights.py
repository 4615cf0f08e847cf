"""The weights that ship: found, complete, checked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from featherface import weights
from featherface.metadata import ModelError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of our own in the place of those that ship, as `sha256sum` lists them."""
    files = {"a.onnx": b"graph", "a.safetensors": b"tensors", "b.onnx": b"other"}
    rows = []
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        rows.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    (tmp_path / "SHA256SUMS").write_text("".join(rows))
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    return tmp_path


def test_names_and_contents(folder: Path) -> None:
    assert weights.names() == ("a", "b")
    assert weights.read("a") == b"graph"
    assert weights.read("a", suffix=".safetensors") == b"tensors"


def test_unknown_names_are_answered_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"c\.onnx: .*what does: a\.onnx, b\.onnx"):
        weights.read("c")
    with pytest.raises(ModelError, match=r"b\.safetensors: .*what does: a\.safetensors\)"):
        weights.read("b", suffix=".safetensors")


def test_damaged_weights_are_refused(folder: Path) -> None:
    (folder / "a.onnx").write_bytes(b"grapf")
    with pytest.raises(ModelError, match=r"a\.onnx: is damaged.*pip install"):
        weights.read("a")


def test_every_weight_file_that_ships_is_in_the_table_and_the_other_way_round() -> None:
    folder = Path(weights.__file__).parent
    there = {path.name for path in folder.iterdir() if path.suffix in (".onnx", ".safetensors")}
    assert there == set(weights.sums())
    for name in there:
        assert weights.read(Path(name).stem, suffix=Path(name).suffix)
        assert (folder / name).with_suffix(".md").is_file(), "each network has its card"
