"""Loads of many keys: one call for what nobody else loads, and of each key one load in the grid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from cachegrid.errors import ConfigError, EngineTimeout, LoadFailed, LoadTimeout, ValueRefused
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow._aio.origin import AsyncStock
from tests.flow.waits._aio import begin, together


def values_of(keys: Iterable[Any]) -> dict[Any, Any]:
    """What the stock has for these keys."""
    return {key: [key] for key in keys}


async def test_what_is_missing_is_loaded_by_one_call(cache: AsyncCache, stock: AsyncStock) -> None:
    """
    In the order asked for, each key once; and found there from then on.
    """
    await cache.set("b", "there")
    values = await cache.get_or_load_many(["a", "b", "c", "a"], stock.load)
    assert [("a", ["a"]), ("b", "there"), ("c", ["c"])] == list(values.items())
    assert [["a", "c"]] == stock.asked
    assert values == await cache.get_or_load_many(["a", "b", "c"], stock.load)
    assert (1, 1) == (len(stock.asked), cache.stats().loads)
    assert {} == await cache.get_or_load_many([], stock.load)


async def test_what_others_load_is_waited_for(flow: AsyncFlow) -> None:
    """
    In this process and in another one; only the rest is loaded here, and before that is waited for.
    """
    ours, theirs = (await flow.grid()).cache("prices"), (await flow.grid()).cache("prices")
    first, second = AsyncStock(flow), AsyncStock(flow)
    second.gate.open()
    loading = begin(ours.get_or_load_many, [1, 2], first.load)
    await first.gate.reached()
    waiting = [begin(one.get_or_load_many, [2, number], second.load) for number, one in ((3, ours), (4, theirs))]
    await second.gate.reached()
    first.gate.open()
    assert values_of([1, 2]) == await loading.result()
    assert [values_of([2, 3]), values_of([2, 4])] == [await one.result() for one in waiting]
    assert ([[1, 2]], [[3], [4]]) == (first.asked, sorted(second.asked))


async def test_who_asks_for_one_key_waits_for_the_batch(cache: AsyncCache, flow: AsyncFlow) -> None:
    """
    And the other way round.
    """
    stock = AsyncStock(flow)

    async def never() -> None:
        raise AssertionError("it was loaded twice")

    batch = begin(cache.get_or_load_many, [1, 2], stock.load)
    await stock.gate.reached()
    single = begin(cache.get_or_load, 2, never)
    stock.gate.open()
    assert (values_of([1, 2]), [2]) == (await batch.result(), await single.result())


async def test_overlapping_batches_do_not_wait_for_each_other(flow: AsyncFlow) -> None:
    """
    Whatever their order, in one process or several: every key is loaded once.
    """
    caches = [(await flow.grid()).cache("prices") for _ in range(2)]
    stock = AsyncStock(flow)
    stock.gate.open()
    asked = [[(start + step * way) % 12 for step in range(6)] for start in range(12) for way in (1, -1)]

    def job(number: int, keys: list[int]) -> Any:
        return lambda: caches[number % 2].get_or_load_many(keys, stock.load)

    found = await together(*[job(number, keys) for number, keys in enumerate(asked)])
    assert [values_of(keys) for keys in asked] == found
    assert list(range(12)) == sorted(key for keys in stock.asked for key in keys)


async def test_what_is_changed_while_it_is_loaded_stays_so(flow: AsyncFlow) -> None:
    """
    Set, deleted or invalidated, by another process: what was loaded goes to its caller, and is not kept.
    """
    ours, theirs = (await flow.grid()).cache("prices"), (await flow.grid()).cache("prices")
    stock = AsyncStock(flow)
    loading = begin(ours.get_or_load_many, ["set", "deleted", "dead", "kept"], stock.load, tags=lambda key: [key])
    await stock.gate.reached()
    await theirs.set("set", "newer")
    await theirs.delete("deleted")
    await theirs.invalidate("dead")
    stock.gate.open()
    assert values_of(["set", "deleted", "dead", "kept"]) == await loading.result()
    assert {"set": "newer", "kept": ["kept"]} == await theirs.get_many(["set", "deleted", "dead", "kept"])


async def test_what_the_origin_lacks_has_no_value(cache: AsyncCache, stock: AsyncStock) -> None:
    """
    And is asked for again; as None it is kept, if that is said.
    """
    stock.lacks = {2}
    for _ in range(2):
        assert values_of([1]) == await cache.get_or_load_many([1, 2], stock.load)
    assert [[1, 2], [2]] == stock.asked
    for _ in range(2):
        assert {1: [1], 2: None} == await cache.get_or_load_many([1, 2], stock.load, absent_as_none=True)
    assert [[1, 2], [2], [2]] == stock.asked


async def test_a_loader_that_fails_is_followed_by_another(cache: AsyncCache, flow: AsyncFlow) -> None:
    """
    Its caller gets the error, and who waited loads what he asked for, with one call.
    """
    gate, stock = flow.gate(), AsyncStock(flow)
    stock.gate.open()

    async def fail(keys: list[int]) -> dict[int, Any]:
        await gate.stand()
        raise OSError("the origin is away")

    failing = begin(cache.get_or_load_many, [1, 2, 3], fail)
    await gate.reached()
    waiting = begin(cache.get_or_load_many, [3, 2], stock.load)
    gate.open()
    with pytest.raises(OSError, match="away"):
        await failing.result()
    assert values_of([3, 2]) == await waiting.result()
    assert [3, 2] == [key for keys in stock.asked for key in keys]


async def test_a_failure_is_remembered_for_each_key(cache: AsyncCache, stock: AsyncStock) -> None:
    """
    If that is asked for.
    """
    with pytest.raises(OSError, match="away"):
        await cache.get_or_load_many([1, 2], stock.fail, failure_ttl="1m")
    with pytest.raises(LoadFailed, match="away"):
        await cache.get_or_load_many([2, 3], stock.load)
    assert [[1, 2]] == stock.asked


async def test_a_loader_may_ask_for_its_own_keys(cache: AsyncCache, stock: AsyncStock) -> None:
    """
    It does not wait for itself.
    """

    async def load(keys: list[int]) -> dict[int, Any]:
        found: dict[int, Any] = await cache.get_or_load_many([*keys, 9], stock.load)
        return found

    assert values_of([1, 2]) == await cache.get_or_load_many([1, 2], load)
    assert [[1, 2], [9]] == stock.asked


async def test_a_value_that_cannot_be_kept_keeps_all_from_it(cache: AsyncCache) -> None:
    """
    The caller hears of it; nothing is stored, and no lease is left.
    """

    async def load(keys: list[int]) -> dict[int, Any]:
        return {1: "fine", 2: object()}

    with pytest.raises(ValueRefused):
        await cache.get_or_load_many([1, 2], load)
    assert {} == await cache.get_many([1, 2])


async def test_a_loader_gives_a_mapping(cache: AsyncCache) -> None:
    """
    Anything else is refused, with what it should be.
    """

    async def load(keys: list[int]) -> Any:
        return [[key] for key in keys]

    with pytest.raises(ConfigError, match="a mapping of each key to its value"):
        await cache.get_or_load_many([1, 2], load)


async def test_trouble_of_the_grid_comes_to_all_who_wait(flow: AsyncFlow, stock: AsyncStock) -> None:
    """
    Before anything is loaded; and where the policy says so, the loader is asked past it.
    """
    grid = await flow.grid()
    cache, careless = grid.cache("prices"), grid.cache("careless", on_outage="load")
    engine_of(grid).fail("acquire", EngineTimeout("no answer"))
    with pytest.raises(EngineTimeout):
        await cache.get_or_load_many([1, 2], stock.load)
    assert [] == stock.asked
    engine_of(grid).fail("fetch_many", EngineTimeout("no answer"))
    assert values_of([1, 2]) == await careless.get_or_load_many([1, 2], stock.load)
    assert (1, {}) == (careless.stats().outage_loads, await careless.get_many([1, 2]))


async def test_who_waits_too_long_is_told(flow: AsyncFlow) -> None:
    """
    After `wait` of the policy; what it takes to load the rest is none of that.
    """
    ours = (await flow.grid()).cache("prices", wait="50ms")
    theirs = (await flow.grid()).cache("prices")
    stock = AsyncStock(flow)
    loading = begin(theirs.get_or_load_many, [1], stock.load)
    await stock.gate.reached()
    with pytest.raises(LoadTimeout):
        await ours.get_or_load_many([1], stock.load)
    stock.gate.open()
    assert values_of([1]) == await loading.result()


async def test_leases_are_given_back_where_one_cannot_be_had(grid: AsyncGrid, stock: AsyncStock) -> None:
    """
    Others are not kept waiting for what failed before anything was loaded.
    """
    cache = grid.cache("prices")
    engine_of(grid).fail("acquire", EngineTimeout("no answer"), answered=True)
    with pytest.raises(EngineTimeout):
        await cache.get_or_load_many([1, 2, 3], stock.load)
    assert values_of([1, 2, 3]) == await cache.get_or_load_many([1, 2, 3], stock.load)
