"""What a cache does while the grid cannot answer, or has no room, as its policy says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from cachegrid._aio.grid import AsyncGrid
from cachegrid.errors import CircuitOpen, EngineError, EngineTimeout, GridFull, Unreachable
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow._aio.origin import AsyncOrigin
from tests.flow.waits._aio import begin, until


@pytest.mark.parametrize("method", ["fetch", "acquire"])
@pytest.mark.parametrize("error", [EngineTimeout("away"), Unreachable("away"), CircuitOpen("away")])
async def test_loads_go_past_a_grid_that_cannot_answer(
    grid: AsyncGrid, origin: AsyncOrigin, method: str, error: EngineError
) -> None:
    """
    With `on_outage="load"` loaders and cached functions run, what they give is kept nowhere, and counted.
    """
    cache = grid.cache("prices", on_outage="load")

    @cache.cached
    async def price() -> list[int]:
        return await origin.load_at_once()

    await cache.get("key")
    await price()
    await cache.clear()
    await cache.get("key")
    for turn in (2, 3):
        engine_of(grid).fail(method, error)
        asked = price if turn == 3 else None
        assert [turn] == await (asked() if asked else cache.get_or_load("key", origin.load_at_once))
    stats = cache.stats()
    assert (3, 2, 0) == (stats.loads, stats.outage_loads, stats.load_failures)
    assert await cache.get("key") is None
    assert [4] == await price()


async def test_an_outage_is_raised_where_nothing_else_is_said(grid: AsyncGrid, origin: AsyncOrigin) -> None:
    """
    And whatever is said, by what loads nothing.
    """
    quiet, lenient = grid.cache("prices"), grid.cache("stock", on_outage="load")
    await quiet.get("key")
    await lenient.get("key")
    engine_of(grid).fail("fetch", EngineTimeout("away"))
    with pytest.raises(EngineTimeout):
        await quiet.get_or_load("key", origin.load_at_once)
    engine_of(grid).fail("fetch", EngineTimeout("away"))
    with pytest.raises(EngineTimeout):
        await lenient.get("key")
    assert 0 == origin.calls


async def test_one_load_goes_past_the_grid_at_a_time(grid: AsyncGrid, origin: AsyncOrigin) -> None:
    """
    Who asks for the same meanwhile gets a copy of what is loaded for the first.
    """
    cache = grid.cache("prices", on_outage="load")
    await cache.get("key")
    for _ in range(2):
        engine_of(grid).fail("fetch", EngineTimeout("away"))
    first = begin(cache.get_or_load, "key", origin.load)
    await origin.gate.reached()
    second = begin(cache.get_or_load, "key", origin.load)

    async def both_have_asked() -> bool:
        return bool(engine_of(grid)._hooks["fetch"] == [])

    await until(both_have_asked)
    origin.gate.open()
    one, other = await first.result(), await second.result()
    assert ([1], [1]) == (one, other)
    assert one is not other
    assert 1 == cache.stats().outage_loads


async def test_what_a_loader_raises_is_its_own(grid: AsyncGrid) -> None:
    """
    A loader that meets an outage of something else is called once, and its caller is told.
    """
    cache, calls = grid.cache("prices", on_outage="load"), list[int]()

    async def fail() -> Any:
        calls.append(1)
        raise EngineTimeout("another grid")

    with pytest.raises(EngineTimeout, match="another grid"):
        await cache.get_or_load("key", fail)
    engine_of(grid).fail("fetch", EngineTimeout("away"))
    with pytest.raises(EngineTimeout, match="another grid"):
        await cache.get_or_load("key", fail)
    assert ([1, 1], 2) == (calls, cache.stats().load_failures)


async def test_an_outage_is_reported_once(
    grid: AsyncGrid, origin: AsyncOrigin, caplog: pytest.LogCaptureFixture
) -> None:
    """
    The log names the cache and the trouble; the next calls are counted only.
    """
    cache = grid.cache("prices", on_outage="load")
    await cache.get("key")
    for _ in range(3):
        engine_of(grid).fail("fetch", EngineTimeout("db-1 is away"))
        await cache.get_or_load("key", origin.load_at_once)
    [told] = [record.getMessage() for record in caplog.records if record.name == "cachegrid"]
    assert "'prices'" in told
    assert "db-1 is away" in told


async def test_a_full_member_is_told_or_passed_over(grid: AsyncGrid) -> None:
    """
    `on_full="skip"` keeps neither what does not fit nor what was there before, and counts it.
    """
    strict, lenient = grid.cache("prices"), grid.cache("stock", on_full="skip")
    for cache in (strict, lenient):
        await cache.set("key", "old")
    engine_of(grid).fail("store", GridFull("no room"))
    with pytest.raises(GridFull):
        await strict.set("key", "new")
    assert "old" == await strict.get("key")
    engine_of(grid).fail("store", GridFull("no room"))
    await lenient.set("key", "new")
    assert await lenient.get("key") is None
    assert (1, 1) == (lenient.stats().skips, lenient.stats().stores)


async def test_of_a_batch_only_what_does_not_fit_is_passed_over(grid: AsyncGrid) -> None:
    """
    What other members have room for is stored.
    """
    cache = grid.cache("stock", on_full="skip")
    await cache.set_many({"a": 0, "b": 0, "c": 0})
    engine = engine_of(grid)
    engine.fail("store_many", GridFull("no room"))
    engine.fail("store", GridFull("no room"))
    await cache.set_many({"a": 1, "b": 2, "c": 3})
    assert {"b": 2, "c": 3} == await cache.get_many(["a", "b", "c"])
    assert (1, 5) == (cache.stats().skips, cache.stats().stores)


async def test_what_decides_something_is_never_passed_over(grid: AsyncGrid) -> None:
    """
    A condition, a counter or a lock that does not fit is told, whatever the policy says.
    """
    cache, engine = grid.cache("stock", on_full="skip"), engine_of(grid)
    await cache.set("key", 1)
    calls: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("store_if_absent", partial(cache.add, "other", 1)),
        ("store_if_present", partial(cache.replace, "key", 2)),
        ("add", partial(cache.incr, "key")),
        ("acquire", cache.lock("key").acquire),
    ]
    for method, call in calls:
        engine.fail(method, GridFull("no room"))
        with pytest.raises(GridFull):
            await call()
    assert (1, 0) == (await cache.get("key"), cache.stats().skips)


async def test_a_grid_that_was_never_reached_is_gone_past(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    Also by a program that begins while the grid is away; and once it is there, things are kept.
    """
    grid = flow.unopened()
    opener, grid._hub._opener = grid._hub._opener, _away
    cache = grid.cache("prices", on_outage="load")
    assert [1] == await cache.get_or_load("key", origin.load_at_once)
    grid._hub._opener = opener
    assert [2] == await cache.get_or_load("key", origin.load_at_once)
    assert [2] == await cache.get("key")
    assert (2, 1) == (cache.stats().loads, cache.stats().outage_loads)


async def _away() -> Any:
    raise Unreachable("no grid answers")
