"""The counts agree with counts by hand, and the cut network with the whole one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from featherface.export.onnx import build
from featherface.models.cost import exported_macs
from featherface.models.nano_b import Hidden, NanoB, NanoBConfig
from onnx_cost import (
    black_picture,
    count_macs,
    count_numbers,
    forward_only,
    free_size,
    last_convolutions,
)

SIZE = (32, 64)  # height, width


def parsed(
    body: str, inputs: str = "float[1, 3, H, W] images", **weights: tuple[int, ...]
) -> onnx.ModelProto:
    """A model in ONNX's own notation, with random weights of the given shapes."""
    text = f'<ir_version: 10, opset_import: ["": 19]> g ({inputs}) => (float[N] out) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    rng = np.random.default_rng(0)
    for name, shape in weights.items():
        values = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def run(model: onnx.ModelProto, names: list[str] | None, **feeds: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(names, feeds)


COUNTED = {
    "plain convolution with stride": (
        "out = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (images, w, b)",
        {"w": (8, 3, 3, 3), "b": (8,)},
        (16 * 32) * 8 * 3 * 9,
    ),
    "depthwise and pointwise": (
        "x = Conv <group = 3, pads = [1, 1, 1, 1]> (images, d) out = Conv (x, p)",
        {"d": (3, 1, 3, 3), "p": (5, 3, 1, 1)},
        (32 * 64) * 3 * 9 + (32 * 64) * 5 * 3,
    ),
    "transposed": (
        "out = ConvTranspose <strides = [2, 2]> (images, w)",
        {"w": (3, 4, 2, 2)},
        (32 * 64) * 3 * 4 * 4,
    ),
    "deformable, as a plain one": (
        "o = Conv (images, f) out = DeformConv <kernel_shape = [1, 1]> (images, w, o)",
        {"f": (2, 3, 1, 1), "w": (7, 3, 1, 1)},
        (32 * 64) * 2 * 3 + (32 * 64) * 7 * 3,
    ),
    "batched matrix product": (
        "out = MatMul (images, w)",
        {"w": (64, 10)},
        3 * (32 * 64) * 10,
    ),
    "dense layer, second operand transposed": (
        "m = GlobalAveragePool (images) v = Flatten (m) out = Gemm <transB = 1> (v, w)",
        {"w": (6, 3)},
        3 * 6,
    ),
    "dense layer, first operand transposed": (
        "m = GlobalAveragePool (images) v = Flatten (m) t = Transpose (v)"
        " out = Gemm <transA = 1> (t, w)",
        {"w": (3, 6)},
        3 * 6,
    ),
    "a size computed in the graph": (
        "s = Shape (images) half = Constant <value = int64[4] {1, 1, 2, 2}> ()"
        " to = Div (s, half) x = Resize (images, , , to) out = Conv (x, w)",
        {"w": (4, 3, 1, 1)},
        (16 * 32) * 4 * 3,
    ),
    "what is not counted": (
        "a = Relu (images) b = MaxPool <kernel_shape = [2, 2]> (a) c = Mul (b, b)"
        " d = BatchNormalization (c, s, s, s, v) out = Conv (d, w)",
        {"s": (3,), "v": (3,), "w": (1, 3, 1, 1)},
        (31 * 63) * 3,
    ),
}


@pytest.mark.parametrize("case", COUNTED)
def test_count_equals_the_count_by_hand(case: str, tmp_path: Path) -> None:
    body, weights, wanted = COUNTED[case]
    assert count_macs(saved(parsed(body, **weights), tmp_path), size=SIZE) == wanted


def test_interleaved_bytes_and_limits_are_fed(tmp_path: Path) -> None:
    model = parsed(
        "f = Cast <to = 1> (pixels) x = Transpose <perm = [0, 3, 1, 2]> (f)"
        " y = Mul (x, limit) out = Conv (y, w)",
        inputs="uint8[B, H, W, 3] pixels, float[1] limit",
        w=(4, 3, 1, 1),
    )
    assert black_picture(model, SIZE)["pixels"].shape == (1, *SIZE, 3)
    assert count_macs(saved(model, tmp_path), size=SIZE) == 32 * 64 * 4 * 3


def test_twice_the_height_costs_twice(tmp_path: Path) -> None:
    body, weights, wanted = COUNTED["plain convolution with stride"]
    path = saved(parsed(body, **weights), tmp_path)
    assert count_macs(path, size=(2 * SIZE[0], SIZE[1])) == 2 * wanted


def test_graph_without_a_picture_is_refused(tmp_path: Path) -> None:
    path = saved(parsed("out = Relu (x)", inputs="float[3] x"), tmp_path)
    with pytest.raises(ValueError, match="one of four dimensions"):
        count_macs(path, size=SIZE)


def test_numbers_are_floating_initialisers_and_constants(tmp_path: Path) -> None:
    model = parsed(
        "k = Constant <value = float[2] {1, 2}> () n = Constant <value = int64[3] {1, 1, 1}> ()"
        " c = Conv (images, w, b) out = Identity (c)",
        w=(4, 3, 3, 3),
        b=(4,),
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(9, np.int64), "ints"))
    assert count_numbers(saved(model, tmp_path)) == 4 * 27 + 4 + 2


def test_forward_ends_at_the_last_convolutions(rng: np.random.Generator) -> None:
    model = parsed(
        "stem = Conv (images, a) x = Relu (stem) side = Conv (x, b) main = Conv (x, a)"
        " p = Sigmoid (side) q = Relu (main) late = Mul (p, q) out = Flatten (late)",
        a=(3, 3, 1, 1),
        b=(1, 3, 1, 1),
    )
    assert last_convolutions(model.graph.node) == ["side", "main"]
    cut = forward_only(model)
    assert [node.op_type for node in cut.graph.node] == ["Conv", "Relu", "Conv", "Conv"]
    picture = rng.normal(size=(1, 3, *SIZE)).astype(np.float32)
    side, main = run(cut, None, images=picture)
    (whole,) = run(model, ["out"], images=picture)
    late = 1 / (1 + np.exp(-side)) * np.maximum(main, 0)
    np.testing.assert_allclose(whole.ravel(), late.ravel(), rtol=1e-5)


def test_forward_of_an_exported_graph_needs_only_the_picture(toy_graph: Path) -> None:
    cut = forward_only(onnx.load(toy_graph))
    assert [value.name for value in cut.graph.input] == ["images"]
    (redness,) = run(cut, None, images=np.full((2, 64, 96, 3), (255, 0, 0), np.uint8))
    np.testing.assert_allclose(redness, np.ones((2, 1, 2, 3)), rtol=1e-3)


def test_network_without_convolution_cannot_be_cut() -> None:
    with pytest.raises(ValueError, match="no convolution"):
        forward_only(parsed("out = Relu (images)"))


def test_freed_graph_takes_other_sizes(rng: np.random.Generator) -> None:
    model = parsed("out = Conv (images, w)", inputs="float[1, 3, 32, 32] images", w=(2, 3, 1, 1))
    picture = rng.normal(size=(1, 3, 64, 32)).astype(np.float32)
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.InvalidArgument):
        run(model, None, images=picture)
    free_size(model)
    top, bottom = picture[:, :, :32], picture[:, :, 32:]
    parts = [run(model, None, images=part)[0] for part in (top, bottom)]
    np.testing.assert_allclose(
        run(model, None, images=picture)[0], np.concatenate(parts, axis=2), rtol=1e-5
    )


def test_graph_of_free_size_keeps_its_shapes(toy_graph: Path) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load(toy_graph))
    before = model.SerializeToString()
    free_size(model)
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    ("file", "numbers", "square", "vga"),
    [
        ("yunet_n_640_640.onnx", 73_848, 0.5423936, 0.4067952),
        ("scrfd_500m_kps.onnx", 626_354, 0.7335456, 0.5501592),
    ],
)
def test_known_detectors(shared: Path, file: str, numbers: int, square: float, vga: float) -> None:
    path = shared / "peers" / file
    assert count_numbers(path) == numbers
    assert count_macs(path, size=(640, 640)) / 1e9 == pytest.approx(square)
    assert count_macs(path, size=(480, 640)) / 1e9 == pytest.approx(vga)


def test_the_work_that_pruning_saves_is_that_of_the_exported_graph(tmp_path: Path) -> None:
    def of_graph(config: NanoBConfig) -> int:
        graph, _ = build(NanoB(config).eval())
        return count_macs(saved(graph, tmp_path), size=(640, 640))

    whole = NanoBConfig()
    narrow = NanoBConfig(
        widths=((8, 15, 30, 31, 40, 27), (60, 70, 72, 64, 63, 50), (100, 87)),
        hidden=Hidden(sequence=7, context=4),
    )
    saving = exported_macs(whole) - exported_macs(narrow)
    assert saving > 1e7
    assert of_graph(whole) - of_graph(narrow) == saving
    assert exported_macs(whole) == pytest.approx(of_graph(whole), rel=0.05)
