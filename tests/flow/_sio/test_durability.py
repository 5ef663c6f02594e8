# Generated from tests/flow/_aio/test_durability.py by tools/colour.py. Edit that file, then run `make colour`.
"""Durability of a cache and of a call: which writes wait, and which policy says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cachegrid._core.durability import Durability
from cachegrid._sio.cache import SyncCache
from cachegrid.errors import ConfigError, LockLost, LockTimeout, NotDurable
from tests.flow._sio.flow import SyncFlow
from tests.flow._sio.gated import SyncGatedEngine
from tests.flow.waits._sio import until

ONE = Durability(1)


def loaded() -> int:
    """Loads."""
    return 5


WRITES: dict[str, tuple[str, Callable[[SyncCache], object]]] = {
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


def engine_of(cache: SyncCache) -> SyncGatedEngine:
    """The engine that a cache reads with."""
    engine: Any = cache._engine
    assert isinstance(engine, SyncGatedEngine)
    return engine


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("name", WRITES)
def test_every_write_waits_as_the_cache_says(flow: SyncFlow, name: str, near: bool) -> None:  # noqa: FBT001
    """
    Those of the cache itself, and of one with another durability, each go their own way; reads go neither.
    """
    method, write = WRITES[name]
    cache = (flow.grid()).cache("prices", near=near)
    lasting = cache.with_durability("replicated")
    for one, waits in ((cache, 0), (lasting, 1)):
        cache.clear()
        cache.set("key", 1)
        lasting.get("key")
        engine = engine_of(cache)
        before = engine.calls[method], engine.faces[ONE].calls[method]
        write(one)
        one.get("key")
        after = engine.calls[method], engine.faces[ONE].calls[method]
        assert (1 - waits, waits) == tuple(now - then for now, then in zip(after, before, strict=True))
        assert {ONE} == set(engine.faces)
    assert 0 == engine.faces[ONE].calls["fetch"]


def test_a_cache_with_another_durability_is_the_same_cache(flow: SyncFlow) -> None:
    """
    The same entries and counters, and one object for each; results of functions wait like everything in it.
    """
    cache = (flow.grid()).cache("prices", durability="replicated")
    quick = cache.with_durability("memory")
    assert (ONE, Durability()) == (cache.policy.waits_for, quick.policy.waits_for)
    assert quick is cache.with_durability("memory") is cache.with_durability(replicas=0)
    assert cache is cache.with_durability("replicated")
    quick.set("key", 1)
    assert 1 == cache.get("key")
    assert cache.stats() == quick.stats()
    assert (1, 1) == (cache.stats().stores, cache.stats().hits)
    assert {} == engine_of(quick).faces[ONE].calls
    function = cache.cached(loaded)
    assert [5, 5] == [function(), function()]
    assert 1 == engine_of(cache).faces[ONE].calls["land"]


def test_a_near_copy_goes_whatever_its_write_waits_for(flow: SyncFlow) -> None:
    """
    Own writes are seen at once, those too that fall short; the copies are those of the one cache.
    """
    cache = (flow.grid()).cache("prices", near=True)
    lasting = cache.with_durability(replicas=1)
    cache.set("key", 1)

    def is_near() -> bool:
        hits = cache.stats().near_hits
        lasting.get("key")
        return cache.stats().near_hits > hits

    until(is_near)
    engine_of(cache).hold_news()
    engine_of(cache).faces[ONE].fail("store", NotDurable("short", wanted=1), answered=True)
    with pytest.raises(NotDurable):
        lasting.set("key", 2)
    assert [2, 2] == [cache.get("key"), lasting.get("key")]


def test_a_load_that_falls_short_is_handed_out(flow: SyncFlow) -> None:
    """
    Its callers want the value; that it may be lost is counted.
    """
    cache = (flow.grid()).cache("prices", durability="replicated")
    assert cache.get("key") is None
    engine_of(cache).faces[ONE].fail("land", NotDurable("short", wanted=1), answered=True)
    assert 5 == cache.get_or_load("key", loaded)
    assert 1 == cache.stats().store_failures
    assert 5 == cache.get("key")


def test_a_clear_that_falls_short_is_told_and_done(flow: SyncFlow) -> None:
    """
    Everybody sees an empty cache; its caller learns that a dead owner may bring back what was there.
    """
    grid = flow.grid()
    cache, other = grid.cache("prices", durability="replicated"), (flow.grid()).cache("prices")
    cache.set("key", 1)
    engine_of(cache).faces[ONE].fail("raise_epoch", NotDurable("short", wanted=1), answered=True)
    with pytest.raises(NotDurable):
        cache.clear()
    assert [None, None] == [cache.get("key"), other.get("key")]
    grid.settle()
    assert 1 == engine_of(cache).calls["drop_many"]  # its memory is free


def test_a_lock_waits_as_its_cache_does(flow: SyncFlow) -> None:
    """
    When it was taken; one that falls short is not held, and free for others.
    """
    cache = (flow.grid()).cache("prices", durability="disk", replicas=1)
    with cache.with_durability("disk").lock("key"):
        assert {} == engine_of_locks(cache).faces
    with cache.lock("key"):
        face = engine_of_locks(cache).faces[ONE]
        assert {"renew": 1} == face.calls
        with pytest.raises(LockTimeout):
            cache.lock("key", wait=0).acquire()
        assert {"renew": 1} == face.calls
    face.fail("renew", NotDurable("short", wanted=1), answered=True)
    lock = cache.lock("key", wait=0)
    with pytest.raises(NotDurable):
        lock.acquire()
    assert "not held" in repr(lock)
    face.pretend("renew", False)
    with pytest.raises(LockLost):
        lock.acquire()
    with cache.with_durability("memory").lock("key", wait=0):
        pass


def engine_of_locks(cache: SyncCache) -> SyncGatedEngine:
    """The engine of its grid, that locks use."""
    engine: Any = cache._hub.engine
    assert isinstance(engine, SyncGatedEngine)
    return engine


def test_what_is_declared_is_changed_as_said(flow: SyncFlow) -> None:
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
        grid = flow.grid(caches={"prices": declared})
        assert expected == grid.cache("prices", **said).policy.waits_for
        if said:
            assert expected == (flow.grid()).cache("p", **declared).with_durability(**said).policy.waits_for


def test_what_no_durability_can_be_is_refused(flow: SyncFlow) -> None:
    """
    With the setting, and what it can be.
    """
    cache = (flow.grid()).cache("prices")
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
