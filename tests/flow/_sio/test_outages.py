# Generated from tests/flow/_aio/test_outages.py by tools/colour.py. Edit that file, then run `make colour`.
"""What a cache does while the grid cannot answer, or has no room, as its policy says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import CircuitOpen, EngineError, EngineTimeout, GridFull, Unreachable
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow._sio.origin import SyncOrigin
from tests.flow.waits._sio import begin, until


@pytest.mark.parametrize("method", ["fetch", "acquire"])
@pytest.mark.parametrize("error", [EngineTimeout("away"), Unreachable("away"), CircuitOpen("away")])
def test_loads_go_past_a_grid_that_cannot_answer(
    grid: SyncGrid, origin: SyncOrigin, method: str, error: EngineError
) -> None:
    """
    With `on_outage="load"` loaders and cached functions run, what they give is kept nowhere, and counted.
    """
    cache = grid.cache("prices", on_outage="load")

    @cache.cached
    def price() -> list[int]:
        return origin.load_at_once()

    cache.get("key")
    price()
    cache.clear()
    cache.get("key")
    for turn in (2, 3):
        engine_of(grid).fail(method, error)
        asked = price if turn == 3 else None
        assert [turn] == (asked() if asked else cache.get_or_load("key", origin.load_at_once))
    stats = cache.stats()
    assert (3, 2, 0) == (stats.loads, stats.outage_loads, stats.load_failures)
    assert cache.get("key") is None
    assert [4] == price()


def test_an_outage_is_raised_where_nothing_else_is_said(grid: SyncGrid, origin: SyncOrigin) -> None:
    """
    And whatever is said, by what loads nothing.
    """
    quiet, lenient = grid.cache("prices"), grid.cache("stock", on_outage="load")
    quiet.get("key")
    lenient.get("key")
    engine_of(grid).fail("fetch", EngineTimeout("away"))
    with pytest.raises(EngineTimeout):
        quiet.get_or_load("key", origin.load_at_once)
    engine_of(grid).fail("fetch", EngineTimeout("away"))
    with pytest.raises(EngineTimeout):
        lenient.get("key")
    assert 0 == origin.calls


def test_one_load_goes_past_the_grid_at_a_time(grid: SyncGrid, origin: SyncOrigin) -> None:
    """
    Who asks for the same meanwhile gets a copy of what is loaded for the first.
    """
    cache = grid.cache("prices", on_outage="load")
    cache.get("key")
    for _ in range(2):
        engine_of(grid).fail("fetch", EngineTimeout("away"))
    first = begin(cache.get_or_load, "key", origin.load)
    origin.gate.reached()
    second = begin(cache.get_or_load, "key", origin.load)

    def both_have_asked() -> bool:
        return bool(engine_of(grid)._hooks["fetch"] == [])

    until(both_have_asked)
    origin.gate.open()
    one, other = first.result(), second.result()
    assert ([1], [1]) == (one, other)
    assert one is not other
    assert 1 == cache.stats().outage_loads


def test_what_a_loader_raises_is_its_own(grid: SyncGrid) -> None:
    """
    A loader that meets an outage of something else is called once, and its caller is told.
    """
    cache, calls = grid.cache("prices", on_outage="load"), list[int]()

    def fail() -> Any:
        calls.append(1)
        raise EngineTimeout("another grid")

    with pytest.raises(EngineTimeout, match="another grid"):
        cache.get_or_load("key", fail)
    engine_of(grid).fail("fetch", EngineTimeout("away"))
    with pytest.raises(EngineTimeout, match="another grid"):
        cache.get_or_load("key", fail)
    assert ([1, 1], 2) == (calls, cache.stats().load_failures)


def test_an_outage_is_reported_once(grid: SyncGrid, origin: SyncOrigin, caplog: pytest.LogCaptureFixture) -> None:
    """
    The log names the cache and the trouble; the next calls are counted only.
    """
    cache = grid.cache("prices", on_outage="load")
    cache.get("key")
    for _ in range(3):
        engine_of(grid).fail("fetch", EngineTimeout("db-1 is away"))
        cache.get_or_load("key", origin.load_at_once)
    [told] = [record.getMessage() for record in caplog.records if record.name == "cachegrid"]
    assert "'prices'" in told
    assert "db-1 is away" in told


def test_a_full_member_is_told_or_passed_over(grid: SyncGrid) -> None:
    """
    `on_full="skip"` keeps neither what does not fit nor what was there before, and counts it.
    """
    strict, lenient = grid.cache("prices"), grid.cache("stock", on_full="skip")
    for cache in (strict, lenient):
        cache.set("key", "old")
    engine_of(grid).fail("store", GridFull("no room"))
    with pytest.raises(GridFull):
        strict.set("key", "new")
    assert "old" == strict.get("key")
    engine_of(grid).fail("store", GridFull("no room"))
    lenient.set("key", "new")
    assert lenient.get("key") is None
    assert (1, 1) == (lenient.stats().skips, lenient.stats().stores)


def test_of_a_batch_only_what_does_not_fit_is_passed_over(grid: SyncGrid) -> None:
    """
    What other members have room for is stored.
    """
    cache = grid.cache("stock", on_full="skip")
    cache.set_many({"a": 0, "b": 0, "c": 0})
    engine = engine_of(grid)
    engine.fail("store_many", GridFull("no room"))
    engine.fail("store", GridFull("no room"))
    cache.set_many({"a": 1, "b": 2, "c": 3})
    assert {"b": 2, "c": 3} == cache.get_many(["a", "b", "c"])
    assert (1, 5) == (cache.stats().skips, cache.stats().stores)


def test_what_decides_something_is_never_passed_over(grid: SyncGrid) -> None:
    """
    A condition, a counter or a lock that does not fit is told, whatever the policy says.
    """
    cache, engine = grid.cache("stock", on_full="skip"), engine_of(grid)
    cache.set("key", 1)
    calls: list[tuple[str, Callable[[], object]]] = [
        ("store_if_absent", partial(cache.add, "other", 1)),
        ("store_if_present", partial(cache.replace, "key", 2)),
        ("add", partial(cache.incr, "key")),
        ("acquire", cache.lock("key").acquire),
    ]
    for method, call in calls:
        engine.fail(method, GridFull("no room"))
        with pytest.raises(GridFull):
            call()
    assert (1, 0) == (cache.get("key"), cache.stats().skips)


def test_a_grid_that_was_never_reached_is_gone_past(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    Also by a program that begins while the grid is away; and once it is there, things are kept.
    """
    grid = flow.unopened()
    opener, grid._hub._opener = grid._hub._opener, _away
    cache = grid.cache("prices", on_outage="load")
    assert [1] == cache.get_or_load("key", origin.load_at_once)
    grid._hub._opener = opener
    assert [2] == cache.get_or_load("key", origin.load_at_once)
    assert [2] == cache.get("key")
    assert (2, 1) == (cache.stats().loads, cache.stats().outage_loads)


def _away() -> Any:
    raise Unreachable("no grid answers")
