"""Graphs that somebody has broken, or made to do harm: named and refused, at once or when run."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from featherface import Detector
from featherface.image import fit
from featherface.metadata import ModelError
from featherface.runtime.scrfd import OUTPUTS, Scrfd
from featherface.runtime.session import Session
from featherface.runtime.work import Task, Worker
from featherface.types import Pixels

BLACK: Pixels = np.zeros((1, 64, 64, 3), np.uint8)


def look(graph: onnx.ModelProto, pixels: Pixels = BLACK) -> None:
    session = Session(graph.SerializeToString(), source="a.onnx")
    session.run(pixels, score=0.1, overlap=0.4, max_faces=9)


@pytest.fixture
def graph(toy_graph: Path) -> onnx.ModelProto:
    """A good one, for a test to spoil."""
    model: onnx.ModelProto = onnx.load(toy_graph)
    look(model)
    return model


def node(graph: onnx.ModelProto, output: str) -> onnx.NodeProto:
    return next(each for each in graph.graph.node if output in each.output)


@pytest.mark.parametrize("place", ["inside.bin", "../outside.bin", "absolute", "link.bin"])
def test_weights_in_other_files_are_never_read(
    graph: onnx.ModelProto, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even those beside the graph, which lies where the process runs."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.chdir(folder)
    content = np.zeros(4, np.float32).tobytes()
    for path in (folder / "inside.bin", tmp_path / "outside.bin"):
        path.write_bytes(content)
    Path("link.bin").symlink_to(tmp_path / "outside.bin")
    weights = next(each for each in graph.graph.initializer if each.name == "red")
    weights.ClearField("float_data")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    location = str(tmp_path / "outside.bin") if place == "absolute" else place
    for key, value in (("location", location), ("offset", "0"), ("length", "12")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    Path("a.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(ModelError, match=r"a\.onnx: is not an ONNX graph that can be run"):
        Detector("./a.onnx")
    with pytest.raises(ModelError, match=r"^a\.onnx: is no SCRFD \("):
        Scrfd(Path("a.onnx"), threads=1)


def foreign_operator(graph: onnx.ModelProto) -> None:
    node(graph, "redness").op_type = "Backdoor"


def foreign_domain(graph: onnx.ModelProto) -> None:
    node(graph, "redness").domain = "com.example"
    graph.opset_import.append(helper.make_opsetid("com.example", 1))


def no_pixels(graph: onnx.ModelProto) -> None:
    graph.graph.input[0].name = node(graph, "pixels").input[0] = "picture"


def floats_for_pixels(graph: onnx.ModelProto) -> None:
    graph.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def no_landmarks(graph: onnx.ModelProto) -> None:
    del graph.graph.output[2]


def one_output_more(graph: onnx.ModelProto) -> None:
    graph.graph.output.append(helper.make_tensor_value_info("at", TensorProto.FLOAT, None))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (foreign_operator, "is not an ONNX graph that can be run .*Backdoor"),
        (foreign_domain, r"is not an ONNX graph that can be run .*com\.example"),
        (no_pixels, "takes or gives .*picture.*featherface export"),
        (floats_for_pixels, r"takes or gives .*'images': 'tensor\(float\)'"),
        (no_landmarks, "takes or gives .*wanted .*landmarks"),
        (one_output_more, "takes or gives .*'at'"),
    ],
)
def test_graphs_of_another_kind_are_refused_when_they_are_opened(
    graph: onnx.ModelProto, spoil: Callable[[onnx.ModelProto], None], reason: str
) -> None:
    spoil(graph)
    with pytest.raises(ModelError, match=rf"^a\.onnx: {reason}"):
        Session(graph.SerializeToString(), source="a.onnx")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("output", ["boxes", "landmarks"])
def test_numbers_that_are_not_finite(graph: onnx.ModelProto, value: float, output: str) -> None:
    made = node(graph, output)
    made.output[0] = "before"
    graph.graph.initializer.append(helper.make_tensor("bad", TensorProto.FLOAT, [], [value]))
    graph.graph.node.append(helper.make_node("Add", ["before", "bad"], [output]))
    red = BLACK.copy()
    red[..., 0] = 255
    look(graph)  # no face, no number
    with pytest.raises(ModelError, match=r"^a\.onnx: gives numbers that are not finite"):
        look(graph, red)


def test_outputs_that_disagree(graph: onnx.ModelProto) -> None:
    graph.graph.initializer.append(helper.make_tensor("few", TensorProto.INT64, [1], [1]))
    made = node(graph, "boxes")
    made.output[0] = "before"
    graph.graph.node.append(helper.make_node("Slice", ["before", "b_", "few"], ["boxes"]))
    graph.graph.initializer.append(helper.make_tensor("b_", TensorProto.INT64, [1], [0]))
    red = BLACK.copy()
    red[..., 0] = 255
    with pytest.raises(ModelError, match=r"^a\.onnx: fails at 64 x 64 pixels"):
        look(graph, red)


def test_too_large_for_the_memory(
    graph: onnx.ModelProto, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder such a picture is named, and the others come out."""

    class Full:
        def run(self, *_: object) -> None:
            raise RuntimeError("bfc_arena.cc: Failed to allocate memory for requested buffer")

    session = Session(graph.SerializeToString(), source="a.onnx")
    monkeypatch.setattr(session, "_session", Full())
    with pytest.raises(MemoryError, match=r"not enough memory for 64 x 64 pixels; try tiles"):
        session.run(BLACK, score=0.1, overlap=0.4, max_faces=9)
    worker = Worker(Detector(photos / "toy.onnx"))
    monkeypatch.setattr(worker.detector, "_session", session)
    record = worker(Task(photos / "in" / "a.png")).record
    assert record.error.startswith(f"{photos / 'in' / 'a.png'}: the network has not enough memory")


def test_a_pickle_is_not_a_graph(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(pickle.dumps(Path("/")))
    with pytest.raises(ModelError, match="is not an ONNX graph"):
        Detector(path)


def scrfd_like(path: Path, outputs: list[str]) -> None:
    """A graph with these names, which gives its input everywhere."""
    shape = [1, 3, None, None]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], [name]) for name in outputs],
        "like",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, ir_version=9, opset_imports=opset), path)


def test_a_teacher_that_only_looks_like_one(tmp_path: Path) -> None:
    path = tmp_path / "scrfd.onnx"
    scrfd_like(path, OUTPUTS)
    with pytest.raises(ModelError, match=r"scrfd\.onnx: fails at 64 x 64"):
        Scrfd(path, threads=1).find([fit(np.full((64, 64, 3), 255, np.uint8))], score=0.1)
