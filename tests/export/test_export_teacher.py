"""An exported teacher says at every anchor what the network says that it was made from."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from stirring import Exported

from featherface.export import teacher as teacher_module
from featherface.export.teacher import SEEN, OnnxTeacher
from featherface.metadata import ModelError
from featherface.models.heads import Raw
from featherface.models.layers import normalise
from featherface.training import cache, distill


@pytest.fixture
def images() -> torch.Tensor:
    """Two crops of noise."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (2, 96, 96, 3), dtype=torch.uint8, generator=generator)


def test_it_answers_as_its_network(
    exported: Exported, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = OnnxTeacher(exported.path)
    assert teacher.anchors == exported.model.config.anchors
    monkeypatch.setattr(teacher_module, "SEEN", 0.5)  # fresh networks see a face nearly everywhere
    found = teacher(images)
    with torch.inference_mode():
        expected: Raw = exported.model(normalise(images))
    logit = expected.class_logits[..., 1] - expected.class_logits[..., 0]
    torch.testing.assert_close(
        found.class_logits[..., 1] - found.class_logits[..., 0], logit, atol=1e-3, rtol=1e-3
    )
    seen = logit.sigmoid() > 0.505
    unseen = logit.sigmoid() < 0.495
    assert seen.any()
    assert unseen.any()
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(ours[seen], theirs[seen], atol=1e-2, rtol=1e-3)
        assert not ours[unseen].any()


def test_it_gives_the_codes_that_a_student_compares() -> None:
    assert SEEN <= cache.MARGIN * distill.SEEN


def test_what_is_no_teacher_is_refused(exported: Exported, toy_graph: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.onnx: no such file"):
        OnnxTeacher(tmp_path / "absent.onnx")
    text = tmp_path / "text.onnx"
    text.write_text("Dear reader")
    with pytest.raises(ModelError, match=r"text\.onnx: is not an ONNX file"):
        OnnxTeacher(text)
    with pytest.raises(ModelError, match=r"toy\.onnx: .* make it again with: featherface export"):
        OnnxTeacher(toy_graph)
    model = onnx.load(exported.path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(ModelError, match=r"foreign\.onnx"):
        OnnxTeacher(tmp_path / "foreign.onnx")
