"""Writes that depend on what is there: of many at once none gets lost, and none gets in between."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from cachegrid.errors import ConfigError, EngineTimeout, NotANumber, OutcomeUnknown, ValueRefused, ValueTooLarge
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow.waits._aio import begin, together, until

MOST, LEAST = (1 << 63) - 1, -(1 << 63)
CALLERS = 8


async def test_add_stores_only_where_nothing_is(cache: AsyncCache) -> None:
    """
    And says whether it did.
    """
    assert await cache.add("key", 1)
    assert not await cache.add("key", 2)
    assert 1 == await cache.get("key")


@pytest.mark.parametrize("raw", [b"\xc9 damaged", b"foreign", b"\xc9\x01" + bytes(22) + b"\xc1", b""], ids=repr)
async def test_add_replaces_what_cannot_be_read(cache: AsyncCache, raw: bytes) -> None:
    """
    To a read nothing is there, and so it is to `add`; of several callers at once one stores.
    """
    await cache.set("other", 1)
    await cache._engine.store(cache._space.address("key"), raw, None)
    answers = await together(*[_adding(cache, "key", number) for number in range(CALLERS)])
    assert [True] == [answer for answer in answers if answer]
    assert answers.index(True) == await cache.get("key")


@pytest.mark.parametrize("version", ["1", 1, None], ids=repr)
async def test_a_version_is_what_entry_gives(cache: AsyncCache, version: Any) -> None:
    """
    Anything else is refused in words, and the entry is as it was.
    """
    await cache.set("key", 1)
    with pytest.raises(ValueRefused, match=r"^version is .*; it must be the bytes that entry\(key\).version gives$"):
        await cache.compare_and_set("key", version, 2)
    assert 1 == await cache.get("key")


async def test_replace_stores_only_where_something_is(cache: AsyncCache) -> None:
    """
    And says whether it did.
    """
    assert not await cache.replace("key", 1)
    assert not await cache.has("key")
    await cache.set("key", 1)
    assert await cache.replace("key", 2)
    assert 2 == await cache.get("key")


@pytest.mark.parametrize("value", ["text", 5], ids=repr)
async def test_compare_and_set_stores_only_what_is_unchanged(cache: AsyncCache, value: Any) -> None:
    """
    A version is good for one write; one of an entry that is gone is good for none.
    """
    await cache.set("key", value)
    entry = await cache.entry("key")
    assert entry is not None
    assert await cache.compare_and_set("key", entry.version, "second")
    assert not await cache.compare_and_set("key", entry.version, "third")
    assert "second" == await cache.get("key")
    await cache.delete("key")
    assert not await cache.compare_and_set("key", entry.version, "fourth")
    assert not await cache.has("key")


async def test_of_many_who_add_one_does(flow: AsyncFlow) -> None:
    """
    In each of several rounds exactly one of all callers, on grids of their own, stores; all see its value.
    """
    caches = [(await flow.grid()).cache("prices") for _ in range(CALLERS)]
    for key in range(5):
        added = await together(*[_adding(cache, key, number) for number, cache in enumerate(caches)])
        assert 1 == sum(added)
        assert {added.index(True)} == {await cache.get(key) for cache in caches}


async def test_no_increment_is_lost(flow: AsyncFlow) -> None:
    """
    However many count at once, in a cache with idle time or without, every sum is given once.
    """
    grids = [await flow.grid() for _ in range(2)]
    for name, policy in (("plain", {}), ("idle", {"idle": 60}), ("pickled", {"codec": "pickle"})):
        counters = [grids[number % 2].cache(name, **policy) for number in range(CALLERS)]
        sums = await together(*[_counting(counter, 5) for counter in counters])
        assert list(range(1, 5 * CALLERS + 1)) == sorted(number for numbers in sums for number in numbers)


async def test_no_update_is_lost(flow: AsyncFlow) -> None:
    """
    A function is applied to what the one before has stored.
    """
    caches = [(await flow.grid()).cache("prices") for _ in range(CALLERS)]
    await together(*[_appending(cache, number) for number, cache in enumerate(caches)])
    assert list(range(CALLERS)) == sorted(await caches[0].get("key"))


async def test_an_update_is_repeated_when_another_write_came_in_between(flow: AsyncFlow) -> None:
    """
    The function sees the value that its result replaces.
    """
    grid = await flow.grid()
    cache, seen = grid.cache("prices"), []

    def shout(value: str) -> str:
        seen.append(value)
        return value.upper()

    await cache.set("key", "old")
    gate = engine_of(grid).hold("store_if_version")
    update = begin(cache.update, "key", shout)
    await gate.reached()
    await (await flow.grid()).cache("prices").set("key", "new")
    gate.open()
    assert "NEW" == await update.result()
    assert (["old", "new"], "NEW") == (seen, await cache.get("key"))


async def test_an_update_begins_with_the_default(cache: AsyncCache) -> None:
    """
    Also with None, which is a value.
    """
    assert [1] == await cache.update("key", lambda value: [*value, 1], default=[])
    assert [1, 2] == await cache.update("key", lambda value: [*value, 2], default=[])
    assert "None" == await cache.update("other", str, default=None)


async def test_an_update_whose_function_fails_changes_nothing(cache: AsyncCache) -> None:
    """
    The error is the caller's.
    """
    await cache.set("key", "x")
    with pytest.raises(ZeroDivisionError):
        await cache.update("key", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await cache.update("other", lambda _: 1 / 0, default=1)
    assert {"key": "x"} == await cache.get_many(["key", "other"])


async def test_an_update_gives_up_in_time(flow: AsyncFlow) -> None:
    """
    Where others write all the time it ends with an error when the grid's deadline has passed.
    """
    grid = await flow.grid(timeout=0.05)
    cache, theirs = grid.cache("prices"), (await flow.grid()).cache("prices")
    await cache.set("key", "x")
    engine = engine_of(grid)
    gate = engine.hold("store_if_version")
    update = begin(cache.update, "key", str.upper)

    async def is_held_or_over() -> bool:
        return gate.is_reached or update.is_done

    await gate.reached()
    while not update.is_done:
        await theirs.set("key", "y")
        held, gate = gate, engine.hold("store_if_version")
        held.open()
        await until(is_held_or_over)
    with pytest.raises(EngineTimeout, match=r"^others changed 'key' of cache 'prices' all the time"):
        await update.result()


async def test_incr_begins_at_start(cache: AsyncCache) -> None:
    """
    And goes on from what is there.
    """
    assert 1 == await cache.incr("key")
    assert 11 == await cache.incr("key", 10)
    assert 9 == await cache.incr("key", -2, start=100)
    assert 105 == await cache.incr("other", 5, start=100)
    assert {"key": 9, "other": 105} == await cache.get_many(["key", "other"])


@pytest.mark.parametrize("policy", [{}, {"idle": 60}, {"codec": "pickle"}, {"codec": "json"}], ids=repr)
async def test_incr_counts_what_was_set(grid: AsyncGrid, policy: dict[str, Any]) -> None:
    """
    Integers are integers, whichever way they came and are stored.
    """
    cache = grid.cache("counters", **policy)
    await cache.set("key", 41)
    await cache.set("own", 41, idle=30)
    await cache.set("endless", 41, idle=None)
    for key in ("key", "own", "endless"):
        assert 42 == await cache.incr(key)
        assert 42 == await cache.get(key)
        assert 50 == await cache.update(key, lambda value: value + 8)
        assert 51 == await cache.incr(key)


@pytest.mark.parametrize("policy", [{}, {"idle": 60}], ids=repr)
@pytest.mark.parametrize("value", ["5", 5.0, True, None, b"5", [5], 1 << 64, ""], ids=repr)
async def test_incr_of_what_is_no_number_changes_nothing(grid: AsyncGrid, value: Any, policy: dict[str, Any]) -> None:
    """
    The error names cache and key, and is a TypeError as adding would raise.
    """
    cache = grid.cache("counters", **policy)
    await cache.set("key", value)
    with pytest.raises(NotANumber, match=r"^'key' of cache 'counters' holds no integer"):
        await cache.incr("key")
    assert value == await cache.get("key")


@pytest.mark.parametrize("policy", [{}, {"idle": 60}], ids=repr)
@pytest.mark.parametrize(("value", "by"), [(MOST, 1), (MOST - 5, 6), (LEAST, -1), (0, MOST + 1), (5, LEAST - 6)])
async def test_incr_stays_in_64_bits(grid: AsyncGrid, value: int, by: int, policy: dict[str, Any]) -> None:
    """
    A sum that leaves them is refused, and what was there stays.
    """
    cache = grid.cache("counters", **policy)
    await cache.set("key", value)
    with pytest.raises(NotANumber):
        await cache.incr("key", by)
    with pytest.raises(NotANumber):
        await cache.incr("other", by, start=value)
    assert {"key": value} == await cache.get_many(["key", "other"])
    assert value == await cache.incr("key", 0)


async def test_incr_reaches_the_limits(cache: AsyncCache) -> None:
    """
    The largest and the smallest number are exact.
    """
    assert MOST == await cache.incr("most", 1, start=MOST - 1)
    assert LEAST == await cache.incr("least", -1, start=LEAST + 1)
    assert MOST == await cache.incr("big", 5, start=MOST - 5)
    assert (MOST, LEAST) == (await cache.get("most"), await cache.get("least"))


@pytest.mark.parametrize("by", [0.5, 1.0, "1", None], ids=repr)
async def test_incr_adds_integers_only(cache: AsyncCache, by: Any) -> None:
    """
    Nothing is rounded behind anybody's back.
    """
    with pytest.raises(NotANumber):
        await cache.incr("key", by)
    with pytest.raises(NotANumber):
        await cache.incr("key", start=by)
    assert not await cache.has("key")


async def test_incr_of_a_cache_that_holds_no_numbers(grid: AsyncGrid) -> None:
    """
    A cache of raw bytes refuses, before it stores what it could not read.
    """
    cache = grid.cache("blobs", codec="raw")
    with pytest.raises(TypeError):
        await cache.incr("key")
    assert not await cache.has("key")
    assert 0 == cache.stats().damaged


async def test_a_conditional_write_checks_its_value_first(grid: AsyncGrid) -> None:
    """
    What cannot be kept is an error whether or not it would have been stored.
    """
    cache = grid.cache("small", max_value=10)
    await cache.set("key", "x")
    for write in (cache.add, cache.replace):
        with pytest.raises(ValueTooLarge):
            await write("key", "x" * 100)
        with pytest.raises(ConfigError):
            await write("key", "x", ttl=0)
    assert "x" == await cache.get("key")


def _adding(cache: AsyncCache, key: int | str, number: int) -> Any:
    return lambda: cache.add(key, number)


def _counting(cache: AsyncCache, times: int) -> Any:
    async def count() -> list[int]:
        return [await cache.incr("key") for _ in range(times)]

    return count


def _appending(cache: AsyncCache, number: int) -> Any:
    return lambda: cache.update("key", lambda numbers: [*numbers, number], default=[])


@pytest.mark.parametrize("answered", [True, False])
async def test_it_is_found_out_whether_a_write_was_done(flow: AsyncFlow, answered: bool) -> None:  # noqa: FBT001
    """
    Where the connection broke before the answer came, what is there tells; what did not come is stored then.
    """
    grid = await flow.grid()
    cache, engine = grid.cache("prices"), engine_of(grid)
    broke = OutcomeUnknown("the connection broke")
    engine.fail("store_if_absent", broke, answered=answered)
    assert await cache.add("key", [1])
    engine.fail("store_if_present", broke, answered=answered)
    assert await cache.replace("key", [2])
    entry = await cache.entry("key")
    assert entry is not None
    engine.fail("store_if_version", broke, answered=answered)
    assert await cache.compare_and_set("key", entry.version, [3])
    engine.fail("store_if_version", broke, answered=answered)
    assert [3, 4] == await cache.update("key", lambda value: [*value, 4])
    assert [3, 4] == await cache.get("key")
    assert 4 == cache.stats().stores


async def test_what_cannot_be_found_out_is_told(flow: AsyncFlow) -> None:
    """
    Where another one has written meanwhile, nobody knows any more who was first.
    """
    grid = await flow.grid()
    cache, engine = grid.cache("prices"), engine_of(grid)
    other = (await flow.grid()).cache("prices")
    await other.set("key", ["another"])
    engine.fail("store_if_absent", OutcomeUnknown("the connection broke"))
    with pytest.raises(OutcomeUnknown):
        await cache.add("key", [1])
    engine.fail("store_if_version", OutcomeUnknown("the connection broke"))
    with pytest.raises(OutcomeUnknown):
        await cache.compare_and_set("key", b"some" * 2, [2])
    assert ["another"] == await cache.get("key")
