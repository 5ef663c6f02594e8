# Generated from tests/flow/_aio/test_batch_loads.py by tools/colour.py. Edit that file, then run `make colour`.
"""Loads of many keys: one call for what nobody else loads, and of each key one load in the grid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import ConfigError, EngineTimeout, LoadFailed, LoadTimeout, ValueRefused
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow._sio.origin import SyncStock
from tests.flow.waits._sio import begin, together


def values_of(keys: Iterable[Any]) -> dict[Any, Any]:
    """What the stock has for these keys."""
    return {key: [key] for key in keys}


def test_what_is_missing_is_loaded_by_one_call(cache: SyncCache, stock: SyncStock) -> None:
    """
    In the order asked for, each key once; and found there from then on.
    """
    cache.set("b", "there")
    values = cache.get_or_load_many(["a", "b", "c", "a"], stock.load)
    assert [("a", ["a"]), ("b", "there"), ("c", ["c"])] == list(values.items())
    assert [["a", "c"]] == stock.asked
    assert values == cache.get_or_load_many(["a", "b", "c"], stock.load)
    assert (1, 1) == (len(stock.asked), cache.stats().loads)
    assert {} == cache.get_or_load_many([], stock.load)


def test_what_others_load_is_waited_for(flow: SyncFlow) -> None:
    """
    In this process and in another one; only the rest is loaded here, and before that is waited for.
    """
    ours, theirs = (flow.grid()).cache("prices"), (flow.grid()).cache("prices")
    first, second = SyncStock(flow), SyncStock(flow)
    second.gate.open()
    loading = begin(ours.get_or_load_many, [1, 2], first.load)
    first.gate.reached()
    waiting = [begin(one.get_or_load_many, [2, number], second.load) for number, one in ((3, ours), (4, theirs))]
    second.gate.reached()
    first.gate.open()
    assert values_of([1, 2]) == loading.result()
    assert [values_of([2, 3]), values_of([2, 4])] == [one.result() for one in waiting]
    assert ([[1, 2]], [[3], [4]]) == (first.asked, sorted(second.asked))


def test_who_asks_for_one_key_waits_for_the_batch(cache: SyncCache, flow: SyncFlow) -> None:
    """
    And the other way round.
    """
    stock = SyncStock(flow)

    def never() -> None:
        raise AssertionError("it was loaded twice")

    batch = begin(cache.get_or_load_many, [1, 2], stock.load)
    stock.gate.reached()
    single = begin(cache.get_or_load, 2, never)
    stock.gate.open()
    assert (values_of([1, 2]), [2]) == (batch.result(), single.result())


def test_overlapping_batches_do_not_wait_for_each_other(flow: SyncFlow) -> None:
    """
    Whatever their order, in one process or several: every key is loaded once.
    """
    caches = [(flow.grid()).cache("prices") for _ in range(2)]
    stock = SyncStock(flow)
    stock.gate.open()
    asked = [[(start + step * way) % 12 for step in range(6)] for start in range(12) for way in (1, -1)]

    def job(number: int, keys: list[int]) -> Any:
        return lambda: caches[number % 2].get_or_load_many(keys, stock.load)

    found = together(*[job(number, keys) for number, keys in enumerate(asked)])
    assert [values_of(keys) for keys in asked] == found
    assert list(range(12)) == sorted(key for keys in stock.asked for key in keys)


def test_what_is_changed_while_it_is_loaded_stays_so(flow: SyncFlow) -> None:
    """
    Set, deleted or invalidated, by another process: what was loaded goes to its caller, and is not kept.
    """
    ours, theirs = (flow.grid()).cache("prices"), (flow.grid()).cache("prices")
    stock = SyncStock(flow)
    loading = begin(ours.get_or_load_many, ["set", "deleted", "dead", "kept"], stock.load, tags=lambda key: [key])
    stock.gate.reached()
    theirs.set("set", "newer")
    theirs.delete("deleted")
    theirs.invalidate("dead")
    stock.gate.open()
    assert values_of(["set", "deleted", "dead", "kept"]) == loading.result()
    assert {"set": "newer", "kept": ["kept"]} == theirs.get_many(["set", "deleted", "dead", "kept"])


def test_what_the_origin_lacks_has_no_value(cache: SyncCache, stock: SyncStock) -> None:
    """
    And is asked for again; as None it is kept, if that is said.
    """
    stock.lacks = {2}
    for _ in range(2):
        assert values_of([1]) == cache.get_or_load_many([1, 2], stock.load)
    assert [[1, 2], [2]] == stock.asked
    for _ in range(2):
        assert {1: [1], 2: None} == cache.get_or_load_many([1, 2], stock.load, absent_as_none=True)
    assert [[1, 2], [2], [2]] == stock.asked


def test_a_loader_that_fails_is_followed_by_another(cache: SyncCache, flow: SyncFlow) -> None:
    """
    Its caller gets the error, and who waited loads what he asked for, with one call.
    """
    gate, stock = flow.gate(), SyncStock(flow)
    stock.gate.open()

    def fail(keys: list[int]) -> dict[int, Any]:
        gate.stand()
        raise OSError("the origin is away")

    failing = begin(cache.get_or_load_many, [1, 2, 3], fail)
    gate.reached()
    waiting = begin(cache.get_or_load_many, [3, 2], stock.load)
    gate.open()
    with pytest.raises(OSError, match="away"):
        failing.result()
    assert values_of([3, 2]) == waiting.result()
    assert [3, 2] == [key for keys in stock.asked for key in keys]


def test_a_failure_is_remembered_for_each_key(cache: SyncCache, stock: SyncStock) -> None:
    """
    If that is asked for.
    """
    with pytest.raises(OSError, match="away"):
        cache.get_or_load_many([1, 2], stock.fail, failure_ttl="1m")
    with pytest.raises(LoadFailed, match="away"):
        cache.get_or_load_many([2, 3], stock.load)
    assert [[1, 2]] == stock.asked


def test_a_loader_may_ask_for_its_own_keys(cache: SyncCache, stock: SyncStock) -> None:
    """
    It does not wait for itself.
    """

    def load(keys: list[int]) -> dict[int, Any]:
        found: dict[int, Any] = cache.get_or_load_many([*keys, 9], stock.load)
        return found

    assert values_of([1, 2]) == cache.get_or_load_many([1, 2], load)
    assert [[1, 2], [9]] == stock.asked


def test_a_value_that_cannot_be_kept_keeps_all_from_it(cache: SyncCache) -> None:
    """
    The caller hears of it; nothing is stored, and no lease is left.
    """

    def load(keys: list[int]) -> dict[int, Any]:
        return {1: "fine", 2: object()}

    with pytest.raises(ValueRefused):
        cache.get_or_load_many([1, 2], load)
    assert {} == cache.get_many([1, 2])


def test_a_loader_gives_a_mapping(cache: SyncCache) -> None:
    """
    Anything else is refused, with what it should be.
    """

    def load(keys: list[int]) -> Any:
        return [[key] for key in keys]

    with pytest.raises(ConfigError, match="a mapping of each key to its value"):
        cache.get_or_load_many([1, 2], load)


def test_trouble_of_the_grid_comes_to_all_who_wait(flow: SyncFlow, stock: SyncStock) -> None:
    """
    Before anything is loaded; and where the policy says so, the loader is asked past it.
    """
    grid = flow.grid()
    cache, careless = grid.cache("prices"), grid.cache("careless", on_outage="load")
    engine_of(grid).fail("acquire", EngineTimeout("no answer"))
    with pytest.raises(EngineTimeout):
        cache.get_or_load_many([1, 2], stock.load)
    assert [] == stock.asked
    engine_of(grid).fail("fetch_many", EngineTimeout("no answer"))
    assert values_of([1, 2]) == careless.get_or_load_many([1, 2], stock.load)
    assert (1, {}) == (careless.stats().outage_loads, careless.get_many([1, 2]))


def test_who_waits_too_long_is_told(flow: SyncFlow) -> None:
    """
    After `wait` of the policy; what it takes to load the rest is none of that.
    """
    ours = (flow.grid()).cache("prices", wait="50ms")
    theirs = (flow.grid()).cache("prices")
    stock = SyncStock(flow)
    loading = begin(theirs.get_or_load_many, [1], stock.load)
    stock.gate.reached()
    with pytest.raises(LoadTimeout):
        ours.get_or_load_many([1], stock.load)
    stock.gate.open()
    assert values_of([1]) == loading.result()


def test_leases_are_given_back_where_one_cannot_be_had(grid: SyncGrid, stock: SyncStock) -> None:
    """
    Others are not kept waiting for what failed before anything was loaded.
    """
    cache = grid.cache("prices")
    engine_of(grid).fail("acquire", EngineTimeout("no answer"), answered=True)
    with pytest.raises(EngineTimeout):
        cache.get_or_load_many([1, 2, 3], stock.load)
    assert values_of([1, 2, 3]) == cache.get_or_load_many([1, 2, 3], stock.load)
