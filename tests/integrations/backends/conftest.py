"""A grid of three owners, and for each test a named cache of its own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from cachegrid.integrations import places
from cachegrid.testing.loopback import LoopbackGrid

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The URL of a grid of 3 owners."""
    with LoopbackGrid(owners=3, replicas=0) as grid:
        yield grid.url


@pytest.fixture(scope="module", autouse=True)
def _closes() -> Iterator[None]:
    yield
    places.close()


@pytest.fixture
def name() -> str:
    """The name of the test's own cache."""
    return f"backends-{os.getpid()}-{next(_numbers)}"
