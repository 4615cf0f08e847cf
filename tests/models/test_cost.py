"""Costs worked out from widths against those of real networks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featherface.models.cost import cost, exported_macs, measure, padded
from featherface.models.layers import count_parameters
from featherface.models.mobilenet import DENSE
from featherface.models.nano_b import Hidden, NanoB, NanoBConfig

WIDTH = st.integers(1, 40)
CONFIGS = st.builds(
    NanoBConfig,
    widths=st.tuples(*(st.tuples(*[WIDTH] * n) for n in (6, 6, 2))),
    channels=st.sampled_from([8, 16, 32]),
    repeats=st.integers(1, 2),
    scale_decoupling=st.booleans(),
    detail=st.booleans(),
    semantic=st.booleans(),
    scale_sequence=st.booleans(),
    elan=st.integers(0, 2),
    hidden=st.builds(
        Hidden,
        **dict.fromkeys(("semantic", "guide", "gate", "sequence", "context"), st.integers(1, 20)),
    ),
)


@settings(max_examples=6)
@given(CONFIGS)
def test_the_formulae_are_exact(config: NanoBConfig) -> None:
    with torch.device("meta"):
        assert cost(config) == measure(NanoB(config))


@pytest.mark.parametrize(
    ("inner", "parameters"),
    [
        ((32, 56, 88), 118_457),
        ((40, 64, 104), 126_409),
        ((48, 72, 128), 136_073),
        ((56, 80, 136), 143_849),
        ((64, 88, 144), 152_137),
    ],
)
def test_known_networks(inner: tuple[int, int, int], parameters: int) -> None:
    b4, s2, s3 = inner
    config = NanoBConfig(widths=((8, 16, 32, 32, b4, 27), (s2,) * 5 + (50,), (s3, 87)))
    assert cost(config).parameters == parameters == count_parameters(NanoB(config))


def test_padding() -> None:
    assert [padded(n) for n in (1, 8, 9, 16, 17, 50, 87)] == [16, 16, 16, 16, 32, 64, 96]


def test_widths_that_are_padded_alike_cost_the_same_when_exported() -> None:
    dense = NanoBConfig(widths=DENSE)
    thin = replace(dense, widths=(DENSE[0], (81,) * 5 + (64,), DENSE[2]))
    assert cost(thin).macs < cost(dense).macs
    assert exported_macs(thin) == exported_macs(dense)
    narrow = replace(dense, widths=(DENSE[0], (80,) * 5 + (64,), DENSE[2]))
    assert exported_macs(narrow) < exported_macs(dense)


def test_a_configuration_survives_json_and_old_files_have_the_old_hidden_widths() -> None:
    config = NanoBConfig(hidden=Hidden(semantic=3, sequence=9, context=5))
    values = json.loads(json.dumps(config.to_dict()))
    assert NanoBConfig.from_dict(values) == config
    del values["hidden"]
    assert NanoBConfig.from_dict(values) == NanoBConfig()
    assert NanoBConfig().hidden == Hidden(semantic=8, guide=4, gate=4, sequence=16, context=8)
    assert NanoBConfig.from_dict({**values, "channels": 16}).hidden.context == 4
