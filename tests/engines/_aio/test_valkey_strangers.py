"""Foreign hands on the servers: what they put in the place of something of ours is none, and we get over it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

import cachegrid
from cachegrid import AsyncCache
from cachegrid.engines.valkey.leases import lease_key
from cachegrid.errors import NotANumber
from cachegrid.waits._aio import aside
from tests.engines._aio.opened import opened
from tests.engines.servers import Server

pytestmark = pytest.mark.grid

EPOCH = "cg!epoch:{cg:prices}"
STRANGE = [("SET", "what is this"), ("SET", ""), ("SET", "-5"), ("SET", "9" * 25), ("RPUSH", "a")]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """An empty server."""
    running.run("FLUSHALL")
    return running


@pytest.fixture
async def cache(server: Server) -> AsyncIterator[AsyncCache]:
    """A cache on it, at its epoch."""
    async with await aside(cachegrid.aconnect, server.url()) as grid:
        cache = grid.cache("prices", wait="2s")
        await cache.get("nothing")
        yield cache


async def spoil(server: Server, cache: AsyncCache, *keys: str) -> None:
    """Put a list where the entries of some keys are to be."""
    for key in keys:
        await aside(server.run, "RPUSH", cache._space.address(key), "a")


# Epochs.


@pytest.mark.parametrize(("command", "value"), STRANGE)
async def test_what_is_no_epoch_is_made_one(server: Server, command: str, value: str) -> None:
    """
    It is made anew, bells are rung, and everybody agrees on it.
    """
    await aside(server.run, command, EPOCH, value)
    async with opened(server.url()) as engine, opened(server.url()) as other:
        await other.fetch(b"cg:any")
        doubt = other.doubt
        epoch = await engine.epoch(b"cg:prices")
        assert 1_700_000_000_000 < epoch < 10**15
        await other.fetch(b"cg:any")
        assert doubt != other.doubt
        assert epoch == await other.epoch(b"cg:prices")


@pytest.mark.parametrize(("command", "value"), STRANGE)
async def test_what_is_no_epoch_is_raised_over(server: Server, command: str, value: str) -> None:
    """
    `clear` mends it, and goes on growing.
    """
    async with opened(server.url()) as engine:
        before = await engine.epoch(b"cg:prices")
        await aside(server.run, "DEL", EPOCH)
        await aside(server.run, command, EPOCH, value)
        raised = await engine.raise_epoch(b"cg:prices")
        assert before <= raised < await engine.raise_epoch(b"cg:prices")


async def test_a_cache_goes_on_over_an_epoch_that_is_none(server: Server, cache: AsyncCache) -> None:
    """
    What was there before is out of reach.
    """
    await cache.set("sku-1", 1)
    await aside(server.run, "SET", EPOCH, "what is this")
    async with await aside(cachegrid.aconnect, server.url()) as grid:
        assert await grid.cache("prices").get("sku-1") is None
    await cache.clear()
    await cache.set("sku-1", 2)
    assert 2 == await cache.get("sku-1")


# Entries.


@pytest.mark.parametrize("idle", [None, "1m"])
async def test_a_list_is_a_counted_miss(server: Server, idle: str | None) -> None:
    """
    To every read, and to those of others beside it.
    """
    async with await aside(cachegrid.aconnect, server.url()) as grid:
        cache = grid.cache("prices", idle=idle)
        await cache.set_many({"b": 2, "c": 3})
        await spoil(server, cache, "a")
        assert await cache.get("a") is None
        assert await cache.entry("a") is None
        assert not await cache.has("a")
        assert {"b": 2, "c": 3} == await cache.get_many(["a", "b", "c"])
        assert not await cache.touch("a", 60)
        assert not await cache.compare_and_set("a", b"12345678", 1)
        stats = cache.stats()
        assert (4, 3) == (stats.damaged, stats.misses)
        assert [b"a"] == await aside(server.run, "LRANGE", cache._space.address("a"), 0, -1)


async def test_writers_get_over_a_list(server: Server, cache: AsyncCache) -> None:
    """
    Each of them stores, and `delete` drops it.
    """

    async def load() -> str:
        return "loaded"

    await spoil(server, cache, *"abcdefg")
    await cache.set("a", 1)
    assert await cache.add("b", 2)
    assert "loaded" == await cache.get_or_load("c", load)
    assert 4 == await cache.update("d", lambda value: value + 1, default=3)
    assert await cache.replace("e", 5)
    assert await cache.delete("f")
    await cache.set_many({"g": 7})
    assert {"a": 1, "b": 2, "c": "loaded", "d": 4, "e": 5, "g": 7} == await cache.get_many(list("abcdefg"))
    assert 1 == cache.stats().loads


async def test_a_list_is_no_number(server: Server, cache: AsyncCache) -> None:
    """
    An engine says so and leaves it alone; a cache counts from the beginning.
    """
    await spoil(server, cache, "a")
    address = cache._space.address("a")
    async with opened(server.url()) as engine:
        with pytest.raises(NotANumber):
            await engine.add(address, 1, 0, None)
        assert not await engine.drop_if_version(address, b"12345678")
    assert [b"a"] == await aside(server.run, "LRANGE", address, 0, -1)
    assert 6 == await cache.incr("a", start=5)


# Leases.


@pytest.mark.parametrize(("command", "value"), STRANGE)
async def test_what_is_no_lease_is_none(server: Server, command: str, value: str) -> None:
    """
    It is in nobody's way.
    """
    async with opened(server.url()) as engine:
        await aside(server.run, command, lease_key(b"till"), value)
        assert not await engine.renew(b"till", b"t" * 16, 1_000)
        assert (await engine.acquire(b"till", b"t" * 16, 1_000) or 0) > 0
        assert await engine.release(b"till", b"t" * 16)
