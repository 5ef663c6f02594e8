"""When entries end: told by a clock that obeys, on the memory engine; that a real grid keeps time is tested beside."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from cachegrid.errors import ConfigError
from cachegrid.testing import FakeClock
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow.backing import Backing
from tests.flow.waits._aio import begin, listed

pytestmark = pytest.mark.parametrize("kind", ["clock"])


@pytest.fixture
def clock(backing: Backing) -> FakeClock:
    """The clock of the test's store."""
    assert backing.clock is not None
    return backing.clock


async def lives(cache: AsyncCache, clock: FakeClock, seconds: float, key: str = "key") -> bool:
    """Whether an entry ends after so many seconds, to the millisecond; looking does not prolong it."""
    clock.advance(seconds - 0.001)
    before = await cache.entry(key)
    clock.advance(0.001)
    return before is not None and await cache.entry(key) is None


@pytest.mark.parametrize("ttl", [1.5, "1500ms", "1.5s", timedelta(seconds=1.5)], ids=repr)
async def test_a_time_to_live_by_policy_and_by_call(grid: AsyncGrid, clock: FakeClock, ttl: Any) -> None:
    """
    Seconds, text and timedelta mean the same, and an entry ends to the millisecond.
    """
    by_policy, by_call = grid.cache("by_policy", ttl=ttl), grid.cache("by_call")
    await by_policy.set("key", 1)
    assert await lives(by_policy, clock, 1.5)
    await by_call.set("key", 1, ttl=ttl)
    assert await lives(by_call, clock, 1.5)


async def test_every_way_to_write_takes_a_time_to_live(cache: AsyncCache, clock: FakeClock) -> None:
    """
    Also loads, counters and conditional writes end when they were told to.
    """

    async def load() -> int:
        return 1

    await cache.set_many({"set_many": 1, "many": 2}, ttl=1)
    assert await cache.add("add", 1, ttl=1)
    assert 1 == await cache.incr("incr", ttl=1)
    assert 1 == await cache.get_or_load("load", load, ttl=1)
    assert "1" == await cache.update("update", str, default=1, ttl=1)
    for key in ("replace", "cas"):
        await cache.set(key, "x")
    assert await cache.replace("replace", 1, ttl=1)
    entry = await cache.entry("cas")
    assert entry is not None
    assert await cache.compare_and_set("cas", entry.version, 1, ttl=1)
    keys = ["set_many", "many", "add", "incr", "load", "update", "replace", "cas"]
    clock.advance(0.999)
    assert keys == list(await cache.get_many(keys))
    clock.advance(0.001)
    assert {} == await cache.get_many(keys)


async def test_a_call_overrides_the_policy(grid: AsyncGrid, clock: FakeClock) -> None:
    """
    None said in a call is without end; not said, the policy holds.
    """
    cache = grid.cache("prices", ttl=1, idle=1)
    await cache.set("key", 1, ttl=None, idle=None)
    await cache.set("by policy", 1)
    await cache.set("longer", 1, ttl=2, idle=None)
    clock.advance(0.5)
    assert [1, 1, 1] == [await cache.get(key) for key in ("key", "longer", "by policy")]
    clock.advance(0.5)
    assert None is await cache.get("by policy")
    assert await lives(cache, clock, 1, "longer")
    for _ in range(3):
        clock.advance(1e6)
        assert 1 == await cache.get("key")
    entry = await cache.entry("key")
    assert entry is not None
    assert (None, None) == (entry.idle, entry.expires)


async def test_a_write_begins_the_time_to_live_anew(grid: AsyncGrid, clock: FakeClock) -> None:
    """
    What the entry had left before does not matter.
    """
    cache = grid.cache("prices", ttl=10)
    await cache.set("key", 1)
    clock.advance(9)
    await cache.set("key", 2)
    assert await lives(cache, clock, 10)


async def test_touch_gives_a_new_time_to_live(grid: AsyncGrid, clock: FakeClock) -> None:
    """
    The policy's, or the one that is said; and whether there was an entry.
    """
    cache = grid.cache("prices", ttl=10)
    assert not await cache.touch("key")
    await cache.set("key", "value")
    clock.advance(9)
    assert await cache.touch("key")
    clock.advance(9)
    assert await cache.touch("key", 1)
    assert await lives(cache, clock, 1)
    await cache.set("number", 1)
    assert await cache.touch("number", None)
    clock.advance(1e6)
    assert 1 == await cache.get("number")


@pytest.mark.parametrize("value", ["value", 5], ids=repr)
async def test_an_entry_lives_while_it_is_read(grid: AsyncGrid, clock: FakeClock, value: Any) -> None:
    """
    Each read, in whatever way, starts the idle time anew.
    """
    cache = grid.cache("prices", idle=10)

    async def read_all(key: str) -> bool:
        return (key, value) in await listed(cache.items())

    async def load(key: str) -> Any:
        return await cache.get_or_load(key, _never)

    async def read_many(key: str) -> Any:
        return await cache.get_many([key])

    await cache.set("key", value)
    for read in (cache.get, cache.has, read_many, load, read_all) * 2:
        clock.advance(9.999)
        assert await read("key")
    assert await lives(cache, clock, 10)


@pytest.mark.parametrize("value", ["value", 5], ids=repr)
async def test_an_idle_time_of_an_entrys_own(cache: AsyncCache, clock: FakeClock, value: Any) -> None:
    """
    In a cache without idle time an entry may have one; it, and no other, lives while it is read in whatever way.
    """

    async def read_many(key: str) -> Any:
        return await cache.get_many(["other", key])

    async def load(key: str) -> Any:
        return await cache.get_or_load(key, _never)

    await cache.set("key", value, idle=10)
    await cache.set("other", value, ttl=69)
    for read in (cache.get, cache.has, read_many, load, cache.get, read_many):
        clock.advance(9.999)
        assert await read("key")
    assert await lives(cache, clock, 10)
    assert None is await cache.get("other")


async def test_an_idle_time_ends_no_entry_that_took_its_place(flow: AsyncFlow, clock: FakeClock) -> None:
    """
    A reader that is about to start an idle time anew does no harm to an entry without one, written in between.
    """
    grid = await flow.grid()
    cache = grid.cache("prices")
    await cache.set("key", "old", idle=10)
    gate = engine_of(grid).hold("fetch_idle")
    reader = begin(cache.get, "key")
    await gate.reached()
    await (await flow.grid()).cache("prices").set("key", "new")
    gate.open()
    assert "old" == await reader.result()
    clock.advance(1e6)
    assert "new" == await cache.get("key")


async def test_idle_time_never_outlives_the_time_to_live(grid: AsyncGrid, clock: FakeClock) -> None:
    """
    Whichever ends first ends the entry, however often it is read.
    """
    cache = grid.cache("prices", ttl=25, idle=10)
    await cache.set("key", "value")
    for _ in range(2):
        clock.advance(9)
        assert "value" == await cache.get("key")
    assert await lives(cache, clock, 7)
    await cache.set("key", "value")
    assert await lives(cache, clock, 10)


async def test_touch_lets_the_idle_time_go_on(grid: AsyncGrid, clock: FakeClock) -> None:
    """
    A new time to live is no read.
    """
    cache = grid.cache("prices", ttl=25, idle=10)
    await cache.set("key", "value")
    clock.advance(9)
    assert await cache.touch("key", 100)
    assert await lives(cache, clock, 1)


async def test_a_counter_keeps_its_times(grid: AsyncGrid, clock: FakeClock) -> None:
    """
    Adding is no write that begins a life anew, with an idle time, by policy or of the entry's own, or without.
    """
    plain, idle = grid.cache("plain", ttl=25), grid.cache("idle", ttl=25, idle=10)
    assert 1 == await plain.incr("key")
    assert 1 == await idle.incr("key")
    await plain.set("own", 1, idle=10)
    for count in range(2, 5):
        clock.advance(6)
        assert [count] * 3 == [await plain.incr("key"), await idle.incr("key"), await plain.incr("own")]
    clock.advance(6.999)
    assert [4, 4, 4] == [await plain.get("key"), await idle.get("key"), await plain.get("own")]
    clock.advance(0.001)
    assert [None] * 3 == [await plain.get("key"), await idle.get("key"), await plain.get("own")]


async def test_a_counter_with_an_end_counts_in_a_cache_with_idle_time(grid: AsyncGrid, clock: FakeClock) -> None:
    """
    An integer that was stored without an idle time goes on without, and with its own end.
    """
    cache = grid.cache("idle", ttl=100, idle=50)
    await cache.set("key", 1, ttl=10, idle=None)
    clock.advance(5)
    assert 2 == await cache.incr("key")
    assert await lives(cache, clock, 5)


async def test_an_entry_tells_what_it_has_left(grid: AsyncGrid, clock: FakeClock) -> None:
    """
    Asking does not count as a read that would start the idle time anew.
    """
    cache = grid.cache("prices", ttl=25, idle=10)
    await cache.set("key", "value")
    clock.advance(4)
    entry = await cache.entry("key")
    assert entry is not None
    assert timedelta(seconds=10) == entry.idle
    assert await lives(cache, clock, 6)


@pytest.mark.parametrize("said", [0, -1, True, "soon", "5x", "", float("nan"), float("inf"), 1e300, [1]], ids=repr)
async def test_what_is_no_time_is_refused(cache: AsyncCache, said: Any) -> None:
    """
    Before anything is stored, and by name.
    """
    await cache.set("a valid one first", 1, ttl=1, idle=1)
    for name in ("ttl", "idle"):
        with pytest.raises(ConfigError, match=f"^{name} is "):
            await cache.set("key", 1, **{name: said})
    with pytest.raises(ConfigError, match=r"^ttl is "):
        await cache.touch("a valid one first", said)
    assert not await cache.has("key")


async def _never() -> Any:
    raise AssertionError("nothing had to be loaded")
