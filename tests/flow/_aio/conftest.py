"""What every test of the flow gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from tests.flow._aio.flow import AsyncFlow
from tests.flow._aio.origin import AsyncOrigin, AsyncStock
from tests.flow.backing import Backing


@pytest.fixture
async def flow(backing: Backing, near: dict[str, Any] | None) -> AsyncIterator[AsyncFlow]:
    """Opens grids on the test's backing."""
    async with AsyncFlow(backing, near) as flow:
        yield flow


@pytest.fixture
async def grid(flow: AsyncFlow) -> AsyncGrid:
    """A connected grid."""
    return await flow.grid()


@pytest.fixture
async def cache(grid: AsyncGrid) -> AsyncCache:
    """A cache without times."""
    return grid.cache("prices")


@pytest.fixture
def origin(flow: AsyncFlow) -> AsyncOrigin:
    """An origin whose gate is shut."""
    return AsyncOrigin(flow)


@pytest.fixture
def stock(flow: AsyncFlow) -> AsyncStock:
    """An origin whose gate is open."""
    stock = AsyncStock(flow)
    stock.gate.open()
    return stock
