"""A teacher answers as its network does in eval mode, and nothing it is asked for changes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from featherface.anchors import FEATHERFACE_V1, NANO_B
from featherface.models.heads import Raw
from featherface.models.layers import normalise
from featherface.models.nano_b import NanoB
from featherface.models.v1_keys import STEM
from featherface.models.zoo import featherface_v1
from featherface.training.checkpoint import CheckpointError, save_model
from featherface.training.teacher import Teacher, load_teacher

MEAN_BGR = torch.tensor([104.0, 117.0, 123.0])
V1 = "featherface_v1_widerface.safetensors"


def crops(*, size: int = 64, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (2, size, size, 3), dtype=torch.uint8, generator=generator)


def assert_close(one: Raw, other: Raw) -> None:
    for ours, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_v1_sees_what_it_was_trained_on() -> None:
    torch.manual_seed(0)
    model = featherface_v1()
    found = Teacher(model)(crops())
    published = featherface_v1()
    state = model.state_dict()
    published.load_state_dict({**state, STEM: state[STEM].flip(1)})  # reads BGR
    bgr = crops().flip(-1).float() - MEAN_BGR
    with torch.no_grad():
        assert_close(found, published.eval()(bgr.permute(0, 3, 1, 2)))


def test_it_stays_as_it_is(tiny: NanoB) -> None:
    teacher = Teacher(tiny.train())
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    raw = teacher(crops())
    assert not any(part.requires_grad for part in raw)
    assert not any(parameter.requires_grad for parameter in tiny.parameters())
    teacher(crops(seed=1))
    assert all(torch.equal(before[name], value) for name, value in tiny.state_dict().items())


def test_one_crop_is_answered_as_among_others(tiny: NanoB) -> None:
    teacher = Teacher(tiny)
    both = teacher(crops())
    assert_close(teacher(crops()[1:]), Raw(*(part[1:] for part in both)))


def test_a_trained_network_teaches(tiny: NanoB, weights_file: Path) -> None:
    save_model(weights_file, tiny, {"crops": 1})
    teacher = load_teacher(weights_file)
    assert teacher.anchors == NANO_B
    with torch.no_grad():
        assert_close(teacher(crops()), tiny.eval()(normalise(crops())))


def test_the_published_v1_teaches(shared: Path) -> None:
    assert load_teacher(shared / "weights" / V1).anchors == FEATHERFACE_V1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: no such file"):
        load_teacher(tmp_path / "absent.safetensors")


def test_other_files_are_refused(weights_file: Path) -> None:
    wanted = r"weights\.safetensors: no teacher, wanted"
    save_file({"weight": torch.zeros(1)}, weights_file)
    with pytest.raises(CheckpointError, match=wanted):
        load_teacher(weights_file)
    weights_file.write_bytes(b"Dear reader")
    with pytest.raises(CheckpointError, match=wanted):
        load_teacher(weights_file)
