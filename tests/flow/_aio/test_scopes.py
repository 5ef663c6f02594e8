"""Scopes of requests: what was read once is read from there, by nobody else, and not after a write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cachegrid import request_scope
from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from cachegrid._core.scope import OPEN, _scope
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow._aio.origin import AsyncOrigin
from tests.flow.waits._aio import together


@pytest.fixture
async def other(flow: AsyncFlow) -> AsyncCache:
    """The cache as another process has it."""
    return (await flow.grid()).cache("prices")


@contextmanager
def outside() -> Iterator[None]:
    """As another process would."""
    scope = _scope.get()
    _scope.set(None)
    yield
    _scope.set(scope)


async def test_a_request_reads_each_key_once(grid: AsyncGrid, cache: AsyncCache, origin: AsyncOrigin) -> None:
    """
    Whichever way it reads, and also what is not there; each reader gets a copy of his own.
    """
    await cache.set_many({"a": [1], "b": [2]})
    calls = engine_of(grid).calls
    async with request_scope():
        found = await cache.get("a")
        found.append("mine")
        assert ({"a": [1], "b": [2]}, None) == (await cache.get_many(["a", "b", "c"]), await cache.get("c"))
        before = calls.total()
        assert ([1], [2], None) == (await cache.get("a"), await cache.get("b"), await cache.get("c", None))
        assert {"b": [2], "a": [1]} == await cache.get_many(["b", "a", "c"])
        assert [1] == await cache.get_or_load("a", origin.load_at_once)
        assert (before, 0) == (calls.total(), origin.calls)
    assert not OPEN


async def test_what_others_write_is_seen_in_the_next_request(cache: AsyncCache, other: AsyncCache) -> None:
    """
    Within one, a key has one value.
    """
    await cache.set("key", 1)
    with request_scope():
        assert 1 == await cache.get("key")
        with outside():
            await other.set("key", 2)
        assert (1, {"key": 1}) == (await cache.get("key"), await cache.get_many(["key"]))
    assert 2 == await cache.get("key")


async def test_what_is_written_in_a_scope_is_seen_there(cache: AsyncCache, origin: AsyncOrigin) -> None:
    """
    By all ways of writing, also through another object, and by loads.
    """
    await cache.set_many({"a": 1, "n": 1}, tags="all")
    with request_scope():
        assert [1, 1, None] == [await cache.get(key) for key in ("a", "n", "x")]
        await cache.set("a", 2)
        assert (2, 2) == (await cache.get("a"), await cache.incr("n"))
        assert [1] == await cache.get_or_load("x", origin.load_at_once)
        assert (2, [1]) == (await cache.get("n"), await cache.get("x"))
        await cache.delete("a")
        assert None is await cache.get("a")
        await cache.invalidate("all")
        assert {"x": [1]} == await cache.get_many(["a", "n", "x"])
        await cache.clear()
        assert None is await cache.get("x")


async def test_what_another_way_of_reading_told_is_not_contradicted(cache: AsyncCache, other: AsyncCache) -> None:
    """
    `entry` asks the grid, and what it has told the next reads tell, too.
    """
    await cache.set("key", 1)
    with request_scope():
        assert 1 == await cache.get("key")
        with outside():
            await other.set("key", 2)
        entry = await cache.entry("key")
        assert entry is not None
        assert (2, 2) == (entry.value, await cache.get("key"))


async def test_inner_scopes_begin_with_nothing(cache: AsyncCache, other: AsyncCache) -> None:
    """
    What is written in one is seen in the outer one, which else goes on with what it read.
    """
    await cache.set_many({"a": 1, "b": 1})
    with request_scope():
        assert {"a": 1, "b": 1} == await cache.get_many(["a", "b"])
        with outside():
            await other.set_many({"a": 2, "b": 2})
        with request_scope():
            assert 2 == await cache.get("a")
            await cache.set("b", 3)
            assert 3 == await cache.get("b")
        assert {"a": 1, "b": 3} == await cache.get_many(["a", "b"])


async def test_requests_share_nothing(cache: AsyncCache, other: AsyncCache) -> None:
    """
    Neither those at the same time, nor those of the same thread or task after each other.
    """
    await other.set("key", 0)

    async def request() -> tuple[int, int]:
        async with request_scope():
            first = await cache.get("key")
            with outside():
                await other.incr("key")
            return first, await cache.get("key")

    firsts = []
    for first, second in await together(*[request for _ in range(8)]):
        firsts.append(first)
        assert first == second
    for number in range(8, 11):
        assert number == (await request())[0]
    assert (11, set()) == (await other.get("key"), OPEN)


async def test_a_scope_has_room_for_so_much(grid: AsyncGrid, cache: AsyncCache) -> None:
    """
    What is over that is read again.
    """
    await cache.set_many(dict.fromkeys(range(10), "x" * 1000))
    calls = engine_of(grid).calls
    with request_scope(max_bytes=6000):
        before = calls["fetch"]
        for number in [*range(10), *range(10)]:
            assert 1000 == len(await cache.get(number))
        assert 10 + 6 == calls["fetch"] - before


async def test_a_scope_is_opened_once(cache: AsyncCache) -> None:
    """
    Each request takes one of its own.
    """
    scope = request_scope()
    with scope:
        with pytest.raises(RuntimeError, match="open already"):
            scope.__enter__()
        assert None is await cache.get("key")
    with scope:
        assert None is await cache.get("key")


async def test_what_is_read_while_it_is_written_is_not_kept(grid: AsyncGrid, cache: AsyncCache) -> None:
    """
    It may be older than what was written.
    """
    await cache.set("key", 1)
    address = cache._space.address("key")
    with request_scope() as scope:
        writes = scope.writes
        await cache.set("key", 2)
        scope.keep(cache._home, address, b"older", writes)
        assert 2 == await cache.get("key")
