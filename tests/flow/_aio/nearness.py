"""Caches with near copies for tests, and what happens elsewhere: in other processes, of which owners tell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.near import AsyncNearCache
from cachegrid._core.address import Key
from cachegrid._core.tags import bucket_of
from tests.flow._aio.flow import AsyncFlow
from tests.flow._aio.gated import AsyncGatedEngine
from tests.flow.waits._aio import until

__all__ = ["elsewhere", "gated", "keep", "keep_absence", "near_cache", "news", "settled", "told_of"]


async def near_cache(flow: AsyncFlow, name: str = "prices", **near: Any) -> AsyncNearCache:
    """A cache with near copies, that hears already what changes; on a grid object of its own."""
    cache = (await flow.grid()).cache(name, near=near or True)
    assert isinstance(cache, AsyncNearCache)
    return await settled(cache)


async def settled(cache: AsyncNearCache) -> AsyncNearCache:
    """The cache, when it hears what changes."""
    await cache.get("is it heard?")

    async def is_heard() -> bool:
        return all(cache._mark(cache._space.address(number)).guard is not None for number in range(50))

    await until(is_heard)
    return cache


class _Apart(bytes):
    """What addresses and tags begin with; nobody here is known by it."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


async def elsewhere(flow: AsyncFlow, name: str = "prices") -> AsyncCache:
    """The cache as another process has it: what it writes, reads and drops is told here by owners only."""
    cache = (await flow.grid()).cache(name)
    await cache.get("is it there?")
    cache._writer, cache._parent = cache._engine, _Apart(cache._parent)
    return cache


def gated(cache: AsyncCache) -> AsyncGatedEngine:
    """The engine of a cache, to hold its calls, and what it hears."""
    engine: Any = cache._engine
    assert isinstance(engine, AsyncGatedEngine)
    return engine


async def keep(cache: AsyncCache, *keys: Key) -> None:
    """Read until copies are kept."""
    for key in keys:

        async def is_near(key: Key = key) -> bool:
            hits = cache.stats().near_hits
            await cache.get(key)
            return cache.stats().near_hits > hits

        await until(is_near)


async def keep_absence(cache: AsyncCache, key: Key) -> None:
    """Read until it is kept that there is no entry."""

    async def is_near() -> bool:
        misses = cache.stats().near_misses
        await cache.get(key)
        return cache.stats().near_misses > misses

    await until(is_near)


async def news(cache: AsyncNearCache, key: Key, change: Callable[[], Awaitable[object]]) -> None:
    """Let a change happen elsewhere, and wait until this process has heard of it."""
    heard, address = gated(cache).heard, cache._space.address(key)
    before = heard[address]
    await change()

    async def is_told() -> bool:
        return heard[address] > before

    await until(is_told)


async def told_of(cache: AsyncNearCache, tag: str, change: Callable[[], Awaitable[object]]) -> None:
    """Let a tag be raised elsewhere, and wait until this process doubts it."""
    doubts, bucket = gated(cache).engine.doubts, bucket_of(cache._parent + tag.encode())
    before = doubts[bucket]
    await change()

    async def is_told() -> bool:
        return bool(doubts[bucket] != before)

    await until(is_told)
