# Generated from tests/flow/_aio/test_stats.py by tools/colour.py. Edit that file, then run `make colour`.
"""What is counted: times, trips and bytes, what is near, and nothing where somebody only looks on."""

from __future__ import annotations

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid.testing import FakeClock
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow._sio.origin import SyncOrigin
from tests.flow.backing import Backing
from tests.flow.waits._sio import begin, together, until


def test_bytes_are_those_of_stored_entries(cache: SyncCache) -> None:
    """
    Written and read, one or many at a time.
    """
    cache.set("a", "x" * 100)
    entry = cache.entry("a")
    assert entry is not None
    assert (entry.size, 0) == (cache.stats().bytes_written, cache.stats().bytes_read)
    cache.set_many({"b": "x" * 100, "c": "x" * 100})
    assert 3 * entry.size == cache.stats().bytes_written
    cache.get("a")
    cache.get("none")
    cache.get_many(["a", "b", "c", "none"])
    assert 4 * entry.size == cache.stats().bytes_read


def test_loads_waits_and_trips_take_time(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    A load that another caller waited for took both about as long.
    """
    one, other = [(flow.grid()).cache("prices") for _ in range(2)]
    before = one.stats()
    assert (0, 0.0, 0.0) == (before.trips, before.trip_seconds, before.load_seconds)
    loading = begin(one.get_or_load, "key", origin.load)
    origin.gate.reached()
    waiting = begin(other.get_or_load, "key", origin.load)
    asked = engine_of(flow.grids[1]).calls

    def it_waits() -> bool:
        return asked["acquire"] > 0

    until(it_waits)
    origin.gate.open()
    assert [[1], [1]] == [loading.result(), waiting.result()]
    led, waited = one.stats(), other.stats()
    assert led.load_seconds > 0 == led.wait_seconds == waited.load_seconds
    assert waited.wait_seconds > 0
    assert (1, 0, 0, 1) == (led.loads, led.load_waits, waited.loads, waited.load_waits)
    assert led.trips > 0
    assert led.trip_seconds > 0


def test_what_many_count_at_once_is_exact(cache: SyncCache) -> None:
    """
    Reads of one and of many, writes, loads and deletions, however they come in between of each other.
    """
    cache.set_many(dict.fromkeys(range(10), 1))

    def work() -> None:
        for number in range(20):
            cache.get(0)
            cache.get_many(range(20))
            cache.set(number % 10, 1)
            assert not cache.delete("none")

    together(*[work] * 8)
    stats = cache.stats()
    assert (8 * 20 * 11, 8 * 20 * 10) == (stats.hits, stats.misses)
    assert (10 + 8 * 20, 0) == (stats.stores, stats.drops)
    assert 1 + 8 * 20 * 4 == stats.trips


def test_what_is_near_is_told(grid: SyncGrid) -> None:
    """
    How many copies, how much they take, and how many went for want of room.
    """
    cache = grid.cache("prices", near={"max_entries": 2})
    assert (0, 0, 0) == _near(cache)
    cache.set_many({"a": 1.5, "b": 2.5, "c": 3.5})

    def has_evicted() -> bool:
        cache.get_many(["a"])
        cache.get_many(["b", "c"])
        return cache.stats().near_evictions > 0

    until(has_evicted)
    entries, size, _ = _near(cache)
    assert entries in (1, 2)
    assert 0 < size < 5000


def _near(cache: SyncCache) -> tuple[int, int, int]:
    stats = cache.stats()
    return stats.near_entries, stats.near_bytes, stats.near_evictions


def test_a_grid_sums_its_caches(grid: SyncGrid) -> None:
    """
    Those that were opened here.
    """
    for name in ("one", "two"):
        grid.cache(name).set("a", 1)
        grid.cache(name).get("a")
    stats = grid.stats()
    assert {"one", "two"} == set(stats)
    assert (2, 2) == (stats.total.hits, stats.total.stores)


@pytest.mark.parametrize("kind", ["clock"])
def test_who_looks_on_leaves_no_trace(grid: SyncGrid, backing: Backing) -> None:
    """
    No read is counted, no idle time begins anew, and nothing is kept near; what is dead is none.
    """
    clock = backing.clock
    assert isinstance(clock, FakeClock)
    cache = grid.cache("prices", near=True)
    cache.set("a", [1])
    cache.set("idle", 1, idle=10)
    cache.set("tagged", 1, tags="x")
    before = cache.stats()
    assert [[1], 1, 1, "none"] == [
        cache.peek("a"),
        cache.peek("idle"),
        cache.peek("tagged"),
        cache.peek("b", "none"),
    ]
    assert before == cache.stats()
    clock.advance(6)
    assert 1 == cache.peek("idle")
    clock.advance(6)
    assert None is cache.peek("idle")
    cache.invalidate("x")
    assert None is cache.peek("tagged")
    cache.set("a", [2])
    assert [2] == cache.peek("a")


@pytest.mark.parametrize("kind", ["clock"])
def test_what_is_made_to_end_is_served_for_its_grace(grid: SyncGrid, origin: SyncOrigin, backing: Backing) -> None:
    """
    To loads, while one of them loads it anew; to all other reads it is gone.
    """
    clock = backing.clock
    assert isinstance(clock, FakeClock)
    cache = grid.cache("prices", ttl=100, grace=60, near=True)
    assert [1] == cache.get_or_load("key", origin.load_at_once)
    assert cache.expire("key")
    assert not cache.expire("key")
    assert [None, None, False] == [cache.get("key"), cache.peek("key"), cache.has("key")]
    clock.advance(59)
    assert [1] == cache.get_or_load("key", origin.load_at_once)
    grid.settle()
    assert [2] == cache.get("key")
    assert cache.expire("key")
    clock.advance(61)
    assert [3] == cache.get_or_load("key", origin.load_at_once)
    assert (2, 1) == (cache.stats().drops, cache.stats().stale_hits)


def test_a_load_under_way_is_not_kept_when_its_entry_is_made_to_end(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    In whichever process: what it finds may be as old as what was made to end.
    """
    one, other = [(flow.grid()).cache("prices", ttl="1h", grace="1h") for _ in range(2)]
    assert [1] == one.get_or_load("key", origin.load_at_once)
    assert one.expire("key")
    assert [1] == one.get_or_load("key", origin.load)
    origin.gate.reached()
    assert [1] == one.get_or_load("key", origin.load)
    other.set("key", [7])
    assert other.expire("key")
    origin.gate.open()
    flow.grids[0].settle()
    assert None is one.get("key")
    assert [7] == other.get_or_load("key", origin.load_at_once)
    flow.grids[1].settle()
    assert [3] == one.get("key")


@pytest.mark.parametrize("value", [7, [7]])
def test_without_grace_to_end_is_to_be_deleted(cache: SyncCache, value: object) -> None:
    """
    Also for what has no header that could say so.
    """
    assert not cache.expire("key")
    cache.set("key", value, ttl="1h")
    assert cache.expire("key")
    assert None is cache.entry("key")
    assert 1 == cache.stats().drops
