"""Caches with a bound: they push out their own oldest entries, and nobody else's."""

from __future__ import annotations

import pytest

from cachegrid._aio.bounds import AsyncBound
from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from cachegrid.errors import AccessDenied, ConfigError, Unsupported
from cachegrid.testing import FakeClock
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow.backing import Backing
from tests.flow.waits._aio import listed

SLACK = 1.2  # of the bound there may be more than it: a tenth until somebody counts, and what is written meanwhile


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is told sooner."""
    monkeypatch.setattr(AsyncBound, "rest", 0.002)


async def count(cache: AsyncCache) -> int:
    """How many entries there are."""
    return len(await listed(cache.keys()))


async def test_a_cache_keeps_so_many_entries(grid: AsyncGrid) -> None:
    """
    About, and not many less; those of other caches stay, and so do locks.
    """
    cache, other = grid.cache("bounded", max_entries=200), grid.cache("other")
    await other.set_many(dict.fromkeys(range(300), "x"))
    async with cache.lock("one"):
        for start in range(0, 600, 50):
            await cache.set_many({number: [number] for number in range(start, start + 50)})
            await grid.settle()
            assert await count(cache) <= 200 * SLACK
    assert 150 < await count(cache)
    assert 300 == await count(other)


async def test_a_single_batch_is_counted_when_it_is_there(grid: AsyncGrid) -> None:
    """
    Nobody has to write again, for the bound to be kept.
    """
    cache = grid.cache("bounded", max_entries=200)
    await cache.set_many({number: [number] for number in range(1500)})
    await grid.settle()
    assert 150 < await count(cache) <= 200


async def test_what_is_dropped_for_a_bound_is_counted(flow: AsyncFlow) -> None:
    """
    By who dropped it, whoever wrote it, and under the name of the cache also where a function's results went.
    """
    grids = [await flow.grid() for _ in range(2)]
    caches = [grid.cache("bounded", max_entries=200) for grid in grids]

    @caches[1].cached
    async def page(number: int) -> list[int]:
        return [number]

    for start in range(0, 400, 50):
        await caches[0].set_many({number: [number] for number in range(start, start + 50)})
        for number in range(start, start + 50):
            await page(number)
        for grid in grids:
            await grid.settle()
    left = await count(caches[0]) + await count(page.cache)
    assert 800 - left == sum(cache.stats().bound_evictions for cache in caches) > 500
    assert [0, 0] == [cache.stats().drops for cache in caches]
    assert grids[0].stats()["bounded"].bound_evictions == caches[0].stats().bound_evictions


async def test_a_cache_takes_so_many_bytes(grid: AsyncGrid) -> None:
    """
    By a sample of its entries; those of functions that it keeps are counted, too.
    """
    cache = grid.cache("bounded", max_bytes="100kB", compress=None)

    @cache.cached
    async def page(number: int) -> str:
        return "x" * 900

    for number in range(200):
        await (page(number) if number % 2 else cache.set(number, "y" * 900))
        if not number % 20:
            await grid.settle()
    await grid.settle()
    left = await count(cache) + await count(page.cache)
    assert 70 < left < 100 * SLACK


@pytest.mark.parametrize("kind", ["clock"])
async def test_the_oldest_go(flow: AsyncFlow, backing: Backing) -> None:
    """
    By when they were written last. An integer, which does not say, goes by chance.
    """
    grid, clock = await flow.grid(), backing.clock
    assert isinstance(clock, FakeClock)
    cache = grid.cache("bounded", max_entries=100)
    for number in range(330):
        clock.advance(1)
        await cache.set(number, [number])
        await cache.set(0, ["again and again"])
        if not number % 10:
            await grid.settle()
    await grid.settle()
    left = sorted(await listed(cache.keys()), key=lambda key: int(str(key)))
    assert 0 == left[0]
    assert list(range(330 - len(left) + 1, 330)) == left[1:]
    counts = grid.cache("counts", max_entries=100)
    for number in range(300):
        await counts.set(number, number)
    await grid.settle()
    assert 80 < await count(counts) <= 115


async def test_processes_count_together(flow: AsyncFlow) -> None:
    """
    Each tells the grid what it writes: who has written little keeps the bound, too.
    """
    grids = [await flow.grid() for _ in range(4)]
    caches = [grid.cache("bounded", max_entries=200) for grid in grids]
    for start in range(0, 480, 40):
        for number, cache in enumerate(caches):
            await cache.set_many(dict.fromkeys(range(start + number, start + 40, 4), "x"))
            await grids[number].settle()
    assert 150 < await count(caches[0]) < 200 * SLACK


@pytest.mark.parametrize("kind", ["memory"])
async def test_programs_that_write_a_little_are_counted(flow: AsyncFlow) -> None:
    """
    Each of them tells what it wrote when it closes.
    """
    for start in range(0, 300, 2):
        grid = await flow.grid()
        await grid.cache("bounded", max_entries=200).set_many({start: "a", start + 1: "b"})
        await grid.settle()
        await grid.aclose()
    assert 150 < await count((await flow.grid()).cache("bounded")) <= 200 * SLACK


async def test_a_bound_that_cannot_be_kept_is_told(grid: AsyncGrid, caplog: pytest.LogCaptureFixture) -> None:
    """
    Once, while it lasts; writes go on, and the next look counts what is there.
    """
    cache, engine = grid.cache("bounded", max_entries=50), engine_of(grid)
    for start in range(0, 60, 20):
        if start < 40:
            engine.fail("add", AccessDenied("not for you"))
        await cache.set_many(dict.fromkeys(range(start, start + 20), "x"))
        await grid.settle()
    told = [record.getMessage() for record in caplog.records if "its bound cannot be kept" in record.getMessage()]
    assert (1, True) == (len(told), "not for you" in told[0])
    assert await count(cache) < 60


async def test_what_an_engine_cannot_do_is_refused(flow: AsyncFlow) -> None:
    """
    When the cache is used first; what makes no sense, when it is opened.
    """
    grid = await flow.grid()
    for wrong in ({"max_entries": 0}, {"max_entries": "7"}, {"max_bytes": "1kB"}, {"max_bytes": "much"}):
        with pytest.raises(ConfigError):
            grid.cache("wrong", **wrong)
    grid._hub.lacking = frozenset({"walks"})
    with pytest.raises(Unsupported, match="max_entries= or max_bytes= needs an engine with walks"):
        await grid.cache("bounded", max_entries=10).set("a", 1)
