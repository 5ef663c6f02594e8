# Generated from tests/flow/_aio/nearness.py by tools/colour.py. Edit that file, then run `make colour`.
"""Caches with near copies for tests, and what happens elsewhere: in other processes, of which owners tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cachegrid._core.address import Key
from cachegrid._core.tags import bucket_of
from cachegrid._sio.cache import SyncCache
from cachegrid._sio.near import SyncNearCache
from tests.flow._sio.flow import SyncFlow
from tests.flow._sio.gated import SyncGatedEngine
from tests.flow.waits._sio import until

__all__ = ["elsewhere", "gated", "keep", "keep_absence", "near_cache", "news", "settled", "told_of"]


def near_cache(flow: SyncFlow, name: str = "prices", **near: Any) -> SyncNearCache:
    """A cache with near copies, that hears already what changes; on a grid object of its own."""
    cache = (flow.grid()).cache(name, near=near or True)
    assert isinstance(cache, SyncNearCache)
    return settled(cache)


def settled(cache: SyncNearCache) -> SyncNearCache:
    """The cache, when it hears what changes."""
    cache.get("is it heard?")

    def is_heard() -> bool:
        return all(cache._mark(cache._space.address(number)).guard is not None for number in range(50))

    until(is_heard)
    return cache


class _Apart(bytes):
    """What addresses and tags begin with; nobody here is known by it."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


def elsewhere(flow: SyncFlow, name: str = "prices") -> SyncCache:
    """The cache as another process has it: what it writes, reads and drops is told here by owners only."""
    cache = (flow.grid()).cache(name)
    cache.get("is it there?")
    cache._writer, cache._parent = cache._engine, _Apart(cache._parent)
    return cache


def gated(cache: SyncCache) -> SyncGatedEngine:
    """The engine of a cache, to hold its calls, and what it hears."""
    engine: Any = cache._engine
    assert isinstance(engine, SyncGatedEngine)
    return engine


def keep(cache: SyncCache, *keys: Key) -> None:
    """Read until copies are kept."""
    for key in keys:

        def is_near(key: Key = key) -> bool:
            hits = cache.stats().near_hits
            cache.get(key)
            return cache.stats().near_hits > hits

        until(is_near)


def keep_absence(cache: SyncCache, key: Key) -> None:
    """Read until it is kept that there is no entry."""

    def is_near() -> bool:
        misses = cache.stats().near_misses
        cache.get(key)
        return cache.stats().near_misses > misses

    until(is_near)


def news(cache: SyncNearCache, key: Key, change: Callable[[], object]) -> None:
    """Let a change happen elsewhere, and wait until this process has heard of it."""
    heard, address = gated(cache).heard, cache._space.address(key)
    before = heard[address]
    change()

    def is_told() -> bool:
        return heard[address] > before

    until(is_told)


def told_of(cache: SyncNearCache, tag: str, change: Callable[[], object]) -> None:
    """Let a tag be raised elsewhere, and wait until this process doubts it."""
    doubts, bucket = gated(cache).engine.doubts, bucket_of(cache._parent + tag.encode())
    before = doubts[bucket]
    change()

    def is_told() -> bool:
        return bool(doubts[bucket] != before)

    until(is_told)
