"""The detector: any picture in, faces in that picture's own pixels out."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherface import Detections, Detector, ImageError, ModelError, weights
from featherface.rgb import TURNS
from featherface.runtime import detector as detector_module
from featherface.types import Pixels

ROOT = Path(__file__).resolve().parents[2]


def picture(height: int = 90, width: int = 150) -> Pixels:
    """Black, with two red cells of 32 x 32, one of them at the border."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[32:64, 64:96] = (255, 0, 0)
    pixels[64:90, 128:150] = (255, 0, 0)
    return pixels


@pytest.fixture
def detector(toy_graph: Path) -> Detector:
    return Detector(toy_graph, score=0.3)


def assert_same(one: Detections, other: Detections, *, score: float = 1e-6) -> None:
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-4)
    np.testing.assert_allclose(one.scores, other.scores, atol=score)
    np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-4)


def test_faces_are_in_pixels_of_the_picture_and_end_at_its_border(detector: Detector) -> None:
    faces = detector.detect(picture())
    assert faces.boxes.tolist() == [[64, 32, 96, 64], [128, 64, 150, 90]]
    assert faces.scores[0] > faces.scores[1]
    assert faces.landmarks[0, 2].tolist() == [80, 50]


def test_what_lies_in_the_padding_is_no_face(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featherface.image.MULTIPLE", 64)
    monkeypatch.setattr("featherface.image.PADDING", (255, 0, 0))
    assert len(detector.detect(np.zeros((64, 64, 3), np.uint8))) == 0
    padded = detector.fit(np.zeros((32, 32, 3), np.uint8))
    assert len(detector.detect(padded.pixels)) == 3
    assert len(detector.find([padded])[0]) == 0


def test_paths_bytes_and_images_are_taken(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(picture()).save(path)
    for given in (path, str(path), path.read_bytes(), Image.open(path)):
        assert_same(detector.detect(given), detector.detect(picture()))


@pytest.mark.parametrize("factor", [0.5, 2, 3])
def test_a_scaled_picture_has_the_same_faces(toy_graph: Path, factor: float) -> None:
    """Whatever the picture's own size, at one `size` the network sees the same."""
    pixels = np.zeros((96, 160, 3), np.uint8)
    pixels[32:64, 64:96] = (255, 0, 0)
    scaled = Image.fromarray(pixels).resize(
        (int(160 * factor), int(96 * factor)), Image.Resampling.BOX
    )
    faces = Detector(toy_graph, size=160).detect(scaled)
    np.testing.assert_allclose(faces.boxes, np.array([[64, 32, 96, 64]]) * factor, atol=1e-3)
    np.testing.assert_allclose(faces.landmarks[0, 2], np.array([80, 50]) * factor, atol=1e-3)


@pytest.mark.parametrize("size", ["original", 96, 150, 300])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_has_the_same_faces_however_the_camera_was_held(
    toy_graph: Path, size: int, orientation: int
) -> None:
    inverse = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    upright = Image.fromarray(picture())
    turn = inverse.get(orientation, TURNS.get(orientation))
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, "PNG", exif=exif)
    detector = Detector(toy_graph, size=size, score=0.05)
    found = detector.detect(file.getvalue())
    assert len(found) >= 2
    # Resampling rounds after each direction, so a transposed picture may differ by one level.
    assert_same(found, detector.detect(upright), score=1 / 255)


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "P", "RGB"])
def test_colour_modes(detector: Detector, mode: str) -> None:
    faces = detector.detect(Image.fromarray(picture()).convert(mode))
    assert faces.boxes[0].tolist() == [64, 32, 96, 64]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I", "I;16", "F"])
def test_grey_modes_have_nothing_red(detector: Detector, mode: str) -> None:
    grey = Image.fromarray(picture()).convert("L")
    image = grey.convert("I").convert(mode) if mode == "I;16" else grey.convert(mode)
    assert len(detector.detect(image)) == 0


@pytest.mark.parametrize("size", ["original", 64])
def test_a_batch_is_its_pictures_one_by_one(
    toy_graph: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, whatever the shapes, and whichever pictures go through the graph together."""
    pictures = [picture(), picture(200, 170), picture()[::-1], picture(91, 151), picture(40, 900)]
    detector = Detector(toy_graph, score=0.3, size=size)
    alone = [detector.detect(each) for each in pictures]
    assert any(len(faces) == 0 for faces in alone)
    assert any(len(faces) > 1 for faces in alone) or size == 64
    for pixels in (1, 50_000, 10**9):
        monkeypatch.setattr(detector_module, "BATCH_PIXELS", pixels)
        for one, other in zip(alone, detector.detect_batch(iter(pictures)), strict=True):
            assert_same(one, other)
    assert detector.detect_batch([]) == []


def test_score_of_a_call_goes_before_the_detectors_own(detector: Detector) -> None:
    assert len(detector.detect(picture(), score=0.9)) == 1
    assert len(detector.detect_batch([picture()], score=0.9)[0]) == 1
    assert len(detector.detect(picture())) == 2
    with pytest.raises(ValueError, match="score is 50, wanted 0 to 1"):
        detector.detect(picture(), score=50)


@pytest.mark.parametrize("shape", [(1, 1), (10, 20_000), (20_000, 10)])
@pytest.mark.parametrize("size", ["original", 640])
def test_extreme_shapes(toy_graph: Path, shape: tuple[int, int], size: int) -> None:
    pixels = np.full((*shape, 3), (255, 0, 0), np.uint8)
    faces = Detector(toy_graph, size=size, score=0.01).detect(pixels)
    assert (faces.boxes >= 0).all()
    assert (faces.boxes <= [shape[1], shape[0], shape[1], shape[0]]).all()


def test_a_picture_without_faces(detector: Detector) -> None:
    faces = detector.detect(np.zeros((100, 100, 3), np.uint8))
    assert faces.boxes.shape == (0, 4)
    assert faces.landmarks.shape == (0, 5, 2)


def test_a_picture_that_cannot_be_read_is_named(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "letter.jpg"
    path.write_text("Dear reader")
    with pytest.raises(ImageError, match=r"letter\.jpg: "):
        detector.detect(path)
    with pytest.raises(ImageError, match=r"letter\.jpg: "):
        detector.detect_batch([picture(), path])


def test_a_pickled_detector_finds_the_same(
    toy_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toy_graph.parent)
    detector = Detector(toy_graph.name, score=0.2, size=160, tiles=128, threads=2)
    packed = pickle.dumps(detector)
    monkeypatch.chdir(tmp_path)
    copy = pickle.loads(packed)
    assert (copy.score, copy.size, copy.tiles) == (0.2, 160, 128)
    assert copy.sha256 == hashlib.sha256(toy_graph.read_bytes()).hexdigest()
    assert_same(copy.detect(picture()), detector.detect(picture()))


def test_several_threads_may_share_a_detector(detector: Detector) -> None:
    wanted = detector.detect(picture())
    with ThreadPoolExecutor(4) as pool:
        for faces in pool.map(detector.detect, [picture()] * 40):
            assert_same(faces, wanted)


def test_weights_that_ship_go_by_name(
    toy_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = toy_graph.read_bytes()
    (tmp_path / f"{weights.DEFAULT}.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  {weights.DEFAULT}.onnx\n")
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    for detector in (Detector(), Detector(weights.DEFAULT), pickle.loads(pickle.dumps(Detector()))):
        assert detector.info.name == "toy"
        assert len(detector.detect(picture())) == 2


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("nano_x", r"nano_x\.onnx: does not ship"),
        ("models/nano_x.onnx", r"models.nano_x\.onnx: no such file"),
        ("model.safetensors", r"model\.safetensors: is no \.onnx file.*featherface export"),
        (Path("run/state.pt"), r"state\.pt: is no \.onnx file"),
    ],
)
def test_weights_that_are_not_there(given: str | Path, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        Detector(given)


def test_settings_out_of_range(toy_graph: Path) -> None:
    with pytest.raises(ValueError, match="score is -1"):
        Detector(toy_graph, score=-1)
    with pytest.raises(ValueError, match='size is 0, wanted "original" or at least 1'):
        Detector(toy_graph, size=0)
    with pytest.raises(ValueError, match="tiles is 64, wanted at least 128"):
        Detector(toy_graph, tiles=64)
    with pytest.raises(ValueError, match="threads is 0"):
        Detector(toy_graph, threads=0)


def test_a_detection_needs_no_torch(toy_graph: Path) -> None:
    program = (
        "import sys, numpy, featherface\n"
        f"detector = featherface.Detector({str(toy_graph)!r})\n"
        "picture = numpy.zeros((64, 64, 3), numpy.uint8)\n"
        "picture[:32, :32, 0] = 255\n"
        "print(len(detector.detect(picture)), {'torch', 'cyclopts', 'onnx'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == "1 set()", ran.stderr
