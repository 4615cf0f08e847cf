"""What the comparison of searches says of made-up losses."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from featherface.models.nano_b import NanoBConfig
from featherface.pruning.groups import Rates
from machine import this_machine
from pruning import SETTING, STRATEGIES, curves, draw, remembering, report

LOSSES = {
    "bayes": [[3.0, 2.0, 2.5, 1.0], [3.0, 4.0, 2.5, 2.75]],
    "random": [[3.0, 2.0, 4.0, 4.0], [3.0, 4.0, 4.0, 2.25]],
    "uniform": [[3.0, 3.5], [3.0, 3.5]],
}
SIZE = {"parameters": 136_001, "macs": 370_000_000, "refused": 1}


@pytest.fixture
def rows() -> list[dict[str, object]]:
    return [
        {
            "strategy": strategy,
            "seed": seed,
            "number": number,
            "loss": loss,
            **dict.fromkeys(Rates._fields, 0.25),
            **SIZE,
        }
        for strategy in STRATEGIES
        for seed, losses in enumerate(LOSSES[strategy])
        for number, loss in enumerate(losses)
    ]


def test_best_so_far(rows: list[dict[str, object]]) -> None:
    best = curves(rows)
    assert best["bayes"] == {0: [3.0, 2.0, 2.0, 1.0], 1: [3.0, 3.0, 2.5, 2.5]}
    assert best["uniform"][1] == [3.0, 3.0]
    assert curves(rows[::-1]) == best


def test_the_report_says_who_won(rows: list[dict[str, object]], tmp_path: Path) -> None:
    setting = dict.fromkeys(SETTING, 7)
    machine = {"processor": "abacus", "date": "today", "torch": "3"}
    assert machine.keys() - {"torch"} <= set(this_machine().__dataclass_fields__)
    text = report(rows, setting, machine)
    assert "| bayes | 4 | 1.0000 | 2.5000 | 1.7500 |" in text
    assert "| uniform | 2 | 3.0000 | 3.0000 | 3.0000 |" in text
    assert (
        "Against the random search the Bayesian one **does not win**: lower in 1 of 2 seeds, "
        "higher in 1; on average 0.3750 lower." in text
    )
    assert "Against the uniform search the Bayesian one **wins**: lower in 2 of 2" in text
    assert "| 0 | 25% | 25% | 25% | 25% | 25% | 136,001 | 0.370 |" in text
    draw(rows, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 500


def test_a_network_is_measured_once(tmp_path: Path) -> None:
    asked: list[NanoBConfig] = []

    def evaluate(network: NanoBConfig, _: Path) -> float | None:
        asked.append(network)
        return None if len(asked) == 1 else 1.5

    one, other = NanoBConfig(), NanoBConfig(widths=((1,) * 6, (2,) * 6, (3, 3)))
    memory = tmp_path / "losses.json"
    assert remembering(evaluate, memory)(one, tmp_path) is None, "stopped, so nothing is kept"
    for network in (one, other, one):
        assert remembering(evaluate, memory)(network, tmp_path) == 1.5
    assert asked == [one, one, other]
