"""A grid of three owners, other processes that use it, and for each test a named cache of its own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from cachegrid.integrations import places
from cachegrid.testing.loopback import LoopbackGrid

PROCESSES = 2
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


@pytest.fixture(scope="module")
def others() -> Iterator[ProcessPoolExecutor]:
    """Other processes; started by the first test that asks for them."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def name() -> str:
    """The name of the test's own cache."""
    return f"backends-{os.getpid()}-{next(_numbers)}"
