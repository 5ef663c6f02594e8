# Generated from tests/flow/_aio/conftest.py by tools/colour.py. Edit that file, then run `make colour`.
"""What every test of the flow gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from tests.flow._sio.flow import SyncFlow
from tests.flow._sio.origin import SyncOrigin, SyncStock
from tests.flow.backing import Backing


@pytest.fixture
def flow(backing: Backing, near: dict[str, Any] | None) -> Iterator[SyncFlow]:
    """Opens grids on the test's backing."""
    with SyncFlow(backing, near) as flow:
        yield flow


@pytest.fixture
def grid(flow: SyncFlow) -> SyncGrid:
    """A connected grid."""
    return flow.grid()


@pytest.fixture
def cache(grid: SyncGrid) -> SyncCache:
    """A cache without times."""
    return grid.cache("prices")


@pytest.fixture
def origin(flow: SyncFlow) -> SyncOrigin:
    """An origin whose gate is shut."""
    return SyncOrigin(flow)


@pytest.fixture
def stock(flow: SyncFlow) -> SyncStock:
    """An origin whose gate is open."""
    stock = SyncStock(flow)
    stock.gate.open()
    return stock
