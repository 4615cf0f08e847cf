"""Starting from other networks' weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from featherface.models.mobilenet import DENSE, X025
from featherface.models.nano_b import NanoB, NanoBConfig
from featherface.pruning import fpgm
from featherface.pruning.surgery import cut_network
from featherface.training.checkpoint import CheckpointError, save_model
from featherface.training.start import start_from
from featherface.training.upstream import load_featherface_v1

V1, IMAGENET = "featherface_v1_widerface", "mobilenet_v1_025_imagenet"


@pytest.mark.parametrize(("name", "prefix"), [(V1, "body."), (IMAGENET, "")])
def test_a_foreign_stem_reads_rgb_here(shared: Path, name: str, prefix: str) -> None:
    path = shared / "weights" / f"{name}.safetensors"
    model = NanoB(NanoBConfig(widths=DENSE))
    said = start_from(model, path)
    assert path.name in said
    assert "FPGM" in said
    rgb = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
    theirs = load_file(path)[f"{prefix}stage1.0.0.weight"]
    ours = model.backbone.state_dict()["stage1.0.0.weight"]
    kept = fpgm.keep(theirs, len(ours))
    expected = functional.conv2d(rgb.flip(1), theirs, stride=2, padding=1)  # they read BGR
    found = functional.conv2d(rgb, ours, stride=2, padding=1)
    torch.testing.assert_close(found, expected[:, kept], rtol=1e-4, atol=1e-3)


def test_all_of_v1s_channels_make_v1s_backbone(shared: Path) -> None:
    path = shared / "weights" / f"{V1}.safetensors"
    model = NanoB(NanoBConfig(widths=X025)).eval()
    start_from(model, path)
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 255 - 115
    with torch.no_grad():
        expected = load_featherface_v1(path).backbone(images)
        found = model.backbone(images)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_an_equal_network_gives_all_its_weights(tiny: NanoB, weights_file: Path) -> None:
    save_model(weights_file, tiny, {})
    other = NanoB(tiny.config)
    assert start_from(other, weights_file) == f"all weights of {weights_file.name}"
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in tiny.state_dict().items())


NARROW = ((4, 4, 6, 6, 6, 6), (9,) * 6, (16, 11))


def test_a_network_with_a_wider_backbone_is_cut(tiny: NanoB, weights_file: Path) -> None:
    save_model(weights_file, tiny, {})
    narrow = NanoB(replace(tiny.config, widths=NARROW))
    assert "FPGM" in start_from(narrow, weights_file)
    for part in ("backbone.stage1.0.0.weight", "heads.class_logits.0.weight"):
        assert torch.equal(narrow.state_dict()[part], tiny.state_dict()[part])
    expected = cut_network(tiny, narrow.config).state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in narrow.state_dict().items())


def test_a_look_at_stride_4_is_added_at_zero(tiny: NanoB, weights_file: Path) -> None:
    save_model(weights_file, tiny, {})
    more = NanoB(replace(tiny.config, detail=True)).eval()
    said = start_from(more, weights_file)
    assert said == f"all weights of {weights_file.name}, stride 4 from zero"
    images = torch.randn(1, 3, 64, 64)
    for one, other in zip(more(images), tiny.eval()(images), strict=True):
        assert torch.equal(one, other)


def test_a_look_at_stride_4_is_not_lost_in_silence(tiny: NanoB, tmp_path: Path) -> None:
    path = tmp_path / "detailed.safetensors"
    save_model(path, NanoB(replace(tiny.config, detail=True)), {})
    assert "all weights" not in start_from(tiny, path)


def test_weights_do_not_depend_on_the_slope(tiny: NanoB, weights_file: Path) -> None:
    save_model(weights_file, tiny, {})
    with_relu = NanoB(replace(tiny.config, slope=0.0))
    assert "all weights" in start_from(with_relu, weights_file)
    narrow = NanoB(replace(tiny.config, widths=NARROW, slope=0.0))
    assert "its channels chosen" in start_from(narrow, weights_file)
    assert not narrow.config.slope


def test_another_network_of_ours_gives_its_backbone(tiny: NanoB, weights_file: Path) -> None:
    save_model(weights_file, tiny, {})
    other = NanoB(replace(tiny.config, widths=NARROW, repeats=2))
    before = {name: value.clone() for name, value in other.state_dict().items()}
    assert "backbone of" in start_from(other, weights_file)
    changed = {k for k, v in other.state_dict().items() if not torch.equal(v, before[k])}
    assert {name.partition(".")[0] for name in changed} == {"backbone"}
    stem = "backbone.stage1.0.0.weight"
    assert torch.equal(other.state_dict()[stem], tiny.state_dict()[stem])


def test_a_narrower_network_is_refused(tiny: NanoB, weights_file: Path) -> None:
    save_model(weights_file, tiny, {})
    model = NanoB(NanoBConfig(widths=DENSE))
    with pytest.raises(CheckpointError, match=r"weights\.safetensors.*cannot keep 8 of 4"):
        start_from(model, weights_file)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"weight": torch.zeros(2)}, "no MobileNetV1 in it"),
        ({"body.other": torch.zeros(2)}, "no MobileNetV1 in it"),
        ({"stage1.0.0.weight": torch.zeros(8, 3, 3, 3)}, "cannot be cut to fit"),
        ({"stage1.0.0.weight": torch.zeros(3)}, "cannot be cut to fit"),
    ],
)
def test_foreign_weights_are_refused(
    tiny: NanoB, weights_file: Path, state: dict[str, torch.Tensor], reason: str
) -> None:
    save_file(state, weights_file)
    with pytest.raises(CheckpointError, match=rf"weights\.safetensors: .*{reason}"):
        start_from(tiny, weights_file)


@pytest.mark.parametrize("content", [None, b"", b"no weights, but letters"])
def test_broken_files_are_named(tiny: NanoB, weights_file: Path, content: bytes | None) -> None:
    if content is not None:
        weights_file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: not a safetensors file"):
        start_from(tiny, weights_file)


def test_a_network_that_is_wider_inside_is_cut_down(tiny: NanoB, weights_file: Path) -> None:
    save_model(weights_file, tiny, {})
    widths = tuple(tuple(max(width - 1, 4) for width in stage) for stage in tiny.config.widths)
    narrow = NanoB(replace(tiny.config, widths=widths))
    said = start_from(narrow, weights_file)
    assert said.startswith("all of weights.safetensors")
    theirs = tiny.state_dict()
    for name, value in narrow.heads.state_dict().items():
        assert torch.equal(value, theirs[f"heads.{name}"])
