"""The page on the modules for small faces says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from featherface.evaluation.average_precision import Measure
from featherface.evaluation.bootstrap import Samples
from modules import PAGE, RESULTS, block, draw, gain, gains, mean, shared_seeds
from table import END, START


def test_the_page_and_its_plot_are_those_of_the_measures(tmp_path: Path) -> None:
    told = json.loads((RESULTS / "modules.json").read_text())
    shown = PAGE.read_text("utf-8").partition(f"{START}\n")[2].partition(END)[0]
    assert shown == block(told)
    draw(told, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (
        PAGE.parent / "pictures" / "modules.png"
    ).read_bytes()


def test_the_gain_is_that_of_the_means_over_seeds_on_the_same_photographs() -> None:
    seeds = [
        Samples(Measure(10, ap, recall), np.array([ap, 0.5]), np.array([recall, 0.5]))
        for ap, recall in ((0.4, 0.5), (0.6, 0.7))
    ]
    ours = mean(seeds, "recall")
    assert ours.value == pytest.approx(0.6)
    assert ours.samples == pytest.approx([0.6, 0.5])
    found = gain(ours, mean(seeds[:1], "recall"))
    assert found.value == pytest.approx(0.2)
    assert found.samples == pytest.approx([0.2, 0.0])


def test_two_networks_are_compared_by_the_seeds_that_both_have() -> None:
    def looked(ap: float, recall: float) -> dict[str, Samples]:
        return {"<32": Samples(Measure(10, ap, recall), np.array([ap] * 4), np.array([recall] * 4))}

    found = {
        ("wide", 1, "half"): looked(0.4, 0.5),
        ("path", 1, "half"): looked(0.5, 0.4),
        ("path", 2, "half"): looked(0.9, 0.9),
    }
    shared = shared_seeds({"wide": [1], "path": [1, 2]}, "path", "wide")
    assert shared_seeds({"wide": [1]}, "path", "wide") == []
    above = gains(found, "half", "<32", shared, "path", "wide")
    assert above == {"ap": [0.25, 0.25, 0.25], "recall": [-0.2, -0.2, -0.2]}
