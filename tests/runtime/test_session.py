"""An exported graph, opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from featherface.metadata import KEY, ModelError
from featherface.runtime.session import Session
from featherface.types import Detections, Pixels


def red_cells(*cells: tuple[int, int, int]) -> Pixels:
    """A black picture of 3 x 4 cells; some cells (row, column) are red to a degree of 255."""
    pixels = np.zeros((96, 128, 3), np.uint8)
    for row, column, red in cells:
        pixels[32 * row : 32 * row + 32, 32 * column : 32 * column + 32, 0] = red
    return pixels


@pytest.fixture
def session(toy_graph: Path) -> Session:
    return Session(toy_graph.read_bytes(), source="toy.onnx")


def run(session: Session, *images: Pixels, score: float = 0.1, count: int = 99) -> list[Detections]:
    return session.run(np.stack(images), score=score, overlap=0.4, max_faces=count)


def test_faces_of_a_picture_best_first(session: Session) -> None:
    (faces,) = run(session, red_cells((0, 1, 102), (2, 3, 255), (1, 0, 153)))
    np.testing.assert_allclose(faces.scores, [1.0, 0.6, 0.4], atol=1e-5)
    assert faces.boxes.tolist() == [[96, 64, 128, 96], [0, 32, 32, 64], [32, 0, 64, 32]]
    assert faces.landmarks[0].tolist() == [[104, 76], [120, 76], [112, 82], [106, 88], [118, 88]]
    assert faces.boxes.dtype == faces.scores.dtype == faces.landmarks.dtype == np.float32


def test_a_batch_is_its_pictures_one_by_one(session: Session) -> None:
    images = [red_cells((0, 1, 200)), red_cells(), red_cells((2, 3, 90), (0, 0, 255))]
    together = run(session, *images)
    assert [len(faces) for faces in together] == [1, 0, 2]
    for image, faces in zip(images, together, strict=True):
        (alone,) = run(session, image)
        np.testing.assert_array_equal(faces.boxes, alone.boxes)
        np.testing.assert_array_equal(faces.scores, alone.scores)


def test_limits_go_into_the_graph(session: Session) -> None:
    image = red_cells((0, 1, 102), (2, 3, 255), (1, 0, 153))
    assert len(run(session, image, score=0.5)[0]) == 2
    assert run(session, image, count=1)[0].boxes.tolist() == [[96, 64, 128, 96]]


def test_info_comes_from_the_graph(session: Session) -> None:
    assert (session.info.name, session.info.parameters) == ("toy", 3)


def test_several_threads_find_the_same(toy_graph: Path, session: Session) -> None:
    two = Session(toy_graph.read_bytes(), source="toy.onnx", threads=2)
    image = red_cells((0, 1, 102), (2, 3, 255))
    np.testing.assert_array_equal(run(two, image)[0].boxes, run(session, image)[0].boxes)


@pytest.mark.parametrize("content", [b"", b"no graph", bytes(100)])
def test_something_that_is_no_graph(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"^a\.onnx: is not an ONNX graph.*featherface export"):
        Session(content, source="a.onnx")


def test_a_graph_of_somebody_else(toy_graph: Path) -> None:
    model = onnx.load(toy_graph)
    onnx.helper.set_model_props(model, {"author": "somebody"})
    with pytest.raises(ModelError, match=r"^a\.onnx: has no entry 'featherface'"):
        Session(model.SerializeToString(), source="a.onnx")


def test_a_graph_of_the_future(toy_graph: Path) -> None:
    model = onnx.load(toy_graph)
    onnx.helper.set_model_props(model, {KEY: '{"format": 2}'})
    with pytest.raises(ModelError, match=r"^a\.onnx: is of format 2"):
        Session(model.SerializeToString(), source="a.onnx")
