"""The quantised graph against the one that it comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from stirring import info_of, stirred

from featherface.boxes import iou
from featherface.export.int8 import dense_convolutions, quantised
from featherface.export.onnx import INPUTS, OUTPUTS, build, export_onnx
from featherface.image import fit
from featherface.metadata import KEY, ModelError
from featherface.runtime.detector import Detector
from featherface.types import Pixels

ASSETS = Path(__file__).resolve().parents[2] / "assets"


@pytest.fixture(scope="module")
def photographs() -> list[Pixels]:
    return [fit(ASSETS / name, long_side=160).pixels for name in ("astronaut.jpg", "collage.jpg")]


@pytest.fixture(scope="module")
def pair(photographs: list[Pixels], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network in float32, and with integers."""
    folder = tmp_path_factory.mktemp("int8")
    model = stirred("nano_b_enhanced")
    paths = (folder / "float.onnx", folder / "int8.onnx")
    export_onnx(model, paths[0], info_of(model))
    export_onnx(model, paths[1], info_of(model), calibration=photographs)
    return paths


def test_inputs_and_outputs_stay_and_the_file_says_what_it_is(pair: tuple[Path, Path]) -> None:
    before, after = map(onnx.load, pair)
    onnx.checker.check_model(after, full_check=True)
    assert [value.name for value in after.graph.input] == list(INPUTS)
    assert [value.name for value in after.graph.output] == list(OUTPUTS)
    assert list(after.graph.input) == list(before.graph.input)
    assert {entry.key for entry in after.metadata_props} == {KEY}
    assert Detector(pair[0]).info.precision == "float32"
    assert "int8" in Detector(pair[1]).info.precision
    assert pair[1].stat().st_size < 0.9 * pair[0].stat().st_size


def test_the_dense_convolutions_and_no_others_run_in_integers(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(pair[1], options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    integer = [node for node in nodes if node.op_type == "QLinearConv"]
    assert len(integer) == 1 + 3 * 4  # scale decoupling, and the context of three levels
    assert sum(node.op_type in ("Conv", "FusedConv") for node in nodes) > 100


def test_the_same_faces_are_found(pair: tuple[Path, Path], photographs: list[Pixels]) -> None:
    before, after = (Detector(path, score=0) for path in pair)
    for picture in photographs:
        wanted, found = before.detect(picture)[:20], after.detect(picture)
        overlap = iou(wanted.boxes, found.boxes)
        partner = overlap.argmax(axis=1)
        assert (overlap.max(axis=1) > 0.6).mean() >= 0.8
        difference = np.abs(found.scores[partner] - wanted.scores)
        assert 0 < np.median(difference) < 0.05


def test_only_dense_3x3_convolutions_are_chosen() -> None:
    graph, _ = build(stirred("nano_b_enhanced"))
    names = set(dense_convolutions(graph))
    shapes = {tensor.name: tensor.dims for tensor in graph.graph.initializer}
    convs = [n for n in graph.graph.node if n.name in names and n.op_type == "Conv"]
    assert {tuple(shapes[node.input[1]][1:]) for node in convs} == {(16, 3, 3), (32, 3, 3)}
    assert all(each.op_type in ("Conv", "Relu", "LeakyRelu") for each in convs)
    assert len(names) > len(convs)


def test_nothing_to_calibrate_with() -> None:
    graph, _ = build(stirred("nano_b"))
    with pytest.raises(ModelError, match="no picture"):
        quantised(graph, [])


def test_nothing_to_quantise(photographs: list[Pixels], tmp_path: Path) -> None:
    graph, _ = build(stirred("nano_b"))
    kept = [node for node in graph.graph.node if node.name not in dense_convolutions(graph)]
    del graph.graph.node[:]
    graph.graph.node.extend(kept)
    with pytest.raises(ModelError, match="no dense 3x3"):
        quantised(graph, photographs)
