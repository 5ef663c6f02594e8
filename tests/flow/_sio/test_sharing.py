# Generated from tests/flow/_aio/test_sharing.py by tools/colour.py. Edit that file, then run `make colour`.
"""Statistics of all who share them: exact when they have closed, whatever went wrong before."""

from __future__ import annotations

import dataclasses
import logging
from types import ModuleType
from typing import Any

import pytest

import cachegrid._sio.sharing
from cachegrid._core.sharing import SILENT, WARNED, SharedStats
from cachegrid._core.stats import CacheStats
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import EngineError, OutcomeUnknown, Unreachable
from cachegrid.testing import FakeClock
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow._sio.origin import SyncStock
from tests.flow.waits._sio import begin, listed, until

SELDOM: dict[str, Any] = {"share_stats": "1h"}  # only when it is asked to, and at the end


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The time by which sheets are taken for silent."""
    clock = FakeClock()
    module: ModuleType = cachegrid._sio.sharing
    monkeypatch.setattr(module, "time", clock)
    return clock


def read(grid: SyncGrid, hits: int, misses: int = 0, cache: str = "prices") -> None:
    """So many reads."""
    prices = grid.cache(cache)
    prices.set("key", 1)
    for _ in range(hits):
        prices.get("key")
    for _ in range(misses):
        prices.get("none")


def numbers(stats: CacheStats) -> dict[str, Any]:
    """Its counters; times as far as sums of them are exact."""
    return {name: pytest.approx(it) if isinstance(it, float) else it for name, it in dataclasses.asdict(stats).items()}


def test_what_all_counted_is_summed_up(flow: SyncFlow, stock: SyncStock) -> None:
    """
    Every counter of every cache, of grids that are open and of those that were closed; who only looks shares nothing.
    """
    one, other, looker = flow.grid(**SELDOM), flow.grid(**SELDOM), flow.grid()
    read(one, 3, 2)
    read(other, 4, cache="articles")
    other.cache("prices").get_or_load_many(["a", "b", "c"], stock.load)
    read(looker, 100)
    one.shared_stats()
    shared = other.shared_stats()
    assert ["articles", "prices"] == list(shared)
    for name in shared:
        assert numbers(one.cache(name).stats() + other.cache(name).stats()) == dataclasses.asdict(shared[name])
    assert (7, 5, 1) == (shared.total.hits, shared.total.misses, shared.total.loads)
    assert (1, 1) == (shared.processes, shared.alive)
    read(one, 1)
    one.close()
    other.close()
    shared = looker.shared_stats()
    assert numbers(one.stats().total + other.stats().total) == dataclasses.asdict(shared.total)
    assert (8, 5, 1, 0) == (shared.total.hits, shared.total.misses, shared.processes, shared.alive)


def test_it_is_told_now_and_then(flow: SyncFlow) -> None:
    """
    By itself, from the first use on.
    """
    grid, looker = flow.grid(share_stats="100ms"), flow.grid()
    read(grid, 5)

    def is_told() -> bool:
        return (looker.shared_stats()).total.hits == 5

    until(is_told)
    read(grid, 2)

    def more_is_told() -> bool:
        return (looker.shared_stats()).total.hits == 7

    until(more_is_told)


def test_what_is_shared_is_no_entry(flow: SyncFlow) -> None:
    """
    It is among no cache's keys, counted nowhere, and survives a clear.
    """
    grid = flow.grid(**SELDOM)
    read(grid, 2)
    before = grid.stats().total
    grid.shared_stats()
    assert before == grid.stats().total
    assert (["prices"], ["key"]) == (grid.caches(), listed(grid.cache("prices").keys()))
    grid.cache("prices").clear()
    assert 2 == (grid.shared_stats()).total.hits


def test_nothing_is_written_where_nothing_was_counted(flow: SyncFlow) -> None:
    """
    Nor where it is not asked for; and a grid that was never opened is not opened to be closed.
    """
    idle, unshared, unopened = flow.grid(**SELDOM), flow.grid(), flow.unopened(**SELDOM)
    read(unshared, 3)
    shared = idle.shared_stats()
    assert ({}, 0, None) == (shared, shared.processes, shared.since)
    unopened.close()
    engines = engine_of(idle), engine_of(unshared)
    idle.close()
    unshared.close()
    assert not any(engine.calls[name] for engine in engines for name in ("store_if_absent", "store_if_version"))
    with pytest.raises(EngineError, match="closed"):
        idle.shared_stats()


def test_an_outage_loses_nothing(flow: SyncFlow, caplog: pytest.LogCaptureFixture) -> None:
    """
    It is warned of once, raised to nobody who did not ask, and what was counted is told later.
    """
    grid, looker = flow.grid(**SELDOM), flow.grid()
    assert grid._sharing is not None
    read(grid, 3)
    with caplog.at_level(logging.WARNING, "cachegrid"):
        for _ in range(2):
            engine_of(grid).fail("inspect", Unreachable("no member answers"))
            grid._sharing._tell_or_warn()
        assert 1 == caplog.text.count("no member answers")
        assert "is told later" in caplog.text
    assert 0 == (looker.shared_stats()).total.hits
    read(grid, 2)
    grid._sharing._tell_or_warn()
    assert 5 == (looker.shared_stats()).total.hits


def test_what_cannot_be_told_at_the_end_is_warned_of(flow: SyncFlow, caplog: pytest.LogCaptureFixture) -> None:
    """
    Closing raises nothing for it; what was told before stays.
    """
    grid, looker = flow.grid(**SELDOM), flow.grid()
    read(grid, 3)
    grid.shared_stats()
    read(grid, 2)
    engine_of(grid).fail("inspect", Unreachable("no member answers"))
    with caplog.at_level(logging.WARNING, "cachegrid"):
        grid.close()
    assert "is lost (share_stats): no member answers" in caplog.text
    assert 3 == (looker.shared_stats()).total.hits


def test_the_last_word_is_counted_once(flow: SyncFlow) -> None:
    """
    Also where its answer was lost, and another process has changed the book before that could be found out.
    """
    grid, other, looker = flow.grid(**SELDOM), flow.grid(**SELDOM), flow.grid()
    read(grid, 3)
    grid.shared_stats()
    engine_of(grid).hold("store_if_version").open()  # the sheet
    gate = engine_of(grid).hold("store_if_version", answered=True, error=OutcomeUnknown("lost"))
    closing = begin(grid.close)
    gate.reached()
    read(other, 4)
    other.shared_stats()
    gate.open()
    closing.result()
    other.close()
    shared = looker.shared_stats()
    assert (7, 1) == (shared.total.hits, shared.processes)


@pytest.mark.parametrize("kind", ["memory"])
def test_a_process_that_was_killed_has_what_it_told(flow: SyncFlow, clock: FakeClock) -> None:
    """
    Its counts go into the sum after an hour or so, by whoever tells; its near copies are gone sooner.
    """
    killed, other, looker = flow.grid(**SELDOM), flow.grid(**SELDOM), flow.grid()
    read(killed, 3)
    killed.shared_stats()
    read(other, 4)
    assert 7 == (other.shared_stats()).total.hits
    sums_up(other, clock)
    assert 7 == (looker.shared_stats()).total.hits
    assert 1 == sheets_of(other)
    until_gone(killed)


@pytest.mark.parametrize("kind", ["memory"])
@pytest.mark.parametrize("is_gone", [False, True], ids=["its sheet is there", "its sheet is gone"])
def test_a_process_that_was_away_goes_on(
    flow: SyncFlow,
    clock: FakeClock,
    is_gone: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    """
    Others have closed its sheet: what it counted since is on another one, and nothing is counted twice.
    """
    away, other, looker = flow.grid(**SELDOM), flow.grid(**SELDOM), flow.grid()
    assert away._sharing is not None
    read(away, 3)
    away.shared_stats()
    read(other, 4)
    other.shared_stats()
    read(away, 5)
    sums_up(other, clock)
    if is_gone:
        assert away._sharing._name is not None
        assert away._sharing._ledger._cache.delete(away._sharing._name)
    assert 7 == (looker.shared_stats()).total.hits
    assert 12 == (away.shared_stats()).total.hits
    read(away, 1)
    away.close()
    other.close()
    shared = looker.shared_stats()
    assert (13, 1) == (shared.total.hits, shared.processes)


@pytest.mark.parametrize("kind", ["memory"])
def test_a_book_that_was_lost_is_begun_anew(flow: SyncFlow) -> None:
    """
    With all that those counted who still run.
    """
    grid, looker = flow.grid(**SELDOM), flow.grid()
    assert grid._sharing is not None
    read(grid, 3)
    grid.shared_stats()
    grid._sharing._ledger._cache.clear()
    assert 0 == (looker.shared_stats()).total.hits
    assert 3 == (grid.shared_stats()).total.hits
    assert 3 == (looker.shared_stats()).total.hits


def test_namespaces_have_books_of_their_own(flow: SyncFlow) -> None:
    """
    As they have caches.
    """
    grid, other = flow.grid(**SELDOM), flow.grid(**SELDOM, namespace=f"{flow.backing.namespace}.other")
    read(grid, 3)
    read(other, 5)
    grid.shared_stats()
    assert [5, 3] == [(it.shared_stats()).total.hits for it in (other, grid)]


def sums_up(grid: SyncGrid, clock: FakeClock) -> SharedStats:
    """Let a grid close what is silent: an hour later, and again when it has been claimed for long enough."""
    assert grid._sharing is not None
    clock.advance(5 * SILENT)
    for _ in range(2):
        grid._sharing._tell_or_warn()
        grid._sharing._ledger.look_after()
        clock.advance(WARNED + 1)
    grid._sharing._ledger.look_after()
    return grid.shared_stats()


def sheets_of(grid: SyncGrid) -> int:
    """How many sheets are open."""
    assert grid._sharing is not None
    book = grid._sharing._ledger._book()
    assert book is not None
    return len(book["open"])


def until_gone(grid: SyncGrid) -> None:
    """Let a grid end without a last word, as one that was killed."""
    assert grid._sharing is not None
    grid._sharing._is_closed = True
    grid._sharing._tasks.close()
