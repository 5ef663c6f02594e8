"""What is counted: times, trips and bytes, what is near, and nothing where somebody only looks on."""

from __future__ import annotations

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from cachegrid.testing import FakeClock
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow._aio.origin import AsyncOrigin
from tests.flow.backing import Backing
from tests.flow.waits._aio import begin, together, until


async def test_bytes_are_those_of_stored_entries(cache: AsyncCache) -> None:
    """
    Written and read, one or many at a time.
    """
    await cache.set("a", "x" * 100)
    entry = await cache.entry("a")
    assert entry is not None
    assert (entry.size, 0) == (cache.stats().bytes_written, cache.stats().bytes_read)
    await cache.set_many({"b": "x" * 100, "c": "x" * 100})
    assert 3 * entry.size == cache.stats().bytes_written
    await cache.get("a")
    await cache.get("none")
    await cache.get_many(["a", "b", "c", "none"])
    assert 4 * entry.size == cache.stats().bytes_read


async def test_loads_waits_and_trips_take_time(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    A load that another caller waited for took both about as long.
    """
    one, other = [(await flow.grid()).cache("prices") for _ in range(2)]
    before = one.stats()
    assert (0, 0.0, 0.0) == (before.trips, before.trip_seconds, before.load_seconds)
    loading = begin(one.get_or_load, "key", origin.load)
    await origin.gate.reached()
    waiting = begin(other.get_or_load, "key", origin.load)
    asked = engine_of(flow.grids[1]).calls

    async def it_waits() -> bool:
        return asked["acquire"] > 0

    await until(it_waits)
    origin.gate.open()
    assert [[1], [1]] == [await loading.result(), await waiting.result()]
    led, waited = one.stats(), other.stats()
    assert led.load_seconds > 0 == led.wait_seconds == waited.load_seconds
    assert waited.wait_seconds > 0
    assert (1, 0, 0, 1) == (led.loads, led.load_waits, waited.loads, waited.load_waits)
    assert led.trips > 0
    assert led.trip_seconds > 0


async def test_what_many_count_at_once_is_exact(cache: AsyncCache) -> None:
    """
    Reads of one and of many, writes, loads and deletions, however they come in between of each other.
    """
    await cache.set_many(dict.fromkeys(range(10), 1))

    async def work() -> None:
        for number in range(20):
            await cache.get(0)
            await cache.get_many(range(20))
            await cache.set(number % 10, 1)
            assert not await cache.delete("none")

    await together(*[work] * 8)
    stats = cache.stats()
    assert (8 * 20 * 11, 8 * 20 * 10) == (stats.hits, stats.misses)
    assert (10 + 8 * 20, 0) == (stats.stores, stats.drops)
    assert 1 + 8 * 20 * 4 == stats.trips


async def test_what_is_near_is_told(grid: AsyncGrid) -> None:
    """
    How many copies, how much they take, and how many went for want of room.
    """
    cache = grid.cache("prices", near={"max_entries": 2})
    assert (0, 0, 0) == _near(cache)
    await cache.set_many({"a": 1.5, "b": 2.5, "c": 3.5})

    async def has_evicted() -> bool:
        await cache.get_many(["a"])
        await cache.get_many(["b", "c"])
        return cache.stats().near_evictions > 0

    await until(has_evicted)
    entries, size, _ = _near(cache)
    assert entries in (1, 2)
    assert 0 < size < 5000


def _near(cache: AsyncCache) -> tuple[int, int, int]:
    stats = cache.stats()
    return stats.near_entries, stats.near_bytes, stats.near_evictions


async def test_a_grid_sums_its_caches(grid: AsyncGrid) -> None:
    """
    Those that were opened here.
    """
    for name in ("one", "two"):
        await grid.cache(name).set("a", 1)
        await grid.cache(name).get("a")
    stats = grid.stats()
    assert {"one", "two"} == set(stats)
    assert (2, 2) == (stats.total.hits, stats.total.stores)


@pytest.mark.parametrize("kind", ["clock"])
async def test_who_looks_on_leaves_no_trace(grid: AsyncGrid, backing: Backing) -> None:
    """
    No read is counted, no idle time begins anew, and nothing is kept near; what is dead is none.
    """
    clock = backing.clock
    assert isinstance(clock, FakeClock)
    cache = grid.cache("prices", near=True)
    await cache.set("a", [1])
    await cache.set("idle", 1, idle=10)
    await cache.set("tagged", 1, tags="x")
    before = cache.stats()
    assert [[1], 1, 1, "none"] == [
        await cache.peek("a"),
        await cache.peek("idle"),
        await cache.peek("tagged"),
        await cache.peek("b", "none"),
    ]
    assert before == cache.stats()
    clock.advance(6)
    assert 1 == await cache.peek("idle")
    clock.advance(6)
    assert None is await cache.peek("idle")
    await cache.invalidate("x")
    assert None is await cache.peek("tagged")
    await cache.set("a", [2])
    assert [2] == await cache.peek("a")


@pytest.mark.parametrize("kind", ["clock"])
async def test_what_is_made_to_end_is_served_for_its_grace(
    grid: AsyncGrid, origin: AsyncOrigin, backing: Backing
) -> None:
    """
    To loads, while one of them loads it anew; to all other reads it is gone.
    """
    clock = backing.clock
    assert isinstance(clock, FakeClock)
    cache = grid.cache("prices", ttl=100, grace=60, near=True)
    assert [1] == await cache.get_or_load("key", origin.load_at_once)
    assert await cache.expire("key")
    assert not await cache.expire("key")
    assert [None, None, False] == [await cache.get("key"), await cache.peek("key"), await cache.has("key")]
    clock.advance(59)
    assert [1] == await cache.get_or_load("key", origin.load_at_once)
    await grid.settle()
    assert [2] == await cache.get("key")
    assert await cache.expire("key")
    clock.advance(61)
    assert [3] == await cache.get_or_load("key", origin.load_at_once)
    assert (2, 1) == (cache.stats().drops, cache.stats().stale_hits)


async def test_a_load_under_way_is_not_kept_when_its_entry_is_made_to_end(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    In whichever process: what it finds may be as old as what was made to end.
    """
    one, other = [(await flow.grid()).cache("prices", ttl="1h", grace="1h") for _ in range(2)]
    assert [1] == await one.get_or_load("key", origin.load_at_once)
    assert await one.expire("key")
    assert [1] == await one.get_or_load("key", origin.load)
    await origin.gate.reached()
    assert [1] == await one.get_or_load("key", origin.load)
    await other.set("key", [7])
    assert await other.expire("key")
    origin.gate.open()
    await flow.grids[0].settle()
    assert None is await one.get("key")
    assert [7] == await other.get_or_load("key", origin.load_at_once)
    await flow.grids[1].settle()
    assert [3] == await one.get("key")


@pytest.mark.parametrize("value", [7, [7]])
async def test_without_grace_to_end_is_to_be_deleted(cache: AsyncCache, value: object) -> None:
    """
    Also for what has no header that could say so.
    """
    assert not await cache.expire("key")
    await cache.set("key", value, ttl="1h")
    assert await cache.expire("key")
    assert None is await cache.entry("key")
    assert 1 == cache.stats().drops
