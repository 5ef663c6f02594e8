# Generated from tests/flow/_aio/test_scopes.py by tools/colour.py. Edit that file, then run `make colour`.
"""Scopes of requests: what was read once is read from there, by nobody else, and not after a write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cachegrid import request_scope
from cachegrid._core.scope import OPEN, _scope
from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow._sio.origin import SyncOrigin
from tests.flow.waits._sio import together


@pytest.fixture
def other(flow: SyncFlow) -> SyncCache:
    """The cache as another process has it."""
    return (flow.grid()).cache("prices")


@contextmanager
def outside() -> Iterator[None]:
    """As another process would."""
    scope = _scope.get()
    _scope.set(None)
    yield
    _scope.set(scope)


def test_a_request_reads_each_key_once(grid: SyncGrid, cache: SyncCache, origin: SyncOrigin) -> None:
    """
    Whichever way it reads, and also what is not there; each reader gets a copy of his own.
    """
    cache.set_many({"a": [1], "b": [2]})
    calls = engine_of(grid).calls
    with request_scope():
        found = cache.get("a")
        found.append("mine")
        assert ({"a": [1], "b": [2]}, None) == (cache.get_many(["a", "b", "c"]), cache.get("c"))
        before = calls.total()
        assert ([1], [2], None) == (cache.get("a"), cache.get("b"), cache.get("c", None))
        assert {"b": [2], "a": [1]} == cache.get_many(["b", "a", "c"])
        assert [1] == cache.get_or_load("a", origin.load_at_once)
        assert (before, 0) == (calls.total(), origin.calls)
    assert not OPEN


def test_what_others_write_is_seen_in_the_next_request(cache: SyncCache, other: SyncCache) -> None:
    """
    Within one, a key has one value.
    """
    cache.set("key", 1)
    with request_scope():
        assert 1 == cache.get("key")
        with outside():
            other.set("key", 2)
        assert (1, {"key": 1}) == (cache.get("key"), cache.get_many(["key"]))
    assert 2 == cache.get("key")


def test_what_is_written_in_a_scope_is_seen_there(cache: SyncCache, origin: SyncOrigin) -> None:
    """
    By all ways of writing, also through another object, and by loads.
    """
    cache.set_many({"a": 1, "n": 1}, tags="all")
    with request_scope():
        assert [1, 1, None] == [cache.get(key) for key in ("a", "n", "x")]
        cache.set("a", 2)
        assert (2, 2) == (cache.get("a"), cache.incr("n"))
        assert [1] == cache.get_or_load("x", origin.load_at_once)
        assert (2, [1]) == (cache.get("n"), cache.get("x"))
        cache.delete("a")
        assert None is cache.get("a")
        cache.invalidate("all")
        assert {"x": [1]} == cache.get_many(["a", "n", "x"])
        cache.clear()
        assert None is cache.get("x")


def test_what_another_way_of_reading_told_is_not_contradicted(cache: SyncCache, other: SyncCache) -> None:
    """
    `entry` asks the grid, and what it has told the next reads tell, too.
    """
    cache.set("key", 1)
    with request_scope():
        assert 1 == cache.get("key")
        with outside():
            other.set("key", 2)
        entry = cache.entry("key")
        assert entry is not None
        assert (2, 2) == (entry.value, cache.get("key"))


def test_inner_scopes_begin_with_nothing(cache: SyncCache, other: SyncCache) -> None:
    """
    What is written in one is seen in the outer one, which else goes on with what it read.
    """
    cache.set_many({"a": 1, "b": 1})
    with request_scope():
        assert {"a": 1, "b": 1} == cache.get_many(["a", "b"])
        with outside():
            other.set_many({"a": 2, "b": 2})
        with request_scope():
            assert 2 == cache.get("a")
            cache.set("b", 3)
            assert 3 == cache.get("b")
        assert {"a": 1, "b": 3} == cache.get_many(["a", "b"])


def test_requests_share_nothing(cache: SyncCache, other: SyncCache) -> None:
    """
    Neither those at the same time, nor those of the same thread or task after each other.
    """
    other.set("key", 0)

    def request() -> tuple[int, int]:
        with request_scope():
            first = cache.get("key")
            with outside():
                other.incr("key")
            return first, cache.get("key")

    firsts = []
    for first, second in together(*[request for _ in range(8)]):
        firsts.append(first)
        assert first == second
    for number in range(8, 11):
        assert number == (request())[0]
    assert (11, set()) == (other.get("key"), OPEN)


def test_a_scope_has_room_for_so_much(grid: SyncGrid, cache: SyncCache) -> None:
    """
    What is over that is read again.
    """
    cache.set_many(dict.fromkeys(range(10), "x" * 1000))
    calls = engine_of(grid).calls
    with request_scope(max_bytes=6000):
        before = calls["fetch"]
        for number in [*range(10), *range(10)]:
            assert 1000 == len(cache.get(number))
        assert 10 + 6 == calls["fetch"] - before


def test_a_scope_is_opened_once(cache: SyncCache) -> None:
    """
    Each request takes one of its own.
    """
    scope = request_scope()
    with scope:
        with pytest.raises(RuntimeError, match="open already"):
            scope.__enter__()
        assert None is cache.get("key")
    with scope:
        assert None is cache.get("key")


def test_what_is_read_while_it_is_written_is_not_kept(grid: SyncGrid, cache: SyncCache) -> None:
    """
    It may be older than what was written.
    """
    cache.set("key", 1)
    address = cache._space.address("key")
    with request_scope() as scope:
        writes = scope.writes
        cache.set("key", 2)
        scope.keep(cache._home, address, b"older", writes)
        assert 2 == cache.get("key")
