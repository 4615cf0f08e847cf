"""The table of parameters and multiply-accumulates."""

from __future__ import annotations

import pytest

from featherface.models.zoo import MODELS
from featherface.recipes.info import costs_of, main

TOTALS = {
    "featherface_v1": (592_371, 1_243.8),
    "nano_b": (119_109, 312.5),
    "nano_b_enhanced": (136_073, 371.9),
    "nano_b_enhanced_dense": (171_142, 429.9),
}


@pytest.mark.parametrize("name", MODELS)
def test_parts_add_up_to_the_whole(name: str) -> None:
    parts = costs_of(name)
    total = parts.pop("total")
    assert sum(cost.parameters for cost in parts.values()) == total.parameters
    assert sum(cost.macs for cost in parts.values()) == total.macs
    assert all(cost.macs > 0 for cost in parts.values())
    assert (total.parameters, round(total.macs / 1e6, 1)) == TOTALS[name]


def test_macs_of_a_part_by_hand() -> None:
    cells = 80 * 80 + 40 * 40 + 20 * 20
    assert costs_of("nano_b_enhanced")["heads"].macs == cells * 32 * (6 + 12 + 30)
    # Four 3x3 convolutions 32 -> 8, three 8 -> 8 and a 1x1: without norms.
    assert costs_of("nano_b_enhanced")["SSH"].macs == cells * (9 * 3 * 256 + 9 * 3 * 64 + 256)


def test_prints_tab_separated_lines_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    main("nano_b_enhanced")
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["part", "parameters", "MACs at 640x640", "original description"]
    assert ["scale decoupling, P3", "8,829", "47.2 M", "1,500"] in lines
    assert lines[-1][:3] == ["total", "136,073", "371.9 M"]


def test_lists_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    names = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["network", *MODELS]


def test_an_unknown_name_tells_the_known_ones() -> None:
    with pytest.raises(ValueError, match="nano_b_enhanced_dense"):
        main("resnet")
