"""Kept answers equal fresh ones, are asked for once, and survive a kill."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from featherface.anchors import AnchorSpec
from featherface.data.loader import CropDataset, collate
from featherface.models.heads import Raw
from featherface.models.nano_b import NanoB
from featherface.training.cache import CachedTeacher, folder_for
from featherface.training.distill import SEEN, DistillationCriterion, DistillConfig
from featherface.training.losses import aligned_loss
from featherface.training.teacher import Teacher


class Counting:
    """A teacher that knows how many crops it was asked about."""

    def __init__(self, model: NanoB) -> None:
        self._teacher = Teacher(model)
        self.asked = 0

    @property
    def anchors(self) -> AnchorSpec:
        return self._teacher.anchors

    def __call__(self, images: Tensor) -> Raw:
        self.asked += len(images)
        return self._teacher(images)


@pytest.fixture
def teacher(tiny: NanoB) -> Counting:
    """It sees a face at some anchors, not at all."""
    with torch.no_grad():
        for conv in tiny.heads.class_logits:
            conv.weight.normal_(0, 0.5)
    return Counting(tiny)


@pytest.fixture
def images(crops: CropDataset) -> Tensor:
    """Four crops."""
    return collate([crops[number] for number in range(4)]).images


def test_kept_and_live_answers_give_the_same_losses(
    teacher: Counting, crops: CropDataset, anchors: Tensor, tmp_path: Path
) -> None:
    batch = collate([crops[number] for number in range(4)])
    torch.manual_seed(1)
    ours = Raw(*(torch.randn(4, len(anchors), width) for width in (2, 4, 10)))
    live = teacher(batch.images)
    share = (live.class_logits.softmax(-1)[..., 1] > SEEN).float().mean()
    assert 0.001 < share < 0.9
    kept = CachedTeacher(teacher, tmp_path)
    kept(batch.images)
    found = []
    for each in (teacher, kept):
        criterion = DistillationCriterion(
            aligned_loss, each, torch.arange(len(anchors)), DistillConfig()
        )
        found.append({k: v.item() for k, v in criterion(ours, batch, anchors).items()})
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_a_crop_is_asked_about_once(teacher: Counting, images: Tensor, tmp_path: Path) -> None:
    kept = CachedTeacher(teacher, tmp_path)
    first = kept(images[:3])
    assert teacher.asked == 3
    again = CachedTeacher(teacher, tmp_path)(images)  # another process, one crop more
    assert teacher.asked == 4
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other[:3])
    kept(images.flip(0))
    assert teacher.asked == 4
    kept(images[:1] ^ 1)  # hardly another picture, but another one
    assert teacher.asked == 5


def test_a_cut_off_entry_is_made_anew(teacher: Counting, images: Tensor, tmp_path: Path) -> None:
    kept = CachedTeacher(teacher, tmp_path)
    whole = kept(images)
    entries = sorted(tmp_path.rglob("*.npz"))
    assert len(entries) == 4
    entries[0].write_bytes(entries[0].read_bytes()[:40])
    entries[1].write_bytes(b"")
    again = kept(images)
    assert teacher.asked == 6
    assert all(torch.equal(one, other) for one, other in zip(whole, again, strict=True))


def test_each_teacher_has_its_own_folder(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("a", "b", "c")]
    for path, content in zip(names, (b"one", b"two", b"one"), strict=True):
        path.write_bytes(content)
    one, two, same = (folder_for(tmp_path, path) for path in names)
    assert one == same != two
