"""What a network's file says about itself."""

from __future__ import annotations

import json

import pytest

from featherface.anchors import NANO_B
from featherface.metadata import FORMAT, ModelError, ModelInfo

INFO = ModelInfo(
    name="nano_b",
    parameters=119_000,
    macs_640=1_000_000,
    anchors=NANO_B,
    recipe="configs/nano_b.toml",
    data="faces",
    data_licence="research only",
    trained="two hours",
)


def test_json_and_back() -> None:
    assert ModelInfo.from_json(INFO.to_json(), source="a.onnx") == INFO


def test_json_is_one_line_with_the_version() -> None:
    text = INFO.to_json()
    assert "\n" not in text
    assert json.loads(text)["format"] == FORMAT == 1


def test_provenance_may_be_missing() -> None:
    facts = json.loads(INFO.to_json())
    for key in ("recipe", "data", "data_licence", "trained"):
        del facts[key]
    assert ModelInfo.from_json(json.dumps(facts), source="a.onnx").data == ""


def changed(**changes: object) -> str:
    return json.dumps(json.loads(INFO.to_json()) | changes)


@pytest.mark.parametrize(
    ("text", "reason", "way_out"),
    [
        (None, "has no entry 'featherface'", "featherface export"),
        ("", "damaged", "featherface export"),
        ("[]", "damaged", "featherface export"),
        ("{}", "damaged", "featherface export"),
        (changed(surplus=1), "damaged", "featherface export"),
        (changed(anchors={"strides": 8}), "damaged", "featherface export"),
        ('{"format": 1, "name": "x"}', "damaged", "featherface export"),
        (changed(format=2), "is of format 2", "pip install --upgrade featherface"),
        ('{"format": 99}', "is of format 99", "pip install --upgrade featherface"),
    ],
)
def test_unusable_metadata(text: str | None, reason: str, way_out: str) -> None:
    with pytest.raises(ModelError, match=reason) as error:
        ModelInfo.from_json(text, source="some/file.onnx")
    assert str(error.value).startswith("some/file.onnx: ")
    assert way_out in str(error.value)
