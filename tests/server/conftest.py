"""What the tests of the server share; bad requests are those of the benchmark that soaks it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from serving import Gate, Serve, Served, serving

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))


@pytest.fixture
def serve(toy_graph: Path) -> Iterator[Serve]:
    """Starts servers, which are stopped at the end."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serving(Gate(toy_graph), **options))


@pytest.fixture
def served(serve: Serve) -> Served:
    """A server with one worker and the limits that it has by itself."""
    return serve()
