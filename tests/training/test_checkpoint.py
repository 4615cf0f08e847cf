"""Files of a run: what is read back equals what was written, and nothing else is accepted."""

from __future__ import annotations

import ast
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import featherface
from featherface.models.nano_b import NanoB
from featherface.training import checkpoint
from featherface.training.checkpoint import (
    KEY,
    CheckpointError,
    load_model,
    load_state,
    save_model,
    save_state,
)

STEM = "backbone.stage1.0.0.weight"


@pytest.fixture
def saved(tiny: NanoB, weights_file: Path) -> Path:
    """A file that can be read."""
    save_model(weights_file, tiny, {"crops": 7})
    return weights_file


def test_a_network_comes_back(tiny: NanoB, saved: Path) -> None:
    model, about = load_model(saved)
    assert model.config == tiny.config
    assert about["crops"] == 7
    assert not model.training
    assert model.state_dict().keys() == tiny.state_dict().keys()
    for name, value in tiny.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    images = torch.rand(1, 3, 64, 64)
    for one, other in zip(model(images), tiny.eval()(images), strict=True):
        assert torch.equal(one, other)


def test_memory_layout_does_not_matter(tiny: NanoB, saved: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "last.safetensors", tiny.to(memory_format=torch.channels_last), {})
    one, other = load_file(saved), load_file(tmp_path / "last.safetensors")
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def spoil(path: Path, how: str) -> None:
    content = path.read_bytes()
    state = load_file(path)
    about = {KEY: "{}"}
    match how:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("these are no weights at all, but many letters")
        case "cut in the header":
            path.write_bytes(content[:50])
        case "cut in the weights":
            path.write_bytes(content[:-100])
        case "pickle":
            path.write_bytes(pickle.dumps({"weight": 1}))
        case "foreign":
            save_file({"weight": torch.zeros(2)}, path)
        case "no JSON":
            save_file(state, path, {KEY: "{broken"})
        case "a list":
            save_file(state, path, {KEY: "[1]"})
        case "no configuration":
            save_file(state, path, about)
        case "odd widths":
            save_file(state, path, {KEY: '{"config": {"widths": [[1]], "anchors": {}}}'})
        case "a key too few":
            save_with_facts(path, {k: v for k, v in state.items() if k != STEM}, content)
        case "a key too many":
            save_with_facts(path, state | {"extra": torch.zeros(1)}, content)
        case "another shape":
            save_with_facts(path, state | {STEM: state[STEM][:1].clone()}, content)


def save_with_facts(path: Path, state: dict[str, torch.Tensor], content: bytes) -> None:
    """The metadata as it was, other weights."""
    path.write_bytes(content)
    with safe_open(path, "pt") as file:
        facts = file.metadata()
    save_file(state, path, facts)


@pytest.mark.parametrize(
    "how",
    [
        "empty",
        "text",
        "cut in the header",
        "cut in the weights",
        "pickle",
        "foreign",
        "no JSON",
        "a list",
        "no configuration",
        "odd widths",
        "a key too few",
        "a key too many",
        "another shape",
    ],
)
def test_a_file_that_is_not_a_network_is_named(saved: Path, how: str) -> None:
    spoil(saved, how)
    with pytest.raises(CheckpointError, match=f"^{saved}: "):
        load_model(saved)


@pytest.mark.parametrize("name", ["absent.safetensors", "."])
def test_no_file_at_all(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"no such file; give a model\.safetensors"):
        load_model(tmp_path / name)


def test_a_failing_save_leaves_the_old_file(
    tiny: NanoB, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full_disk(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_model(saved, tiny, {})
    with pytest.raises(OSError, match="no space"):
        save_state(saved, {"seen": 1})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_state_comes_back(tmp_path: Path, tiny: NanoB) -> None:
    optimiser = torch.optim.AdamW(tiny.parameters())
    state = {"model": tiny.state_dict(), "optimiser": optimiser.state_dict(), "seen": 3}
    save_state(tmp_path / "state.pt", state)
    again = load_state(tmp_path / "state.pt")
    assert again["seen"] == 3
    assert again["optimiser"] == state["optimiser"]
    assert all(torch.equal(v, again["model"][k]) for k, v in tiny.state_dict().items())


class Malicious:
    """What pickle would execute."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.trace),)


def test_a_state_never_runs_code(tmp_path: Path) -> None:
    path, trace = tmp_path / "state.pt", tmp_path / "was_here"
    torch.save({"model": Malicious(trace)}, path)
    with pytest.raises(CheckpointError, match=r"state\.pt: cannot be resumed from"):
        load_state(path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [None, b"", b"text", "cut", "tensor"])
def test_a_broken_state_is_named(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "state.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "cut":
        save_state(path, {"model": torch.zeros(100)})
        path.write_bytes(path.read_bytes()[:-200])
    elif content == "tensor":
        torch.save(torch.zeros(3), path)
    with pytest.raises(CheckpointError, match=f"^{path}: .*delete it to start anew"):
        load_state(path)


def test_nothing_in_the_package_unpickles() -> None:
    for module in Path(featherface.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
                assert names.isdisjoint({"pickle", "joblib", "dill", "shelve"}), module
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert options.get("weights_only") == "True", module
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"np.load", "numpy.load"}:
                assert "allow_pickle" not in {keyword.arg for keyword in node.keywords}, module
    assert "torch.load" in Path(checkpoint.__file__).read_text(encoding="utf-8")
