# Generated from tests/flow/_aio/test_bounds.py by tools/colour.py. Edit that file, then run `make colour`.
"""Caches with a bound: they push out their own oldest entries, and nobody else's."""

from __future__ import annotations

import pytest

from cachegrid._sio.bounds import SyncBound
from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import AccessDenied, ConfigError, Unsupported
from cachegrid.testing import FakeClock
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow.backing import Backing
from tests.flow.waits._sio import listed

SLACK = 1.2  # of the bound there may be more than it: a tenth until somebody counts, and what is written meanwhile


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is told sooner."""
    monkeypatch.setattr(SyncBound, "rest", 0.002)


def count(cache: SyncCache) -> int:
    """How many entries there are."""
    return len(listed(cache.keys()))


def test_a_cache_keeps_so_many_entries(grid: SyncGrid) -> None:
    """
    About, and not many less; those of other caches stay, and so do locks.
    """
    cache, other = grid.cache("bounded", max_entries=200), grid.cache("other")
    other.set_many(dict.fromkeys(range(300), "x"))
    with cache.lock("one"):
        for start in range(0, 600, 50):
            cache.set_many({number: [number] for number in range(start, start + 50)})
            grid.settle()
            assert count(cache) <= 200 * SLACK
    assert 150 < count(cache)
    assert 300 == count(other)


def test_a_single_batch_is_counted_when_it_is_there(grid: SyncGrid) -> None:
    """
    Nobody has to write again, for the bound to be kept.
    """
    cache = grid.cache("bounded", max_entries=200)
    cache.set_many({number: [number] for number in range(1500)})
    grid.settle()
    assert 150 < count(cache) <= 200


def test_what_is_dropped_for_a_bound_is_counted(flow: SyncFlow) -> None:
    """
    By who dropped it, whoever wrote it, and under the name of the cache also where a function's results went.
    """
    grids = [flow.grid() for _ in range(2)]
    caches = [grid.cache("bounded", max_entries=200) for grid in grids]

    @caches[1].cached
    def page(number: int) -> list[int]:
        return [number]

    for start in range(0, 400, 50):
        caches[0].set_many({number: [number] for number in range(start, start + 50)})
        for number in range(start, start + 50):
            page(number)
        for grid in grids:
            grid.settle()
    left = count(caches[0]) + count(page.cache)
    assert 800 - left == sum(cache.stats().bound_evictions for cache in caches) > 500
    assert [0, 0] == [cache.stats().drops for cache in caches]
    assert grids[0].stats()["bounded"].bound_evictions == caches[0].stats().bound_evictions


def test_a_cache_takes_so_many_bytes(grid: SyncGrid) -> None:
    """
    By a sample of its entries; those of functions that it keeps are counted, too.
    """
    cache = grid.cache("bounded", max_bytes="100kB", compress=None)

    @cache.cached
    def page(number: int) -> str:
        return "x" * 900

    for number in range(200):
        (page(number) if number % 2 else cache.set(number, "y" * 900))
        if not number % 20:
            grid.settle()
    grid.settle()
    left = count(cache) + count(page.cache)
    assert 70 < left < 100 * SLACK


@pytest.mark.parametrize("kind", ["clock"])
def test_the_oldest_go(flow: SyncFlow, backing: Backing) -> None:
    """
    By when they were written last. An integer, which does not say, goes by chance.
    """
    grid, clock = flow.grid(), backing.clock
    assert isinstance(clock, FakeClock)
    cache = grid.cache("bounded", max_entries=100)
    for number in range(330):
        clock.advance(1)
        cache.set(number, [number])
        cache.set(0, ["again and again"])
        if not number % 10:
            grid.settle()
    grid.settle()
    left = sorted(listed(cache.keys()), key=lambda key: int(str(key)))
    assert 0 == left[0]
    assert list(range(330 - len(left) + 1, 330)) == left[1:]
    counts = grid.cache("counts", max_entries=100)
    for number in range(300):
        counts.set(number, number)
    grid.settle()
    assert 80 < count(counts) <= 115


def test_processes_count_together(flow: SyncFlow) -> None:
    """
    Each tells the grid what it writes: who has written little keeps the bound, too.
    """
    grids = [flow.grid() for _ in range(4)]
    caches = [grid.cache("bounded", max_entries=200) for grid in grids]
    for start in range(0, 480, 40):
        for number, cache in enumerate(caches):
            cache.set_many(dict.fromkeys(range(start + number, start + 40, 4), "x"))
            grids[number].settle()
    assert 150 < count(caches[0]) < 200 * SLACK


@pytest.mark.parametrize("kind", ["memory"])
def test_programs_that_write_a_little_are_counted(flow: SyncFlow) -> None:
    """
    Each of them tells what it wrote when it closes.
    """
    for start in range(0, 300, 2):
        grid = flow.grid()
        grid.cache("bounded", max_entries=200).set_many({start: "a", start + 1: "b"})
        grid.settle()
        grid.close()
    assert 150 < count((flow.grid()).cache("bounded")) <= 200 * SLACK


def test_a_bound_that_cannot_be_kept_is_told(grid: SyncGrid, caplog: pytest.LogCaptureFixture) -> None:
    """
    Once, while it lasts; writes go on, and the next look counts what is there.
    """
    cache, engine = grid.cache("bounded", max_entries=50), engine_of(grid)
    for start in range(0, 60, 20):
        if start < 40:
            engine.fail("add", AccessDenied("not for you"))
        cache.set_many(dict.fromkeys(range(start, start + 20), "x"))
        grid.settle()
    told = [record.getMessage() for record in caplog.records if "its bound cannot be kept" in record.getMessage()]
    assert (1, True) == (len(told), "not for you" in told[0])
    assert count(cache) < 60


def test_what_an_engine_cannot_do_is_refused(flow: SyncFlow) -> None:
    """
    When the cache is used first; what makes no sense, when it is opened.
    """
    grid = flow.grid()
    for wrong in ({"max_entries": 0}, {"max_entries": "7"}, {"max_bytes": "1kB"}, {"max_bytes": "much"}):
        with pytest.raises(ConfigError):
            grid.cache("wrong", **wrong)
    grid._hub.lacking = frozenset({"walks"})
    with pytest.raises(Unsupported, match="max_entries= or max_bytes= needs an engine with walks"):
        grid.cache("bounded", max_entries=10).set("a", 1)
