"""The drawn network is the network: steps, shapes, parameters, pictures that are up to date."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import diagrams
import pytest
import torch
from layout import Place, arrange
from torch import nn

from featherface.models.layers import count_parameters
from featherface.models.nano_b import NanoB


@pytest.fixture(scope="module")
def model() -> NanoB:
    return diagrams.shipped()


@pytest.mark.parametrize("name", diagrams.DIAGRAMS)
def test_the_boxes_hold_all_parameters_of_a_block_once(name: str, model: NanoB) -> None:
    diagram = diagrams.DIAGRAMS[name]
    args = diagrams.inputs_of(model, {diagram.path})[diagram.path]
    module = model.get_submodule(diagram.path)
    steps = diagrams.steps_of(module, diagram, args)
    assert sum(step.parameters for step in steps) == count_parameters(module)
    ends = [step for step in steps if step.kind == "end"]
    assert [step for step in steps if not step.sources and step.kind != "end"] == []
    assert len(ends) >= 2


def test_every_class_of_the_network_has_a_box(model: NanoB) -> None:
    shown = "".join(diagrams.draw_all().values())
    ours = {
        type(module).__name__ for module in model.modules() if "featherface" in str(type(module))
    }
    inside = {"ChannelAttention", "SpatialAttention", "SemanticEnhancement"}  # in that of another
    assert {name for name in ours - inside if f">{name}<" not in shown} == {"NanoB", "MobileNetV1"}


def test_the_pictures_show_what_the_code_does() -> None:
    drawn = diagrams.draw_all()
    kept = {path.stem: path.read_text(encoding="utf-8") for path in diagrams.TARGET.glob("*.svg")}
    assert drawn == kept, "run: make diagrams"
    for text in drawn.values():
        ET.fromstring(text)


def test_a_step_is_told_with_its_shape() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 6, 3, padding=1, stride=2)
            self.norm = nn.BatchNorm2d(6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.norm(self.conv(x))
            return y * y.mean((2, 3), keepdim=True).sigmoid()

    args = (torch.zeros(1, 4, 8, 8),)
    steps = diagrams.steps_of(Block().eval(), diagrams.Diagram("", ("input",)), args)
    assert [step.label for step in steps] == [
        "input",
        "3 × 3, stride 2 · norm",
        "mean over places",
        "sigmoid",
        "×",
        "output",
    ]
    assert [step.shapes[0] for step in steps[1:3]] == [(6, 4, 4), (6, 1, 1)]
    assert [source.label for source in steps[4].sources] == [steps[1].label, "sigmoid"]


def test_boxes_of_a_row_keep_apart_and_lines_go_down() -> None:
    top = Place(100, 0)
    left, right = Place(80, 0, above=[top]), Place(120, 1, above=[top])
    bottom = Place(60, 0, above=[left, right, top])
    top.below = [left, right, bottom]
    left.below, right.below = [bottom], [bottom]
    rows = arrange([top, left, right, bottom])
    assert [place.row for place in (top, left, right, bottom)] == [0, 1, 1, 2]
    assert len(rows[1]) == 3  # the long line passes between or beside the two
    for row in rows:
        for one, other in pairwise(row):
            assert other.x - one.x >= (one.width + other.width) / 2
        for place in row:
            assert all(other.row == place.row + 1 for other in place.below)
