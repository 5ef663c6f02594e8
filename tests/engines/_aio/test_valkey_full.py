"""A real member that has no memory left and may evict nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

import cachegrid
from cachegrid._aio.grid import AsyncGrid
from cachegrid.errors import GridFull
from cachegrid.opening._aio import make_grid
from cachegrid.waits._aio import aside
from tests.engines.servers import Server

pytestmark = pytest.mark.grid


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(settings={"maxmemory-policy": "noeviction"}) as server:
        yield server


@pytest.fixture
async def grid(server: Server) -> AsyncIterator[AsyncGrid]:
    grid = make_grid(cachegrid.Settings(url=server.url()))
    await grid.connect()
    try:
        yield grid
    finally:
        await grid.aclose()


async def test_a_full_member_costs_no_cached_call(server: Server, grid: AsyncGrid) -> None:
    """
    What is there is read and dropped, loads run and are counted, and what writes is told or, by policy, passed over.

    A lock that is held is kept, checked and given back.
    """
    strict, lenient = grid.cache("strict"), grid.cache("lenient", on_full="skip")
    held = strict.lock("held")
    await held.acquire()
    for cache in (strict, lenient):
        await cache.set_many({"old": 1, "other": 2})
        await cache.get_or_load("loaded", _load)

    @strict.cached
    async def price() -> str:
        return "dear"

    await price.invalidate_all()
    await aside(server.run, "CONFIG", "SET", "maxmemory", 1_000_000)

    assert ["dear"] * 3 == [await price() for _ in range(3)]
    assert "loaded" == await strict.get_or_load("new", _load)
    assert (3 + 1, 1 + 3 + 1) == (strict.stats().store_failures, strict.stats().loads)
    for write in (
        lambda: strict.set("old", "x" * 1000),
        lambda: strict.set_many({"old": "x" * 1000}),
        lambda: strict.incr("count"),
        lambda: lenient.incr("count"),
        lambda: strict.add("new", 1),
        lambda: lenient.lock("new").acquire(),
    ):
        with pytest.raises(GridFull, match="no memory left"):
            await write()
    assert 1 == await strict.get("old")
    await lenient.set("old", "x" * 1000)
    await lenient.set_many({"other": "x" * 1000, "new": "x" * 1000})
    assert {} == await lenient.get_many(["old", "other", "new"])
    assert 3 == lenient.stats().skips
    await held.check()
    await held.release()
    await strict.clear()
    assert await strict.get("old") is None

    await aside(server.run, "CONFIG", "SET", "maxmemory", 0)
    await strict.set("old", "x" * 1000)
    assert "dear" == await price()
    assert "dear" == await price()
    assert 6 == strict.stats().loads


async def _load() -> str:
    return "loaded"
