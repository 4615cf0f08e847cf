"""The published network: its numbers, its peculiarities, and what its weights find."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from featherface import boxes
from featherface.anchors import FEATHERFACE_V1, NANO_B, make_anchors
from featherface.models.featherface_v1 import (
    BiFPNLayerV1,
    FeatherFaceV1,
    FeatherFaceV1Config,
    ShuffleBlock,
)
from featherface.models.heads import Raw
from featherface.models.layers import count_parameters, normalise
from featherface.models.mobilenet import Pyramid
from featherface.models.v1_keys import STEM, rename_v1_keys
from featherface.models.zoo import featherface_v1
from featherface.training.upstream import load_featherface_v1

ASSETS = Path(__file__).parents[2] / "assets"


@pytest.fixture(scope="module")
def fresh() -> FeatherFaceV1:
    torch.manual_seed(0)
    return featherface_v1().eval()


@pytest.fixture
def published(shared: Path) -> FeatherFaceV1:
    return load_featherface_v1(shared / "weights" / "featherface_v1_widerface.safetensors")


def test_parameters_part_by_part(fresh: FeatherFaceV1) -> None:
    found = {name: count_parameters(part) for name, part in fresh.named_children()}
    assert found == {
        "backbone": 213_072,
        "attention": 680 + 2_284 + 8_564,
        "project": 64 * (64 + 128 + 256) + 9 * 64,
        "project_again": 64 * (128 + 256) + 6 * 64,
        "bifpn": 3 * 19_466,
        "refine": 3 * 680,
        "context": 3 * 77_655,
        "shuffle": 3 * 4_640,
        "heads": 6_240,
    }
    assert sum(found.values()) == count_parameters(fresh) == 592_371


def test_takes_the_students_anchors() -> None:
    model = FeatherFaceV1(FeatherFaceV1Config(anchors=NANO_B)).eval()
    with torch.no_grad():
        raw = model(torch.zeros(1, 3, 64, 64))
    assert raw.box_deltas.shape[1] == len(make_anchors(NANO_B, (64, 64)))
    assert count_parameters(model) == 592_371 + 3 * (64 + 1) * (2 + 4 + 10)


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 128)])
@pytest.mark.parametrize("batch", [1, 2])
def test_one_output_row_an_anchor(fresh: FeatherFaceV1, size: tuple[int, int], batch: int) -> None:
    with torch.no_grad():
        raw = fresh(torch.randn(batch, 3, *size))
    anchors = len(make_anchors(FEATHERFACE_V1, size))
    assert [tuple(part.shape) for part in raw] == [(batch, anchors, k) for k in (2, 4, 10)]


def test_batch_equals_one_by_one(fresh: FeatherFaceV1) -> None:
    images = torch.randn(2, 3, 64, 96) * 50
    with torch.no_grad():
        together, single = fresh(images), [fresh(image[None]) for image in images]
    for part, parts in zip(together, zip(*single, strict=True), strict=True):
        torch.testing.assert_close(part, torch.cat(parts), rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    model = featherface_v1().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    raw = model(torch.randn(2, 3, 64, 64))
    sum((part * torch.randn_like(part)).sum() for part in raw).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def fused(layer: nn.Module, weights: Tensor, *maps: Tensor) -> Tensor:
    """A BiFPN node as its formula says."""
    positive = weights.relu()
    mean = sum(w * x for w, x in zip(positive, maps, strict=False)) / (positive.sum() + 1e-4)
    return layer.norm(layer.pointwise(layer.depthwise(mean * mean.sigmoid())))


def test_bifpn_pads_with_zeros_and_divides_by_the_spare_weight() -> None:
    torch.manual_seed(0)
    layer = BiFPNLayerV1(4).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter))
        layer.p5_out.weights.copy_(torch.tensor([1.0, 0.5, 2.0]))
        # Everything negative, so that a zero at the border wins.
        for node in (layer.p3_out, layer.p4_out):
            node.norm.bias.fill_(-50.0)
        levels = Pyramid(*(torch.randn(2, 4, 16 >> i, 24 >> i) for i in range(3)))
        second = (torch.randn(2, 4, 8, 12), torch.randn(2, 4, 4, 6))
        found = layer(levels, second)

        def shrink(x: Tensor) -> Tensor:
            return functional.max_pool2d(functional.pad(x, (0, 1, 0, 1)), 3, 2)

        def grow(x: Tensor) -> Tensor:
            return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

        middle = fused(layer.p4_down, layer.p4_down.weights, levels.p4, grow(levels.p5))
        p3 = fused(layer.p3_out, layer.p3_out.weights, levels.p3, grow(middle))
        p4 = fused(layer.p4_out, layer.p4_out.weights, second[0], middle, shrink(p3))
        p5 = fused(layer.p5_out, layer.p5_out.weights, second[1], shrink(p4))
    assert shrink(p3)[..., -1].eq(0).all()
    for ours, theirs in zip(found, (p3, p4, p5), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_shuffle_block_reads_even_channels_first() -> None:
    torch.manual_seed(0)
    block = ShuffleBlock(8).eval()
    x = torch.randn(1, 8, 4, 4)
    expected = block.mix(torch.cat([x[:, 0::2], x[:, 1::2]], dim=1)).relu()
    torch.testing.assert_close(block(x), expected)


def test_renaming_turns_the_stem_to_rgb_and_linear_layers_to_convolutions() -> None:
    stem, linear = torch.arange(3.0).view(1, 3, 1, 1), torch.ones(4, 64)
    renamed = rename_v1_keys(
        {"body.stage1.0.0.weight": stem, "bif_cbam_1.ChannelGate.mlp.1.weight": linear}
    )
    assert renamed[STEM].flatten().tolist() == [2.0, 1.0, 0.0]
    assert renamed["refine.1.channel.mlp.0.weight"].shape == (4, 64, 1, 1)


def test_renaming_refuses_a_foreign_key() -> None:
    with pytest.raises(ValueError, match=r"fc\.weight"):
        rename_v1_keys({"fc.weight": torch.zeros(1)})


def faces(model: FeatherFaceV1, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and scores in a picture whose sides are padded to multiples of 32."""
    images = normalise(torch.from_numpy(pixels.copy())[None])
    height, width = pixels.shape[:2]
    images = functional.pad(images, (0, -width % 32, 0, -height % 32))
    with torch.inference_mode():
        raw: Raw = model(images)
    scores = raw.class_logits[0].softmax(1)[:, 1].numpy()
    seen = scores > 0.5
    anchors = make_anchors(FEATHERFACE_V1, images.shape[2:])[seen]
    found = boxes.decode(raw.box_deltas[0].numpy()[seen], anchors, FEATHERFACE_V1.variances)
    keep = boxes.nms(found, scores[seen], 0.4)
    return found[keep], scores[seen][keep]


def test_published_weights_find_the_faces_of_the_collage(published: FeatherFaceV1) -> None:
    pixels = np.asarray(Image.open(ASSETS / "collage.jpg").convert("RGB"))
    labels = json.loads((ASSETS / "collage.json").read_text())["boxes"]
    labels = np.asarray(labels, np.float32)
    found, _ = faces(published, pixels)
    overlap = boxes.iou(labels, found)
    large = labels[:, 3] - labels[:, 1] >= 24
    assert large.sum() >= 10
    assert (overlap[large].max(1) > 0.5).all()
    assert (overlap.max(0) > 0.5).all()


def test_published_weights_take_rgb(published: FeatherFaceV1) -> None:
    pixels = np.asarray(Image.open(ASSETS / "collage.jpg").convert("RGB"))
    _, right = faces(published, pixels)
    _, wrong = faces(published, pixels[..., ::-1])
    assert right.sum() > wrong.sum()


def test_published_weights_are_complete(published: FeatherFaceV1) -> None:
    assert count_parameters(published) == 592_371
    assert not published.training
    # A weight that training has moved: every fusion weight of the file has been loaded.
    assert all(not layer.p5_out.weights.eq(1).any() for layer in published.bifpn)
