"""A grid to keep and bring back, which all tests of a file share that do it no harm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import cachegrid
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.url import parse
from cachegrid.testing.loopback import LoopbackGrid
from tests.cluster.keeping.steps import SECRET


@pytest.fixture(scope="module")
def members() -> Iterator[LoopbackGrid]:
    """Two owners, which all tests share that do them no harm."""
    with LoopbackGrid(owners=2, replicas=0) as grid:
        yield grid


@pytest.fixture
def grid(members: LoopbackGrid) -> Iterator[Any]:
    """A connection to them, without entries; each test's folder is its own."""
    with cachegrid.connect(members.url, secret=SECRET) as grid:
        yield grid
    for index in range(2):
        with members.admin(index) as admin:
            admin.run("FLUSHALL")


@pytest.fixture
def target(members: LoopbackGrid) -> Target:
    """The way to them."""
    return parse(members.url, timeout=5.0)
