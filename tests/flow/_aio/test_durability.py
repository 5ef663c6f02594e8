"""Durability of a cache and of a call: which writes wait, and which policy says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._core.durability import Durability
from cachegrid.errors import ConfigError, LockLost, LockTimeout, NotDurable
from tests.flow._aio.flow import AsyncFlow
from tests.flow._aio.gated import AsyncGatedEngine
from tests.flow.waits._aio import until

ONE = Durability(1)


async def loaded() -> int:
    """Loads."""
    return 5


WRITES: dict[str, tuple[str, Callable[[AsyncCache], Awaitable[object]]]] = {
    "set": ("store", lambda cache: cache.set("key", 2)),
    "set_many": ("store_many", lambda cache: cache.set_many({"key": 2})),
    "add": ("store_if_absent", lambda cache: cache.add("other", 2)),
    "replace": ("store_if_present", lambda cache: cache.replace("key", 2)),
    "compare_and_set": ("store_if_version", lambda cache: cache.compare_and_set("key", b"1", 2)),
    "incr": ("add", lambda cache: cache.incr("key")),
    "touch": ("touch", lambda cache: cache.touch("key", "1m")),
    "delete": ("drop", lambda cache: cache.delete("key")),
    "delete_many": ("drop_many", lambda cache: cache.delete_many(["key"])),
    "get_or_load": ("land", lambda cache: cache.get_or_load("other", loaded)),
    "clear": ("raise_epoch", lambda cache: cache.clear()),
}


def engine_of(cache: AsyncCache) -> AsyncGatedEngine:
    """The engine that a cache reads with."""
    engine: Any = cache._engine
    assert isinstance(engine, AsyncGatedEngine)
    return engine


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("name", WRITES)
async def test_every_write_waits_as_the_cache_says(flow: AsyncFlow, name: str, near: bool) -> None:  # noqa: FBT001
    """
    Those of the cache itself, and of one with another durability, each go their own way; reads go neither.
    """
    method, write = WRITES[name]
    cache = (await flow.grid()).cache("prices", near=near)
    lasting = cache.with_durability("replicated")
    for one, waits in ((cache, 0), (lasting, 1)):
        await cache.clear()
        await cache.set("key", 1)
        await lasting.get("key")
        engine = engine_of(cache)
        before = engine.calls[method], engine.faces[ONE].calls[method]
        await write(one)
        await one.get("key")
        after = engine.calls[method], engine.faces[ONE].calls[method]
        assert (1 - waits, waits) == tuple(now - then for now, then in zip(after, before, strict=True))
        assert {ONE} == set(engine.faces)
    assert 0 == engine.faces[ONE].calls["fetch"]


async def test_a_cache_with_another_durability_is_the_same_cache(flow: AsyncFlow) -> None:
    """
    The same entries and counters, and one object for each; results of functions wait like everything in it.
    """
    cache = (await flow.grid()).cache("prices", durability="replicated")
    quick = cache.with_durability("memory")
    assert (ONE, Durability()) == (cache.policy.waits_for, quick.policy.waits_for)
    assert quick is cache.with_durability("memory") is cache.with_durability(replicas=0)
    assert cache is cache.with_durability("replicated")
    await quick.set("key", 1)
    assert 1 == await cache.get("key")
    assert cache.stats() == quick.stats()
    assert (1, 1) == (cache.stats().stores, cache.stats().hits)
    assert {} == engine_of(quick).faces[ONE].calls
    function = cache.cached(loaded)
    assert [5, 5] == [await function(), await function()]
    assert 1 == engine_of(cache).faces[ONE].calls["land"]


async def test_a_near_copy_goes_whatever_its_write_waits_for(flow: AsyncFlow) -> None:
    """
    Own writes are seen at once, those too that fall short; the copies are those of the one cache.
    """
    cache = (await flow.grid()).cache("prices", near=True)
    lasting = cache.with_durability(replicas=1)
    await cache.set("key", 1)

    async def is_near() -> bool:
        hits = cache.stats().near_hits
        await lasting.get("key")
        return cache.stats().near_hits > hits

    await until(is_near)
    engine_of(cache).hold_news()
    engine_of(cache).faces[ONE].fail("store", NotDurable("short", wanted=1), answered=True)
    with pytest.raises(NotDurable):
        await lasting.set("key", 2)
    assert [2, 2] == [await cache.get("key"), await lasting.get("key")]


async def test_a_load_that_falls_short_is_handed_out(flow: AsyncFlow) -> None:
    """
    Its callers want the value; that it may be lost is counted.
    """
    cache = (await flow.grid()).cache("prices", durability="replicated")
    assert await cache.get("key") is None
    engine_of(cache).faces[ONE].fail("land", NotDurable("short", wanted=1), answered=True)
    assert 5 == await cache.get_or_load("key", loaded)
    assert 1 == cache.stats().store_failures
    assert 5 == await cache.get("key")


async def test_a_clear_that_falls_short_is_told_and_done(flow: AsyncFlow) -> None:
    """
    Everybody sees an empty cache; its caller learns that a dead owner may bring back what was there.
    """
    grid = await flow.grid()
    cache, other = grid.cache("prices", durability="replicated"), (await flow.grid()).cache("prices")
    await cache.set("key", 1)
    engine_of(cache).faces[ONE].fail("raise_epoch", NotDurable("short", wanted=1), answered=True)
    with pytest.raises(NotDurable):
        await cache.clear()
    assert [None, None] == [await cache.get("key"), await other.get("key")]
    await grid.settle()
    assert 1 == engine_of(cache).calls["drop_many"]  # its memory is free


async def test_a_lock_waits_as_its_cache_does(flow: AsyncFlow) -> None:
    """
    When it was taken; one that falls short is not held, and free for others.
    """
    cache = (await flow.grid()).cache("prices", durability="disk", replicas=1)
    async with cache.with_durability("disk").lock("key"):
        assert {} == engine_of_locks(cache).faces
    async with cache.lock("key"):
        face = engine_of_locks(cache).faces[ONE]
        assert {"renew": 1} == face.calls
        with pytest.raises(LockTimeout):
            await cache.lock("key", wait=0).acquire()
        assert {"renew": 1} == face.calls
    face.fail("renew", NotDurable("short", wanted=1), answered=True)
    lock = cache.lock("key", wait=0)
    with pytest.raises(NotDurable):
        await lock.acquire()
    assert "not held" in repr(lock)
    face.pretend("renew", False)
    with pytest.raises(LockLost):
        await lock.acquire()
    async with cache.with_durability("memory").lock("key", wait=0):
        pass


def engine_of_locks(cache: AsyncCache) -> AsyncGatedEngine:
    """The engine of its grid, that locks use."""
    engine: Any = cache._hub.engine
    assert isinstance(engine, AsyncGatedEngine)
    return engine


async def test_what_is_declared_is_changed_as_said(flow: AsyncFlow) -> None:
    """
    A durability takes the place of replicas; replicas leave the disk as it is.
    """
    both = Durability(2, disk=True)
    for declared, said, expected in (
        ({"durability": "replicated"}, {}, ONE),
        ({"replicas": 2}, {}, Durability(2)),
        ({"replicas": 2}, {"durability": "replicated"}, ONE),
        ({"replicas": 2}, {"durability": "memory"}, Durability()),
        ({"replicas": 2}, {"replicas": 0}, Durability()),
        ({"replicas": 2}, {"replicas": 3}, Durability(3)),
        ({"durability": "disk"}, {"replicas": 2}, both),
        ({"durability": "disk", "replicas": 2}, {}, both),
        ({"durability": "disk", "replicas": 2}, {"durability": "disk"}, Durability(disk=True)),
        ({"durability": "disk", "replicas": 2}, {"replicas": 0}, Durability(disk=True)),
    ):
        grid = await flow.grid(caches={"prices": declared})
        assert expected == grid.cache("prices", **said).policy.waits_for
        if said:
            assert expected == (await flow.grid()).cache("p", **declared).with_durability(**said).policy.waits_for


async def test_what_no_durability_can_be_is_refused(flow: AsyncFlow) -> None:
    """
    With the setting, and what it can be.
    """
    cache = (await flow.grid()).cache("prices")
    for said, message in (
        ({}, 'durability of cache \'prices\' is None; it must be "memory", "replicated" or "disk"'),
        ({"durability": "safe"}, "cache 'prices': durability is 'safe'; it must be memory, replicated or disk"),
        ({"replicas": -1}, "cache 'prices': replicas is -1; it must be a whole number from 0 on"),
        ({"replicas": True}, "cache 'prices': replicas is True; it must be"),
        ({"durability": "replicated", "replicas": 0}, "cache 'prices': replicas is 0; it must be 1 or more"),
    ):
        with pytest.raises(ConfigError) as caught:
            cache.with_durability(**said)
        assert message in str(caught.value)
