"""What the tests of the server share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from serving import Gate, Serve, Served, serving


@pytest.fixture
def serve(toy_graph: Path) -> Iterator[Serve]:
    """Starts servers, which are stopped at the end."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serving(Gate(toy_graph), **options))


@pytest.fixture
def served(serve: Serve) -> Served:
    """A server with one worker and the limits that it has by itself."""
    return serve()
