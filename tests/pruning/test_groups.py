"""What rates make of a network, and which networks are allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featherface.models.cost import cost
from featherface.models.mobilenet import DENSE, PRUNED
from featherface.models.nano_b import Hidden, NanoBConfig
from featherface.pruning.groups import Budget, Rates, narrowed, realised, size_of

DENSE_CONFIG = NanoBConfig(widths=DENSE)
RATES = st.builds(Rates, *[st.floats(0, 0.99)] * 5)


@given(RATES, st.sampled_from([1, 2, 8]))
def test_taps_and_outputs_never_move(rates: Rates, multiple: int) -> None:
    network = narrowed(DENSE_CONFIG, rates, multiple=multiple)
    assert tuple(stage[-1] for stage in network.widths) == (27, 50, 87)
    assert replace(network, widths=DENSE, hidden=Hidden()) == DENSE_CONFIG
    assert all(
        1 <= width <= full
        for stage, whole in zip(network.widths, DENSE, strict=True)
        for width, full in zip(stage, whole, strict=True)
    )


def test_each_rate_acts_on_its_group_alone() -> None:
    untouched = narrowed(DENSE_CONFIG, Rates(0, 0, 0, 0, 0))
    assert realised(DENSE_CONFIG, untouched) == Rates(0, 0, 0, 0, 0)
    for index, name in enumerate(Rates._fields):
        rates = Rates(*(0.5 * (i == index) for i in range(5)))
        network = narrowed(DENSE_CONFIG, rates)
        assert realised(DENSE_CONFIG, network) == pytest.approx(rates)
        assert cost(network).parameters < cost(untouched).parameters, name


def test_the_specified_widths_are_in_reach() -> None:
    rates = Rates(*((sum(a) - sum(b)) / sum(a) for a, b in _inner(DENSE, PRUNED)), 0, 0)
    network = narrowed(DENSE_CONFIG, rates._replace(stem=0))
    assert network.widths[1:] == PRUNED[1:]


def _inner(one: tuple, other: tuple) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(a[:-1], b[:-1]) for a, b in zip(one, other, strict=True)]


def test_multiples() -> None:
    network = narrowed(DENSE_CONFIG, Rates(0.2, 0.2, 0.2, 0.3, 0.4), multiple=8)
    inner = [width for stage in network.widths for width in stage[:-1]]
    assert {width % 8 for width in inner} == {0}
    assert network.hidden.sequence % 8 == 0
    assert 2 * network.hidden.context % 8 == 0
    assert network.hidden.semantic == 6, "one cell's units cost no time"


@pytest.mark.parametrize(
    ("inner", "is_allowed"),
    [((32, 56, 88), False), ((40, 64, 104), False), ((48, 72, 128), True), ((56, 80, 136), False)],
)
def test_only_what_is_near_the_wanted_size_is_allowed(
    inner: tuple[int, int, int], is_allowed: bool
) -> None:
    b4, s2, s3 = inner
    network = NanoBConfig(widths=((8, 16, 32, 32, b4, 27), (s2,) * 5 + (50,), (s3, 87)))
    assert size_of(DENSE_CONFIG, network, Budget()).is_allowed == is_allowed


def test_no_budget_allows_what_the_network_may_not_be() -> None:
    tiny = narrowed(DENSE_CONFIG, Rates(0.5, 0.5, 0.5, 0.5, 0.5))
    size = size_of(DENSE_CONFIG, tiny, Budget(parameters=100_000, tolerance=100_000))
    assert size.parameters < 120_000
    assert not size.is_allowed


def test_work_is_limited_too_and_counted_as_exported_when_multiples_are_asked() -> None:
    network = narrowed(DENSE_CONFIG, Rates(0, 0.18, 0.11, 0, 0))
    plain = size_of(DENSE_CONFIG, network, Budget())
    assert plain.is_allowed
    assert not size_of(DENSE_CONFIG, network, Budget(macs=0.8)).is_allowed
    padded = size_of(DENSE_CONFIG, network, Budget(multiple=8))
    assert padded.macs > plain.macs
    assert padded.parameters == plain.parameters


def test_a_network_without_the_taps_cannot_be_pruned() -> None:
    with pytest.raises(ValueError, match="27, 50, 60 channels"):
        narrowed(NanoBConfig(widths=(*PRUNED[:2], (128, 60))), Rates(0, 0, 0, 0, 0))
