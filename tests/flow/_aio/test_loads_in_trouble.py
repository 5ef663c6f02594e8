"""Loads whose grid is full, away or slow: whoever waits gets what was loaded, or is told."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._aio.grid import AsyncGrid
from cachegrid.errors import (
    AccessDenied,
    EngineError,
    EngineTimeout,
    GridFull,
    OutcomeUnknown,
    ServerRefused,
    Unreachable,
    WritesRefused,
)
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow._aio.origin import LACKING, STORES, AsyncOrigin
from tests.flow._aio.queueing import queue_of
from tests.flow.waits._aio import begin, until


async def test_a_load_whose_lease_cannot_be_given_back_counts(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    The value is stored and the caller gets it; a loader's own error is not hidden either.
    """
    flow.leaves_leases = True
    grid = await flow.grid()
    cache = grid.cache("prices", lease="1s")

    async def fail() -> Any:
        raise LookupError("no such thing")

    engine_of(grid).fail("release", EngineTimeout("away"))
    assert [1] == await cache.get_or_load("key", origin.load_at_once)
    engine_of(grid).fail("release", EngineTimeout("away"))
    with pytest.raises(LookupError):
        await cache.get_or_load("other", fail)
    assert [1] == await cache.get("key")


async def test_an_outage_before_the_load_is_told(grid: AsyncGrid, origin: AsyncOrigin) -> None:
    """
    What the grid has cannot be known then, and the origin is not asked.
    """
    cache = grid.cache("prices")
    for method in ("fetch", "acquire"):
        engine_of(grid).fail(method, EngineTimeout("away"))
        with pytest.raises(EngineTimeout, match="away"):
            await cache.get_or_load("key", origin.load_at_once)
    assert [1] == await cache.get_or_load("key", origin.load_at_once)


@pytest.mark.parametrize("lacking", LACKING, ids=" ".join)
@pytest.mark.parametrize("kind_of_error", [EngineTimeout, GridFull, OutcomeUnknown, Unreachable, WritesRefused])
async def test_what_the_grid_cannot_store_is_handed_out(
    grid: AsyncGrid, origin: AsyncOrigin, kind_of_error: type[EngineError], lacking: list[str]
) -> None:
    """
    The caller and who waits get what was loaded, it is counted, and the next caller loads again.
    """
    cache = grid.cache("prices")
    await cache.get("key")
    grid._hub.lacking = frozenset(lacking)
    for _ in range(2 if kind_of_error is OutcomeUnknown and len(lacking) == 1 else 1):
        engine_of(grid).fail(STORES[len(lacking)], kind_of_error("no room, or away"))
    loading = begin(cache.get_or_load, "key", origin.load)
    await origin.gate.reached()
    waiting = begin(cache.get_or_load, "key", origin.load)

    async def both_have_missed() -> bool:
        return cache.stats().misses == 3

    await until(both_have_missed)
    origin.gate.open()
    assert ([1], [1]) == (await loading.result(), await waiting.result())
    assert [2] == await cache.get_or_load("key", origin.load)
    stats = cache.stats()
    assert (2, 0, 1, 1) == (stats.loads, stats.load_failures, stats.store_failures, stats.stores)
    assert [2] == await cache.get("key")


@pytest.mark.parametrize("error", [GridFull("no room"), WritesRefused("no disk")])
async def test_where_no_lease_can_be_had_what_is_loaded_is_handed_out(
    grid: AsyncGrid, origin: AsyncOrigin, error: EngineError
) -> None:
    """
    A grid that takes no writes can be read: who waits gets what was loaded, which is not stored and counted.
    """
    cache = grid.cache("prices")
    engine_of(grid).fail("acquire", error)
    loading = begin(cache.get_or_load, "key", origin.load)
    await origin.gate.reached()
    waiting = begin(cache.get_or_load, "key", origin.load)

    async def both_have_missed() -> bool:
        return cache.stats().misses == 2

    await until(both_have_missed)
    origin.gate.open()
    assert ([1], [1]) == (await loading.result(), await waiting.result())
    stats = cache.stats()
    assert (1, 0, 1, 0) == (stats.loads, stats.load_failures, stats.store_failures, stats.stores)
    assert [2] == await cache.get_or_load("key", origin.load)
    assert [2] == await cache.get("key")


@pytest.mark.parametrize("error", [AccessDenied("may not"), ServerRefused("ERR what"), EngineError("closed")])
async def test_what_will_not_pass_is_told(grid: AsyncGrid, origin: AsyncOrigin, error: EngineError) -> None:
    """
    A grid that never stores what was loaded is set up wrongly, and somebody has to know.
    """
    cache = grid.cache("prices")
    engine_of(grid).fail("land", error)
    with pytest.raises(type(error), match=str(error)):
        await cache.get_or_load("key", origin.load_at_once)


async def test_an_outage_is_told_to_all_who_wait_at_once(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    They do not find it out one after the other, each after a deadline of its own.
    """
    grid = await flow.grid()
    cache, engine = grid.cache("prices"), engine_of(grid)
    gate = engine.hold("acquire", error=EngineTimeout("away", where="db-1"))
    callers = [begin(cache.get_or_load, "key", origin.load_at_once)]
    await gate.reached()
    landed = queue_of(grid)
    callers += [begin(cache.get_or_load, "key", origin.load_at_once) for _ in range(4)]

    async def all_wait() -> bool:
        return len(landed.come) == 4

    await until(all_wait)
    gate.open()
    for caller in callers:
        with pytest.raises(EngineTimeout, match="^away$") as caught:
            await caller.result()
        assert "db-1" == caught.value.where
    assert (1, 0) == (engine.calls["acquire"], origin.calls)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("answered", [False, True], ids=["not stored", "stored"])
async def test_a_load_that_nobody_knows_to_be_stored(
    grid: AsyncGrid,
    origin: AsyncOrigin,
    times: int,
    answered: bool,  # noqa: FBT001
) -> None:
    """
    An engine that cannot repeat it by itself is asked once more, and the caller gets the value in any case.
    """
    cache = grid.cache("prices")
    await cache.get("key")
    grid._hub.lacking = frozenset(["landings"])
    for _ in range(times):
        engine_of(grid).fail("store_if_absent", OutcomeUnknown("broke"), answered=answered)
    assert [1] == await cache.get_or_load("key", origin.load_at_once)
    assert (times == 1 or answered) is await cache.has("key")
    assert (times == 2) is bool(cache.stats().store_failures)


async def test_a_load_whose_lease_was_lost_counts(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    Its caller gets what was loaded; what whoever took over has stored stays.
    """
    grid = await flow.grid()
    cache = grid.cache("prices")
    loading = begin(cache.get_or_load, "key", origin.load)
    await origin.gate.reached()
    held = grid._hub.keeper._held
    assert await engine_of(grid).engine.release(cache._space.address("key"), next(iter(held)))
    assert [2] == await (await flow.grid()).cache("prices").get_or_load("key", origin.load_at_once)
    origin.gate.open()
    assert [1] == await loading.result()
    assert [2] == await cache.get("key")
