"""Statistics of all who share them: exact when they have closed, whatever went wrong before."""

from __future__ import annotations

import dataclasses
import logging
from types import ModuleType
from typing import Any

import pytest

import cachegrid._aio.sharing
from cachegrid._aio.grid import AsyncGrid
from cachegrid._core.sharing import SILENT, WARNED, SharedStats
from cachegrid._core.stats import CacheStats
from cachegrid.errors import EngineError, OutcomeUnknown, Unreachable
from cachegrid.testing import FakeClock
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow._aio.origin import AsyncStock
from tests.flow.waits._aio import begin, listed, until

SELDOM: dict[str, Any] = {"share_stats": "1h"}  # only when it is asked to, and at the end


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The time by which sheets are taken for silent."""
    clock = FakeClock()
    module: ModuleType = cachegrid._aio.sharing
    monkeypatch.setattr(module, "time", clock)
    return clock


async def read(grid: AsyncGrid, hits: int, misses: int = 0, cache: str = "prices") -> None:
    """So many reads."""
    prices = grid.cache(cache)
    await prices.set("key", 1)
    for _ in range(hits):
        await prices.get("key")
    for _ in range(misses):
        await prices.get("none")


def numbers(stats: CacheStats) -> dict[str, Any]:
    """Its counters; times as far as sums of them are exact."""
    return {name: pytest.approx(it) if isinstance(it, float) else it for name, it in dataclasses.asdict(stats).items()}


async def test_what_all_counted_is_summed_up(flow: AsyncFlow, stock: AsyncStock) -> None:
    """
    Every counter of every cache, of grids that are open and of those that were closed; who only looks shares nothing.
    """
    one, other, looker = await flow.grid(**SELDOM), await flow.grid(**SELDOM), await flow.grid()
    await read(one, 3, 2)
    await read(other, 4, cache="articles")
    await other.cache("prices").get_or_load_many(["a", "b", "c"], stock.load)
    await read(looker, 100)
    await one.shared_stats()
    shared = await other.shared_stats()
    assert ["articles", "prices"] == list(shared)
    for name in shared:
        assert numbers(one.cache(name).stats() + other.cache(name).stats()) == dataclasses.asdict(shared[name])
    assert (7, 5, 1) == (shared.total.hits, shared.total.misses, shared.total.loads)
    assert (1, 1) == (shared.processes, shared.alive)
    await read(one, 1)
    await one.aclose()
    await other.aclose()
    shared = await looker.shared_stats()
    assert numbers(one.stats().total + other.stats().total) == dataclasses.asdict(shared.total)
    assert (8, 5, 1, 0) == (shared.total.hits, shared.total.misses, shared.processes, shared.alive)


async def test_it_is_told_now_and_then(flow: AsyncFlow) -> None:
    """
    By itself, from the first use on.
    """
    grid, looker = await flow.grid(share_stats="100ms"), await flow.grid()
    await read(grid, 5)

    async def is_told() -> bool:
        return (await looker.shared_stats()).total.hits == 5

    await until(is_told)
    await read(grid, 2)

    async def more_is_told() -> bool:
        return (await looker.shared_stats()).total.hits == 7

    await until(more_is_told)


async def test_what_is_shared_is_no_entry(flow: AsyncFlow) -> None:
    """
    It is among no cache's keys, counted nowhere, and survives a clear.
    """
    grid = await flow.grid(**SELDOM)
    await read(grid, 2)
    before = grid.stats().total
    await grid.shared_stats()
    assert before == grid.stats().total
    assert (["prices"], ["key"]) == (grid.caches(), await listed(grid.cache("prices").keys()))
    await grid.cache("prices").clear()
    assert 2 == (await grid.shared_stats()).total.hits


async def test_nothing_is_written_where_nothing_was_counted(flow: AsyncFlow) -> None:
    """
    Nor where it is not asked for; and a grid that was never opened is not opened to be closed.
    """
    idle, unshared, unopened = await flow.grid(**SELDOM), await flow.grid(), flow.unopened(**SELDOM)
    await read(unshared, 3)
    shared = await idle.shared_stats()
    assert ({}, 0, None) == (shared, shared.processes, shared.since)
    await unopened.aclose()
    engines = engine_of(idle), engine_of(unshared)
    await idle.aclose()
    await unshared.aclose()
    assert not any(engine.calls[name] for engine in engines for name in ("store_if_absent", "store_if_version"))
    with pytest.raises(EngineError, match="closed"):
        await idle.shared_stats()


async def test_an_outage_loses_nothing(flow: AsyncFlow, caplog: pytest.LogCaptureFixture) -> None:
    """
    It is warned of once, raised to nobody who did not ask, and what was counted is told later.
    """
    grid, looker = await flow.grid(**SELDOM), await flow.grid()
    assert grid._sharing is not None
    await read(grid, 3)
    with caplog.at_level(logging.WARNING, "cachegrid"):
        for _ in range(2):
            engine_of(grid).fail("inspect", Unreachable("no member answers"))
            await grid._sharing._tell_or_warn()
        assert 1 == caplog.text.count("no member answers")
        assert "is told later" in caplog.text
    assert 0 == (await looker.shared_stats()).total.hits
    await read(grid, 2)
    await grid._sharing._tell_or_warn()
    assert 5 == (await looker.shared_stats()).total.hits


async def test_what_cannot_be_told_at_the_end_is_warned_of(flow: AsyncFlow, caplog: pytest.LogCaptureFixture) -> None:
    """
    Closing raises nothing for it; what was told before stays.
    """
    grid, looker = await flow.grid(**SELDOM), await flow.grid()
    await read(grid, 3)
    await grid.shared_stats()
    await read(grid, 2)
    engine_of(grid).fail("inspect", Unreachable("no member answers"))
    with caplog.at_level(logging.WARNING, "cachegrid"):
        await grid.aclose()
    assert "is lost (share_stats): no member answers" in caplog.text
    assert 3 == (await looker.shared_stats()).total.hits


async def test_the_last_word_is_counted_once(flow: AsyncFlow) -> None:
    """
    Also where its answer was lost, and another process has changed the book before that could be found out.
    """
    grid, other, looker = await flow.grid(**SELDOM), await flow.grid(**SELDOM), await flow.grid()
    await read(grid, 3)
    await grid.shared_stats()
    engine_of(grid).hold("store_if_version").open()  # the sheet
    gate = engine_of(grid).hold("store_if_version", answered=True, error=OutcomeUnknown("lost"))
    closing = begin(grid.aclose)
    await gate.reached()
    await read(other, 4)
    await other.shared_stats()
    gate.open()
    await closing.result()
    await other.aclose()
    shared = await looker.shared_stats()
    assert (7, 1) == (shared.total.hits, shared.processes)


@pytest.mark.parametrize("kind", ["memory"])
async def test_a_process_that_was_killed_has_what_it_told(flow: AsyncFlow, clock: FakeClock) -> None:
    """
    Its counts go into the sum after an hour or so, by whoever tells; its near copies are gone sooner.
    """
    killed, other, looker = await flow.grid(**SELDOM), await flow.grid(**SELDOM), await flow.grid()
    await read(killed, 3)
    await killed.shared_stats()
    await read(other, 4)
    assert 7 == (await other.shared_stats()).total.hits
    await sums_up(other, clock)
    assert 7 == (await looker.shared_stats()).total.hits
    assert 1 == await sheets_of(other)
    await until_gone(killed)


@pytest.mark.parametrize("kind", ["memory"])
@pytest.mark.parametrize("is_gone", [False, True], ids=["its sheet is there", "its sheet is gone"])
async def test_a_process_that_was_away_goes_on(
    flow: AsyncFlow,
    clock: FakeClock,
    is_gone: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    """
    Others have closed its sheet: what it counted since is on another one, and nothing is counted twice.
    """
    away, other, looker = await flow.grid(**SELDOM), await flow.grid(**SELDOM), await flow.grid()
    assert away._sharing is not None
    await read(away, 3)
    await away.shared_stats()
    await read(other, 4)
    await other.shared_stats()
    await read(away, 5)
    await sums_up(other, clock)
    if is_gone:
        assert away._sharing._name is not None
        assert await away._sharing._ledger._cache.delete(away._sharing._name)
    assert 7 == (await looker.shared_stats()).total.hits
    assert 12 == (await away.shared_stats()).total.hits
    await read(away, 1)
    await away.aclose()
    await other.aclose()
    shared = await looker.shared_stats()
    assert (13, 1) == (shared.total.hits, shared.processes)


@pytest.mark.parametrize("kind", ["memory"])
async def test_a_book_that_was_lost_is_begun_anew(flow: AsyncFlow) -> None:
    """
    With all that those counted who still run.
    """
    grid, looker = await flow.grid(**SELDOM), await flow.grid()
    assert grid._sharing is not None
    await read(grid, 3)
    await grid.shared_stats()
    await grid._sharing._ledger._cache.clear()
    assert 0 == (await looker.shared_stats()).total.hits
    assert 3 == (await grid.shared_stats()).total.hits
    assert 3 == (await looker.shared_stats()).total.hits


async def test_namespaces_have_books_of_their_own(flow: AsyncFlow) -> None:
    """
    As they have caches.
    """
    grid, other = await flow.grid(**SELDOM), await flow.grid(**SELDOM, namespace=f"{flow.backing.namespace}.other")
    await read(grid, 3)
    await read(other, 5)
    await grid.shared_stats()
    assert [5, 3] == [(await it.shared_stats()).total.hits for it in (other, grid)]


async def sums_up(grid: AsyncGrid, clock: FakeClock) -> SharedStats:
    """Let a grid close what is silent: an hour later, and again when it has been claimed for long enough."""
    assert grid._sharing is not None
    clock.advance(5 * SILENT)
    for _ in range(2):
        await grid._sharing._tell_or_warn()
        await grid._sharing._ledger.look_after()
        clock.advance(WARNED + 1)
    await grid._sharing._ledger.look_after()
    return await grid.shared_stats()


async def sheets_of(grid: AsyncGrid) -> int:
    """How many sheets are open."""
    assert grid._sharing is not None
    book = await grid._sharing._ledger._book()
    assert book is not None
    return len(book["open"])


async def until_gone(grid: AsyncGrid) -> None:
    """Let a grid end without a last word, as one that was killed."""
    assert grid._sharing is not None
    grid._sharing._is_closed = True
    await grid._sharing._tasks.aclose()
