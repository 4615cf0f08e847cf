"""What several tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import postgres_server
import pytest
from PIL import Image

from featherface.anchors import NANO_B
from featherface.metadata import KEY, ModelInfo

ROOT = Path(__file__).resolve().parent.parent

# Threads of torch that wait for each other by spinning take minutes where others work too.
os.environ["OMP_NUM_THREADS"] = "1"
hypothesis.settings.register_profile("no clock", deadline=None)
hypothesis.settings.load_profile("no clock")


@pytest.fixture
def shared() -> Path:
    """The folder with photographs, labels and foreign weights that only developers have."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder shared/ beside the repository (data that is not published)")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded randomness."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    with postgres_server.serving() as url:
        yield url


TOY = """
<ir_version: 10, opset_import: ["": 18]>
toy (uint8[B, H, W, 3] images, float[1] score_threshold, float[1] iou_threshold, int64[1] max_faces)
    => (float[N, 4] boxes, float[N] scores, float[N, 5, 2] landmarks, int64[N] image_index)
<int64 zero = {0}, int64 two = {2}, int64[1] b = {0}, int64[1] one = {1}, int64[1] at_2 = {2},
    int64[1] at_4 = {4}, int64[2] x_y = {1, 0}, int64[3] b_1_a = {0, 1, -1}, float side = {32},
    float[1, 3, 1, 1] red = {0.00392157, -0.00196078, -0.00196078},
    float[5, 2] face = {8, 12, 24, 12, 16, 18, 10, 24, 22, 24}>
{
    pixels = Cast <to = 1> (images)
    channels = Transpose <perm = [0, 3, 1, 2]> (pixels)
    cells = AveragePool <kernel_shape = [32, 32], strides = [32, 32]> (channels)
    redness = Conv (cells, red)
    all_scores = Reshape (redness, b_1_a)
    shape = Shape (redness)
    rows_columns = Slice (shape, at_2, at_4)
    grid = ConstantOfShape <value = float[1] {1}> (rows_columns)
    row_column = NonZero (grid)
    column_row = Gather <axis = 0> (row_column, x_y)
    cell = Transpose (column_row)
    whole = Cast <to = 1> (cell)
    corner = Mul (whole, side)
    opposite = Add (corner, side)
    all_boxes = Concat <axis = 1> (corner, opposite)
    batch_shape = Slice (shape, b, one)
    repeats = Concat <axis = 0> (batch_shape, one, one)
    batch_boxes = Expand (all_boxes, repeats)
    picked = NonMaxSuppression (batch_boxes, all_scores, max_faces, iou_threshold, score_threshold)
    image_index = Gather <axis = 1> (picked, zero)
    which = Gather <axis = 1> (picked, two)
    boxes = Gather (all_boxes, which)
    scores = GatherND (all_scores, picked)
    at = Gather (corner, which)
    face_at = Unsqueeze (at, one)
    landmarks = Add (face_at, face)
}
"""


@pytest.fixture(scope="session")
def toy_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph like the exported ones, which takes red cells of 32 x 32 pixels for faces."""
    import onnx.parser

    info = ModelInfo("toy", parameters=3, macs_640=1200, anchors=NANO_B, recipe="none")
    model = onnx.parser.parse_model(TOY)
    onnx.checker.check_model(model, full_check=True)
    onnx.helper.set_model_props(model, {KEY: info.to_json()})
    path = tmp_path_factory.mktemp("toy") / "toy.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture
def photos(tmp_path: Path, toy_graph: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with pictures, a broken one and weights."""
    for name, faces in {"in/a.png": 1, "in/sub/b.jpg": 2, "in/sub/none.png": 0}.items():
        pixels = np.zeros((64, 96, 3), np.uint8)
        for face in range(faces):
            pixels[:32, 64 * face : 64 * face + 32, 0] = 255
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (tmp_path / "text.jpg").write_text("Dear reader")
    (tmp_path / "toy.onnx").write_bytes(toy_graph.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path
