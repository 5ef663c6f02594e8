# Generated from tests/flow/_aio/test_changes.py by tools/colour.py. Edit that file, then run `make colour`.
"""Writes that depend on what is there: of many at once none gets lost, and none gets in between."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import ConfigError, EngineTimeout, NotANumber, OutcomeUnknown, ValueRefused, ValueTooLarge
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow.waits._sio import begin, together, until

MOST, LEAST = (1 << 63) - 1, -(1 << 63)
CALLERS = 8


def test_add_stores_only_where_nothing_is(cache: SyncCache) -> None:
    """
    And says whether it did.
    """
    assert cache.add("key", 1)
    assert not cache.add("key", 2)
    assert 1 == cache.get("key")


@pytest.mark.parametrize("raw", [b"\xc9 damaged", b"foreign", b"\xc9\x01" + bytes(22) + b"\xc1", b""], ids=repr)
def test_add_replaces_what_cannot_be_read(cache: SyncCache, raw: bytes) -> None:
    """
    To a read nothing is there, and so it is to `add`; of several callers at once one stores.
    """
    cache.set("other", 1)
    cache._engine.store(cache._space.address("key"), raw, None)
    answers = together(*[_adding(cache, "key", number) for number in range(CALLERS)])
    assert [True] == [answer for answer in answers if answer]
    assert answers.index(True) == cache.get("key")


@pytest.mark.parametrize("version", ["1", 1, None], ids=repr)
def test_a_version_is_what_entry_gives(cache: SyncCache, version: Any) -> None:
    """
    Anything else is refused in words, and the entry is as it was.
    """
    cache.set("key", 1)
    with pytest.raises(ValueRefused, match=r"^version is .*; it must be the bytes that entry\(key\).version gives$"):
        cache.compare_and_set("key", version, 2)
    assert 1 == cache.get("key")


def test_replace_stores_only_where_something_is(cache: SyncCache) -> None:
    """
    And says whether it did.
    """
    assert not cache.replace("key", 1)
    assert not cache.has("key")
    cache.set("key", 1)
    assert cache.replace("key", 2)
    assert 2 == cache.get("key")


@pytest.mark.parametrize("value", ["text", 5], ids=repr)
def test_compare_and_set_stores_only_what_is_unchanged(cache: SyncCache, value: Any) -> None:
    """
    A version is good for one write; one of an entry that is gone is good for none.
    """
    cache.set("key", value)
    entry = cache.entry("key")
    assert entry is not None
    assert cache.compare_and_set("key", entry.version, "second")
    assert not cache.compare_and_set("key", entry.version, "third")
    assert "second" == cache.get("key")
    cache.delete("key")
    assert not cache.compare_and_set("key", entry.version, "fourth")
    assert not cache.has("key")


def test_of_many_who_add_one_does(flow: SyncFlow) -> None:
    """
    In each of several rounds exactly one of all callers, on grids of their own, stores; all see its value.
    """
    caches = [(flow.grid()).cache("prices") for _ in range(CALLERS)]
    for key in range(5):
        added = together(*[_adding(cache, key, number) for number, cache in enumerate(caches)])
        assert 1 == sum(added)
        assert {added.index(True)} == {cache.get(key) for cache in caches}


def test_no_increment_is_lost(flow: SyncFlow) -> None:
    """
    However many count at once, in a cache with idle time or without, every sum is given once.
    """
    grids = [flow.grid() for _ in range(2)]
    for name, policy in (("plain", {}), ("idle", {"idle": 60}), ("pickled", {"codec": "pickle"})):
        counters = [grids[number % 2].cache(name, **policy) for number in range(CALLERS)]
        sums = together(*[_counting(counter, 5) for counter in counters])
        assert list(range(1, 5 * CALLERS + 1)) == sorted(number for numbers in sums for number in numbers)


def test_no_update_is_lost(flow: SyncFlow) -> None:
    """
    A function is applied to what the one before has stored.
    """
    caches = [(flow.grid()).cache("prices") for _ in range(CALLERS)]
    together(*[_appending(cache, number) for number, cache in enumerate(caches)])
    assert list(range(CALLERS)) == sorted(caches[0].get("key"))


def test_an_update_is_repeated_when_another_write_came_in_between(flow: SyncFlow) -> None:
    """
    The function sees the value that its result replaces.
    """
    grid = flow.grid()
    cache, seen = grid.cache("prices"), []

    def shout(value: str) -> str:
        seen.append(value)
        return value.upper()

    cache.set("key", "old")
    gate = engine_of(grid).hold("store_if_version")
    update = begin(cache.update, "key", shout)
    gate.reached()
    (flow.grid()).cache("prices").set("key", "new")
    gate.open()
    assert "NEW" == update.result()
    assert (["old", "new"], "NEW") == (seen, cache.get("key"))


def test_an_update_begins_with_the_default(cache: SyncCache) -> None:
    """
    Also with None, which is a value.
    """
    assert [1] == cache.update("key", lambda value: [*value, 1], default=[])
    assert [1, 2] == cache.update("key", lambda value: [*value, 2], default=[])
    assert "None" == cache.update("other", str, default=None)


def test_an_update_whose_function_fails_changes_nothing(cache: SyncCache) -> None:
    """
    The error is the caller's.
    """
    cache.set("key", "x")
    with pytest.raises(ZeroDivisionError):
        cache.update("key", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cache.update("other", lambda _: 1 / 0, default=1)
    assert {"key": "x"} == cache.get_many(["key", "other"])


def test_an_update_gives_up_in_time(flow: SyncFlow) -> None:
    """
    Where others write all the time it ends with an error when the grid's deadline has passed.
    """
    grid = flow.grid(timeout=0.05)
    cache, theirs = grid.cache("prices"), (flow.grid()).cache("prices")
    cache.set("key", "x")
    engine = engine_of(grid)
    gate = engine.hold("store_if_version")
    update = begin(cache.update, "key", str.upper)

    def is_held_or_over() -> bool:
        return gate.is_reached or update.is_done

    gate.reached()
    while not update.is_done:
        theirs.set("key", "y")
        held, gate = gate, engine.hold("store_if_version")
        held.open()
        until(is_held_or_over)
    with pytest.raises(EngineTimeout, match=r"^others changed 'key' of cache 'prices' all the time"):
        update.result()


def test_incr_begins_at_start(cache: SyncCache) -> None:
    """
    And goes on from what is there.
    """
    assert 1 == cache.incr("key")
    assert 11 == cache.incr("key", 10)
    assert 9 == cache.incr("key", -2, start=100)
    assert 105 == cache.incr("other", 5, start=100)
    assert {"key": 9, "other": 105} == cache.get_many(["key", "other"])


@pytest.mark.parametrize("policy", [{}, {"idle": 60}, {"codec": "pickle"}, {"codec": "json"}], ids=repr)
def test_incr_counts_what_was_set(grid: SyncGrid, policy: dict[str, Any]) -> None:
    """
    Integers are integers, whichever way they came and are stored.
    """
    cache = grid.cache("counters", **policy)
    cache.set("key", 41)
    cache.set("own", 41, idle=30)
    cache.set("endless", 41, idle=None)
    for key in ("key", "own", "endless"):
        assert 42 == cache.incr(key)
        assert 42 == cache.get(key)
        assert 50 == cache.update(key, lambda value: value + 8)
        assert 51 == cache.incr(key)


@pytest.mark.parametrize("policy", [{}, {"idle": 60}], ids=repr)
@pytest.mark.parametrize("value", ["5", 5.0, True, None, b"5", [5], 1 << 64, ""], ids=repr)
def test_incr_of_what_is_no_number_changes_nothing(grid: SyncGrid, value: Any, policy: dict[str, Any]) -> None:
    """
    The error names cache and key, and is a TypeError as adding would raise.
    """
    cache = grid.cache("counters", **policy)
    cache.set("key", value)
    with pytest.raises(NotANumber, match=r"^'key' of cache 'counters' holds no integer"):
        cache.incr("key")
    assert value == cache.get("key")


@pytest.mark.parametrize("policy", [{}, {"idle": 60}], ids=repr)
@pytest.mark.parametrize(("value", "by"), [(MOST, 1), (MOST - 5, 6), (LEAST, -1), (0, MOST + 1), (5, LEAST - 6)])
def test_incr_stays_in_64_bits(grid: SyncGrid, value: int, by: int, policy: dict[str, Any]) -> None:
    """
    A sum that leaves them is refused, and what was there stays.
    """
    cache = grid.cache("counters", **policy)
    cache.set("key", value)
    with pytest.raises(NotANumber):
        cache.incr("key", by)
    with pytest.raises(NotANumber):
        cache.incr("other", by, start=value)
    assert {"key": value} == cache.get_many(["key", "other"])
    assert value == cache.incr("key", 0)


def test_incr_reaches_the_limits(cache: SyncCache) -> None:
    """
    The largest and the smallest number are exact.
    """
    assert MOST == cache.incr("most", 1, start=MOST - 1)
    assert LEAST == cache.incr("least", -1, start=LEAST + 1)
    assert MOST == cache.incr("big", 5, start=MOST - 5)
    assert (MOST, LEAST) == (cache.get("most"), cache.get("least"))


@pytest.mark.parametrize("by", [0.5, 1.0, "1", None], ids=repr)
def test_incr_adds_integers_only(cache: SyncCache, by: Any) -> None:
    """
    Nothing is rounded behind anybody's back.
    """
    with pytest.raises(NotANumber):
        cache.incr("key", by)
    with pytest.raises(NotANumber):
        cache.incr("key", start=by)
    assert not cache.has("key")


def test_incr_of_a_cache_that_holds_no_numbers(grid: SyncGrid) -> None:
    """
    A cache of raw bytes refuses, before it stores what it could not read.
    """
    cache = grid.cache("blobs", codec="raw")
    with pytest.raises(TypeError):
        cache.incr("key")
    assert not cache.has("key")
    assert 0 == cache.stats().damaged


def test_a_conditional_write_checks_its_value_first(grid: SyncGrid) -> None:
    """
    What cannot be kept is an error whether or not it would have been stored.
    """
    cache = grid.cache("small", max_value=10)
    cache.set("key", "x")
    for write in (cache.add, cache.replace):
        with pytest.raises(ValueTooLarge):
            write("key", "x" * 100)
        with pytest.raises(ConfigError):
            write("key", "x", ttl=0)
    assert "x" == cache.get("key")


def _adding(cache: SyncCache, key: int | str, number: int) -> Any:
    return lambda: cache.add(key, number)


def _counting(cache: SyncCache, times: int) -> Any:
    def count() -> list[int]:
        return [cache.incr("key") for _ in range(times)]

    return count


def _appending(cache: SyncCache, number: int) -> Any:
    return lambda: cache.update("key", lambda numbers: [*numbers, number], default=[])


@pytest.mark.parametrize("answered", [True, False])
def test_it_is_found_out_whether_a_write_was_done(flow: SyncFlow, answered: bool) -> None:  # noqa: FBT001
    """
    Where the connection broke before the answer came, what is there tells; what did not come is stored then.
    """
    grid = flow.grid()
    cache, engine = grid.cache("prices"), engine_of(grid)
    broke = OutcomeUnknown("the connection broke")
    engine.fail("store_if_absent", broke, answered=answered)
    assert cache.add("key", [1])
    engine.fail("store_if_present", broke, answered=answered)
    assert cache.replace("key", [2])
    entry = cache.entry("key")
    assert entry is not None
    engine.fail("store_if_version", broke, answered=answered)
    assert cache.compare_and_set("key", entry.version, [3])
    engine.fail("store_if_version", broke, answered=answered)
    assert [3, 4] == cache.update("key", lambda value: [*value, 4])
    assert [3, 4] == cache.get("key")
    assert 4 == cache.stats().stores


def test_what_cannot_be_found_out_is_told(flow: SyncFlow) -> None:
    """
    Where another one has written meanwhile, nobody knows any more who was first.
    """
    grid = flow.grid()
    cache, engine = grid.cache("prices"), engine_of(grid)
    other = (flow.grid()).cache("prices")
    other.set("key", ["another"])
    engine.fail("store_if_absent", OutcomeUnknown("the connection broke"))
    with pytest.raises(OutcomeUnknown):
        cache.add("key", [1])
    engine.fail("store_if_version", OutcomeUnknown("the connection broke"))
    with pytest.raises(OutcomeUnknown):
        cache.compare_and_set("key", b"some" * 2, [2])
    assert ["another"] == cache.get("key")
