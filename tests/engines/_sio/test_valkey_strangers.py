# Generated from tests/engines/_aio/test_valkey_strangers.py by tools/colour.py. Edit that file, then run `make colour`.
"""Foreign hands on the servers: what they put in the place of something of ours is none, and we get over it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import cachegrid
from cachegrid import SyncCache
from cachegrid.engines.valkey.leases import lease_key
from cachegrid.errors import NotANumber
from cachegrid.waits._sio import aside
from tests.engines._sio.opened import opened
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
def cache(server: Server) -> Iterator[SyncCache]:
    """A cache on it, at its epoch."""
    with aside(cachegrid.connect, server.url()) as grid:
        cache = grid.cache("prices", wait="2s")
        cache.get("nothing")
        yield cache


def spoil(server: Server, cache: SyncCache, *keys: str) -> None:
    """Put a list where the entries of some keys are to be."""
    for key in keys:
        aside(server.run, "RPUSH", cache._space.address(key), "a")


# Epochs.


@pytest.mark.parametrize(("command", "value"), STRANGE)
def test_what_is_no_epoch_is_made_one(server: Server, command: str, value: str) -> None:
    """
    It is made anew, bells are rung, and everybody agrees on it.
    """
    aside(server.run, command, EPOCH, value)
    with opened(server.url()) as engine, opened(server.url()) as other:
        other.fetch(b"cg:any")
        doubt = other.doubt
        epoch = engine.epoch(b"cg:prices")
        assert 1_700_000_000_000 < epoch < 10**15
        other.fetch(b"cg:any")
        assert doubt != other.doubt
        assert epoch == other.epoch(b"cg:prices")


@pytest.mark.parametrize(("command", "value"), STRANGE)
def test_what_is_no_epoch_is_raised_over(server: Server, command: str, value: str) -> None:
    """
    `clear` mends it, and goes on growing.
    """
    with opened(server.url()) as engine:
        before = engine.epoch(b"cg:prices")
        aside(server.run, "DEL", EPOCH)
        aside(server.run, command, EPOCH, value)
        raised = engine.raise_epoch(b"cg:prices")
        assert before <= raised < engine.raise_epoch(b"cg:prices")


def test_a_cache_goes_on_over_an_epoch_that_is_none(server: Server, cache: SyncCache) -> None:
    """
    What was there before is out of reach.
    """
    cache.set("sku-1", 1)
    aside(server.run, "SET", EPOCH, "what is this")
    with aside(cachegrid.connect, server.url()) as grid:
        assert grid.cache("prices").get("sku-1") is None
    cache.clear()
    cache.set("sku-1", 2)
    assert 2 == cache.get("sku-1")


# Entries.


@pytest.mark.parametrize("idle", [None, "1m"])
def test_a_list_is_a_counted_miss(server: Server, idle: str | None) -> None:
    """
    To every read, and to those of others beside it.
    """
    with aside(cachegrid.connect, server.url()) as grid:
        cache = grid.cache("prices", idle=idle)
        cache.set_many({"b": 2, "c": 3})
        spoil(server, cache, "a")
        assert cache.get("a") is None
        assert cache.entry("a") is None
        assert not cache.has("a")
        assert {"b": 2, "c": 3} == cache.get_many(["a", "b", "c"])
        assert not cache.touch("a", 60)
        assert not cache.compare_and_set("a", b"12345678", 1)
        stats = cache.stats()
        assert (4, 3) == (stats.damaged, stats.misses)
        assert [b"a"] == aside(server.run, "LRANGE", cache._space.address("a"), 0, -1)


def test_writers_get_over_a_list(server: Server, cache: SyncCache) -> None:
    """
    Each of them stores, and `delete` drops it.
    """

    def load() -> str:
        return "loaded"

    spoil(server, cache, *"abcdefg")
    cache.set("a", 1)
    assert cache.add("b", 2)
    assert "loaded" == cache.get_or_load("c", load)
    assert 4 == cache.update("d", lambda value: value + 1, default=3)
    assert cache.replace("e", 5)
    assert cache.delete("f")
    cache.set_many({"g": 7})
    assert {"a": 1, "b": 2, "c": "loaded", "d": 4, "e": 5, "g": 7} == cache.get_many(list("abcdefg"))
    assert 1 == cache.stats().loads


def test_a_list_is_no_number(server: Server, cache: SyncCache) -> None:
    """
    An engine says so and leaves it alone; a cache counts from the beginning.
    """
    spoil(server, cache, "a")
    address = cache._space.address("a")
    with opened(server.url()) as engine:
        with pytest.raises(NotANumber):
            engine.add(address, 1, 0, None)
        assert not engine.drop_if_version(address, b"12345678")
    assert [b"a"] == aside(server.run, "LRANGE", address, 0, -1)
    assert 6 == cache.incr("a", start=5)


# Leases.


@pytest.mark.parametrize(("command", "value"), STRANGE)
def test_what_is_no_lease_is_none(server: Server, command: str, value: str) -> None:
    """
    It is in nobody's way.
    """
    with opened(server.url()) as engine:
        aside(server.run, command, lease_key(b"till"), value)
        assert not engine.renew(b"till", b"t" * 16, 1_000)
        assert (engine.acquire(b"till", b"t" * 16, 1_000) or 0) > 0
        assert engine.release(b"till", b"t" * 16)
