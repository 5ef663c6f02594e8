# Generated from tests/use/_aio/test_through.py by tools/colour.py. Edit that file, then run `make colour`.
"""Caches with a source: what is missing is loaded from there, and what is set is written there first."""

from __future__ import annotations

from functools import partial, wraps
from typing import Any

import pytest

from cachegrid import NOTHING, through
from cachegrid._sio.cache import SyncCache
from cachegrid.errors import ConfigError, EntryNotFound, KeyRefused, ValueRefused
from tests.flow._sio.flow import SyncFlow
from tests.flow.waits._sio import begin, other_colour, together
from tests.use._sio.source import SyncSource


def test_what_is_missing_is_loaded_once(cache: SyncCache, source: SyncSource) -> None:
    """
    However many ask; what the source does not have is nowhere, and asked for again.
    """
    source.rows = {"a": 1, "b": None}
    stock = through(cache, loader=source.load)
    assert [1] * 8 == together(*[lambda: stock.get("a")] * 8)
    assert (["a"], 1) == (source.loads, cache.get("a"))
    assert {"b": None, "a": 1} == stock.get_many(["b", "x", "a"])
    assert ("no", None) == (stock.get("x", "no"), stock.get("b"))
    assert ["a", "b", "x", "x"] == source.loads
    with pytest.raises(EntryNotFound):
        stock._read("x")


def test_many_are_loaded_by_one_call(cache: SyncCache, source: SyncSource) -> None:
    """
    Where there is a loader of many.
    """
    source.rows = {1: "a", 2: "b"}
    stock = through(cache, load_many=source.load_many)
    assert {2: "b", 1: "a"} == stock.get_many([2, 3, 1])
    assert ([[2, 3, 1]], "a") == (source.loads, stock.get(1))


def test_the_source_is_written_first(cache: SyncCache, source: SyncSource) -> None:
    """
    Then the cache, with its tags; a delete tells the writer of nothing.
    """
    seen = []

    def write(changes: dict[str, Any]) -> None:
        seen.append((changes, cache.get_many(changes)))
        source.write(changes)

    stock = through(cache, loader=source.load, writer=write, tags=lambda key: [f"row:{key}"])
    stock.set("a", 1)
    stock.set_many({"a": 2, "b": 3})
    assert ([({"a": 1}, {}), ({"a": 2, "b": 3}, {"a": 1})], {"a": 2, "b": 3}) == (seen, source.rows)
    assert {"a": 2, "b": 3} == cache.get_many(["a", "b"])
    cache.invalidate("row:a")
    assert {"b": 3} == cache.get_many(["a", "b"])
    stock.delete("b")
    assert ({"b": NOTHING}, {"a": 2}, None) == (seen[-1][0], source.rows, cache.get("b"))
    assert (4, 0, 0) == (stock.stats().written, stock.stats().failed, stock.stats().pending)


def test_a_write_that_fails_changes_nothing_or_drops(cache: SyncCache, source: SyncSource) -> None:
    """
    Where the writer says that nothing was written, the entry stays; where nobody knows, it is loaded again.
    """
    source.rows, source.refused = {"bad": 1}, {"bad"}
    stock = through(cache, loader=source.load, writer=source.write, refusals=(ValueError,))
    assert 1 == stock.get("bad")
    with pytest.raises(ValueError, match="no such row"):
        stock.set("bad", 2)
    with pytest.raises(ValueError, match="no such row"):
        stock.delete("bad")
    assert 1 == cache.get("bad")
    source.failures = 1
    with pytest.raises(OSError, match="away"):
        stock.set_many({"bad": 2, "new": 3})
    assert {} == cache.get_many(["bad", "new"])
    assert (1, 4) == (stock.get("bad"), stock.stats().failed)


def test_what_two_write_at_once_is_loaded_again(flow: SyncFlow, source: SyncSource) -> None:
    """
    Nobody knows whose value the source has in the end: the cache keeps none of them.
    """
    ours, theirs = [(flow.grid()).cache("rows") for _ in range(2)]
    slow = SyncSource(flow.gate())
    slow.rows = source.rows
    first, second = through(ours, writer=slow.write), through(theirs, loader=source.load, writer=source.write)
    for before in ({}, {"a": 0}):
        slow.gate = flow.gate()
        ours.clear()
        ours.set_many(before)
        late = begin(first.set, "a", 1)
        slow.gate.reached()
        second.set("a", 2)
        slow.gate.open()
        late.result()
        assert None is ours.get("a")
        assert 2 == second.get("a")


def test_what_is_written_and_cannot_be_kept_is_dropped(cache: SyncCache, source: SyncSource) -> None:
    """
    The source has another value now than the cache had.
    """
    stock = through(cache, writer=source.write)
    stock.set("a", 1)
    with pytest.raises(ValueRefused):
        stock.set("a", object())
    assert None is cache.get("a")


def test_what_gives_what_the_cache_can_call_is_taken(cache: SyncCache, source: SyncSource) -> None:
    """
    Functions with something around them, lambdas, and objects that are called.
    """
    source.rows = {"a": 1}

    @wraps(source.load)
    def wrapped(key: str) -> Any:
        return source.load(key)

    class Called:
        def __call__(self, key: str) -> Any:
            return source.load(key)

    for load in (wrapped, Called(), lambda key: source.load(str(key)), partial(source.load)):
        cache.clear()
        assert 1 == through(cache, loader=load).get("a")


def no_mapping(keys: list[Any]) -> Any:
    """What takes keys for names, and gives values in a list."""
    return list(keys)


def test_what_makes_no_sense_is_refused(cache: SyncCache, source: SyncSource) -> None:
    """
    With what it should be.
    """
    for wrong in ({}, {"loader": source.load, "behind": "1s"}, {"writer": source.write, "behind": "1s", "batch": 0},
                  {"writer": source.write, "behind": "1s", "retries": -1},
                  {"writer": source.write, "batch": 5}, {"writer": source.write, "timeout": "1s"},
                  {"writer": source.write, "refusals": [ValueError]},
                  {"writer": source.write, "refusals": (KeyError(),)},
                  {"loader": source.load, "load_many": source.load_many}):  # fmt: skip
        with pytest.raises(ConfigError):
            through(cache, **wrong)
    with pytest.raises(KeyRefused, match="one key"):
        through(cache, writer=source.write).get_many("abc")
    with pytest.raises(ConfigError, match="writer"):
        through(cache, loader=source.load).set("a", 1)
    with pytest.raises(ConfigError, match="load_many for .* must be a mapping"):
        through(cache, load_many=no_mapping).get("a")
    with pytest.raises(ConfigError, match="function; for this one take the cache from"):
        through(cache, loader=lambda key: other_colour(key)()).get("a")
