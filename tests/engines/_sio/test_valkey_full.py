# Generated from tests/engines/_aio/test_valkey_full.py by tools/colour.py. Edit that file, then run `make colour`.
"""A real member that has no memory left and may evict nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import cachegrid
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import GridFull
from cachegrid.opening._sio import make_grid
from cachegrid.waits._sio import aside
from tests.engines.servers import Server

pytestmark = pytest.mark.grid


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(settings={"maxmemory-policy": "noeviction"}) as server:
        yield server


@pytest.fixture
def grid(server: Server) -> Iterator[SyncGrid]:
    grid = make_grid(cachegrid.Settings(url=server.url()))
    grid.connect()
    try:
        yield grid
    finally:
        grid.close()


def test_a_full_member_costs_no_cached_call(server: Server, grid: SyncGrid) -> None:
    """
    What is there is read and dropped, loads run and are counted, and what writes is told or, by policy, passed over.

    A lock that is held is kept, checked and given back.
    """
    strict, lenient = grid.cache("strict"), grid.cache("lenient", on_full="skip")
    held = strict.lock("held")
    held.acquire()
    for cache in (strict, lenient):
        cache.set_many({"old": 1, "other": 2})
        cache.get_or_load("loaded", _load)

    @strict.cached
    def price() -> str:
        return "dear"

    price.invalidate_all()
    aside(server.run, "CONFIG", "SET", "maxmemory", 1_000_000)

    assert ["dear"] * 3 == [price() for _ in range(3)]
    assert "loaded" == strict.get_or_load("new", _load)
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
            write()
    assert 1 == strict.get("old")
    lenient.set("old", "x" * 1000)
    lenient.set_many({"other": "x" * 1000, "new": "x" * 1000})
    assert {} == lenient.get_many(["old", "other", "new"])
    assert 3 == lenient.stats().skips
    held.check()
    held.release()
    strict.clear()
    assert strict.get("old") is None

    aside(server.run, "CONFIG", "SET", "maxmemory", 0)
    strict.set("old", "x" * 1000)
    assert "dear" == price()
    assert "dear" == price()
    assert 6 == strict.stats().loads


def _load() -> str:
    return "loaded"
