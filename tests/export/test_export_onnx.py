"""Exported files against their networks: torch and numpy say what a graph has to say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from stirring import Exported, info_of, stirred
from torch import nn

from featherface.anchors import make_anchors
from featherface.boxes import decode, decode_points, iou, nms
from featherface.export.onnx import (
    INPUTS,
    OUTPUTS,
    PIXEL_TOLERANCE,
    SCORE_TOLERANCE,
    ExportError,
    build,
    export_onnx,
)
from featherface.image import fit
from featherface.metadata import KEY, ModelInfo
from featherface.models.featherface_v1 import FeatherFaceV1
from featherface.models.heads import Raw
from featherface.models.layers import MEAN_RGB, normalise
from featherface.models.nano_b import NanoB, NanoBConfig
from featherface.pruning.groups import Rates, narrowed
from featherface.pruning.surgery import cut_network
from featherface.runtime.detector import OVERLAP, Detector
from featherface.runtime.session import Session
from featherface.training.upstream import load_featherface_v1
from featherface.types import Detections, Pixels

EVERYTHING = 10**6


@pytest.fixture
def session(exported: Exported) -> Session:
    return Session(exported.path.read_bytes(), source=str(exported.path))


@pytest.fixture
def images(rng: np.random.Generator) -> Pixels:
    """Three pictures of 96 x 160: noise, nearly white, dark with a bright bar at the border."""
    pictures = rng.integers(0, 256, (3, 96, 160, 3), dtype=np.uint8)
    pictures[1] |= 240
    pictures[2, :, 8:] //= 8
    return pictures


def raw_of(model: NanoB | FeatherFaceV1, images: Pixels) -> Raw:
    with torch.inference_mode():
        return Raw(*(part.numpy() for part in model(normalise(torch.from_numpy(images)))))


def scores_of(model: NanoB | FeatherFaceV1, images: Pixels) -> np.ndarray:
    """(B, A), from the logits."""
    logits = raw_of(model, images).class_logits.astype(np.float64)
    return 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))


def gap(scores: np.ndarray, count: int) -> float:
    """A threshold that about so many scores exceed, as far as can be from the nearest of them."""
    best = np.sort(scores.ravel())[::-1][count // 2 : count * 2]
    widest = np.argmax(best[:-1] - best[1:])
    return float(best[widest : widest + 2].mean())


def expected_faces(
    model: NanoB | FeatherFaceV1, images: Pixels, *, score: float, overlap: float, max_faces: int
) -> list[Detections]:
    """What numpy makes of the network's raw outputs."""
    raw = raw_of(model, images)
    spec = model.config.anchors
    anchors = make_anchors(spec, images.shape[1:3])
    answer = []
    for row, scores in enumerate(scores_of(model, images).astype(np.float32)):
        keep = np.flatnonzero(scores > score)
        boxes = decode(raw.box_deltas[row, keep], anchors[keep], spec.variances)
        deltas = raw.landmark_deltas[row, keep].reshape(-1, 5, 2)
        points = decode_points(deltas, anchors[keep], spec.variances)
        best = nms(boxes, scores[keep], overlap)[:max_faces]
        answer.append(Detections(boxes[best], scores[keep][best], points[best]))
    return answer


def assert_same(found: Detections, wanted: Detections) -> None:
    """The same faces; two that score nearly the same may have changed places."""
    assert len(found) == len(wanted)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=SCORE_TOLERANCE)
    distance = np.abs(found.boxes[:, None] - wanted.boxes).max(axis=2, initial=0)
    partner = distance.argmin(axis=1) if len(found) else np.zeros(0, int)
    assert sorted(partner) == list(range(len(found)))
    same = wanted[partner]
    np.testing.assert_allclose(found.scores, same.scores, atol=SCORE_TOLERANCE)
    np.testing.assert_allclose(found.boxes, same.boxes, atol=PIXEL_TOLERANCE)
    np.testing.assert_allclose(found.landmarks, same.landmarks, atol=PIXEL_TOLERANCE)


def test_parity_is_well_within_the_tolerance(exported: Exported) -> None:
    assert 0 < exported.parity.score < SCORE_TOLERANCE / 2
    assert 0 < exported.parity.pixels < PIXEL_TOLERANCE / 2


def test_graph_is_network_then_numpy(exported: Exported, session: Session, images: Pixels) -> None:
    score = gap(scores_of(exported.model, images), 1000)
    found = session.run(images, score=score, overlap=0.4, max_faces=EVERYTHING)
    wanted = expected_faces(exported.model, images, score=score, overlap=0.4, max_faces=EVERYTHING)
    assert sum(map(len, wanted)) > 50
    for ours, theirs in zip(found, wanted, strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("size", [(32, 32), (32, 224), (256, 64)])
def test_sizes(
    exported: Exported, session: Session, rng: np.random.Generator, size: tuple[int, int]
) -> None:
    images = rng.integers(0, 256, (1, *size, 3), dtype=np.uint8)
    score = gap(scores_of(exported.model, images), 40)
    limits = {"score": score, "overlap": 0.6, "max_faces": EVERYTHING}
    (found,), (wanted,) = (
        session.run(images, **limits),
        expected_faces(exported.model, images, **limits),
    )
    assert_same(found, wanted)


def test_the_first_pixels_are_normalised_before_they_are_padded(
    exported: Exported, session: Session
) -> None:
    mean = np.full((1, 64, 64, 3), np.array(MEAN_RGB, np.uint8))
    limits = {"score": -1.0, "overlap": 1.0, "max_faces": 3}
    (found,), (wanted,) = (
        session.run(mean, **limits),
        expected_faces(exported.model, mean, **limits),
    )
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)


def test_a_batch_is_its_pictures_one_by_one(session: Session, images: Pixels) -> None:
    together = session.run(images, score=0.1, overlap=0.4, max_faces=50)
    assert sum(map(len, together)) > 30
    for picture, faces in zip(images, together, strict=True):
        assert_same(session.run(picture[None], score=0.1, overlap=0.4, max_faces=50)[0], faces)


def test_nothing_found_is_a_legal_answer(session: Session, images: Pixels) -> None:
    for faces in session.run(images, score=1.0, overlap=0.4, max_faces=50):
        assert len(faces) == 0
        assert faces.boxes.dtype == faces.scores.dtype == faces.landmarks.dtype == np.float32


def test_nothing_in_the_second_picture_only(exported: Exported, session: Session) -> None:
    images = np.zeros((3, 64, 64, 3), np.uint8)
    images[0], images[2] = 60, 200
    best = scores_of(exported.model, images).max(axis=1)
    order = np.argsort(best)  # the picture with the lowest score goes into the middle
    images = images[[order[1], order[0], order[2]]]
    between = float(best[order[:2]].mean())
    found = session.run(images, score=between, overlap=0.4, max_faces=50)
    assert [len(faces) > 0 for faces in found] == [True, False, True]


def test_thresholds_are_inputs(exported: Exported, session: Session, images: Pixels) -> None:
    low = float(np.quantile(scores_of(exported.model, images), 0.5))
    every = session.run(images, score=low, overlap=0.5, max_faces=EVERYTHING)
    for faces in every:
        assert len(faces) > 10
        assert (faces.scores > low).all()
        assert (np.diff(faces.scores) <= 0).all(), "the best come first"
        assert (iou(faces.boxes, faces.boxes) - np.eye(len(faces))).max() <= 0.5 + 1e-6
    for faces, few in zip(
        every, session.run(images, score=low, overlap=0.5, max_faces=3), strict=True
    ):
        assert len(few) == 3
        np.testing.assert_array_equal(few.boxes, faces.boxes[:3])
    first = every[0]
    middle = float(np.median(first.scores))
    above = session.run(images, score=middle, overlap=0.5, max_faces=EVERYTHING)[0]
    np.testing.assert_array_equal(above.scores, first.scores[first.scores > np.float32(middle)])
    strict = session.run(images, score=low, overlap=0.1, max_faces=EVERYTHING)[0]
    assert 0 < len(strict) < len(first)


def test_the_file_is_complete(exported: Exported) -> None:
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.key for entry in model.metadata_props} == {KEY}
    text = model.metadata_props[0].value
    assert ModelInfo.from_json(text, source="file") == exported.info
    for values, wanted in ((model.graph.input, INPUTS), (model.graph.output, OUTPUTS)):
        names = {value.name: value.type.tensor_type.elem_type for value in values}
        assert names == {name: kind for name, (kind, _) in wanted.items()}
    assert not any(each.external_data for each in model.graph.initializer)
    assert {entry.domain for entry in model.opset_import} == {""}


def test_detector_finds_the_same_in_any_picture(
    exported: Exported, rng: np.random.Generator
) -> None:
    picture = rng.integers(0, 256, (75, 100, 3), dtype=np.uint8)
    pixels = fit(picture).pixels[None]
    assert pixels.shape == (1, 96, 128, 3)
    score = gap(scores_of(exported.model, pixels), 60)
    detector = Detector(exported.path, score=score)
    assert detector.info == exported.info
    (wanted,) = expected_faces(
        exported.model, pixels, score=score, overlap=OVERLAP, max_faces=EVERYTHING
    )
    limit = np.array([100, 75, 100, 75], np.float32)
    boxes = np.clip(wanted.boxes, 0, limit)
    inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    assert inside.any()
    assert_same(
        detector.detect(picture), Detections(boxes, wanted.scores, wanted.landmarks)[inside]
    )


def test_every_convolution_runs_in_the_blocked_layout(exported: Exported, tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(exported.path, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    domains = [node.domain for node in nodes if node.op_type in ("Conv", "FusedConv")]
    if "com.microsoft.nchwc" not in domains:
        pytest.skip("ONNX Runtime has no blocked layout on this kind of processor")
    assert set(domains) == {"com.microsoft.nchwc"}


ODD = ((7, 9, 17, 20, 21, 33), (30, 31, 5, 40, 41, 18), (19, 23))


@pytest.mark.parametrize(
    "config",
    [
        NanoBConfig(widths=ODD, repeats=1),
        NanoBConfig(channels=24),
        NanoBConfig(widths=ODD, channels=24, semantic=False),
    ],
)
def test_any_widths(tmp_path: Path, config: NanoBConfig) -> None:
    torch.manual_seed(0)
    model = NanoB(config).eval()
    export_onnx(model, tmp_path / "network.onnx", info_of(model))


def test_a_network_that_was_cut(tmp_path: Path) -> None:
    dense = stirred("nano_b_enhanced_dense")
    assert isinstance(dense, NanoB)
    for multiple in (1, 8):
        smaller = narrowed(dense.config, Rates(0.2, 0.2, 0.1, 0.4, 0.4), multiple=multiple)
        model = cut_network(dense, smaller)
        parity = export_onnx(model, tmp_path / "network.onnx", info_of(model))
        assert parity.score < SCORE_TOLERANCE / 2


def test_a_graph_that_differs_is_never_put_in_place(tmp_path: Path) -> None:
    model = stirred("nano_b")
    model.heads.register_forward_hook(
        lambda _, inputs, raw: raw._replace(landmark_deltas=raw.landmark_deltas + 0.01)
    )
    path = tmp_path / "network.onnx"
    path.write_bytes(b"the old file")
    with pytest.raises(ExportError, match=r"network\.onnx.*pixels"):
        export_onnx(model, path, info_of(model))
    assert path.read_bytes() == b"the old file"
    assert list(tmp_path.iterdir()) == [path]


def test_broken_weights_are_never_put_in_place(tmp_path: Path) -> None:
    model = stirred("nano_b")
    model.heads.box_deltas[1].weight.data[3] = float("nan")
    with pytest.raises(ExportError, match="nan"):
        export_onnx(model, tmp_path / "network.onnx", info_of(model))
    assert list(tmp_path.iterdir()) == []


def test_a_fusion_weight_of_zero(tmp_path: Path) -> None:
    model = stirred("nano_b_enhanced")
    for layer in model.bifpn:
        layer.p3_out.weights.data[0] = -1
        layer.p4_down.weights.data[:] = 0
        layer.p4_out.weights.data[1] = 0
    export_onnx(model, tmp_path / "network.onnx", info_of(model))


def test_an_unknown_layer_is_named() -> None:
    model = stirred("nano_b")
    model.backbone.stage2[0].append(nn.Hardtanh())
    with pytest.raises(TypeError, match="Hardtanh"):
        build(model)


def test_published_weights_agree(shared: Path, tmp_path: Path) -> None:
    model = load_featherface_v1(shared / "weights" / "featherface_v1_widerface.safetensors")
    parity = export_onnx(model, tmp_path / "v1.onnx", info_of(model))
    assert parity.score < SCORE_TOLERANCE / 10


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    model = stirred("nano_b")
    with pytest.raises(OSError, match="absent"):
        export_onnx(model, tmp_path / "absent" / "network.onnx", info_of(model))
