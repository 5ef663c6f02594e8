"""What many tests of engines begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines.servers import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """One server, that is no cluster."""
    with Server() as server:
        yield server
