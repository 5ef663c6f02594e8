"""What holds for loads: grace, early reloads, spread ends, and what is remembered of None and of failures."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cachegrid._aio.grid import AsyncGrid
from cachegrid.config import CachePolicy
from cachegrid.errors import ConfigError, LoadFailed
from cachegrid.testing import FakeClock
from tests.flow._aio.flow import AsyncFlow
from tests.flow._aio.origin import AsyncOrigin
from tests.flow.backing import Backing
from tests.flow.waits._aio import begin, until

pytestmark = pytest.mark.parametrize("kind", ["clock"])


@pytest.fixture
def clock(backing: Backing) -> FakeClock:
    """The clock of the test's store."""
    assert backing.clock is not None
    return backing.clock


class Failing:
    """An origin that fails, until it is told not to."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails = True

    async def load(self) -> list[int]:
        """The number of the call."""
        self.calls += 1
        if self.fails:
            raise OSError("the origin is away")
        return [self.calls]


# Grace.


async def test_a_value_past_its_end_is_served_while_it_is_loaded_anew(
    flow: AsyncFlow, origin: AsyncOrigin, clock: FakeClock
) -> None:
    """
    By one caller in the grid, in the background; everybody is served at once, and nobody else sees it.
    """
    grids = [await flow.grid() for _ in range(3)]
    caches = [grid.cache("prices", ttl=10, grace=60) for grid in grids]
    origin.gate.open()
    assert [[1]] * 3 == [await cache.get_or_load("key", origin.load) for cache in caches]
    clock.advance(10)
    origin.gate = flow.gate()
    assert [[1]] * 12 == [await cache.get_or_load("key", origin.load) for cache in caches for _ in range(4)]
    await origin.gate.reached()
    assert [None] * 3 == [await cache.get("key") for cache in caches]
    assert [{}] * 3 == [await cache.get_many(["key"]) for cache in caches]
    assert [None] * 3 == [await cache.entry("key") for cache in caches]
    assert [[1]] * 3 == [await cache.get_or_load("key", origin.load) for cache in caches]
    origin.gate.open()
    for grid in grids:
        await grid.settle()
    assert [[2]] * 3 == [await cache.get("key") for cache in caches]
    assert 2 == origin.calls
    assert 15 == sum(cache.stats().stale_hits for cache in caches)


async def test_a_function_has_grace_of_its_own(grid: AsyncGrid, clock: FakeClock) -> None:
    """
    Said where it is decorated, or by its cache.
    """
    calls: list[str] = []
    cache = grid.cache("prices", ttl=10)

    @cache.cached(grace="1m")
    async def price(sku: str) -> list[str]:
        calls.append(sku)
        return [sku, str(len(calls))]

    assert ["a", "1"] == await price("a")
    clock.advance(10)
    assert ["a", "1"] == await price("a")
    await grid.settle()
    assert ["a", "2"] == await price("a")
    clock.advance(70)
    assert ["a", "3"] == await price("a")


async def test_a_load_that_fails_leaves_what_is_served(
    grid: AsyncGrid, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Until the grace ends; then its error is the caller's. The log names the entry.
    """
    origin = Failing()
    cache = grid.cache("prices", ttl=10, grace=20)
    await cache.set("key", [0])
    clock.advance(29.999)
    assert [0] == await cache.get_or_load("key", origin.load)

    async def has_failed() -> bool:
        told = "a load of 'key' of cache 'prices' in the background failed: OSError"
        return cache.stats().load_failures == 1 and told in caplog.text

    await until(has_failed)
    assert [0] == await cache.get_or_load("key", origin.load)
    assert 1 == origin.calls, "it is not tried again at once"
    clock.advance(0.001)
    with pytest.raises(OSError, match="away"):
        await cache.get_or_load("key", origin.load)


async def test_grace_is_said_by_call_as_well(grid: AsyncGrid, origin: AsyncOrigin, clock: FakeClock) -> None:
    """
    An entry has the grace that it was stored with; who wants none is not served by it.
    """
    cache = grid.cache("prices", ttl=10)
    assert [1] == await cache.get_or_load("key", origin.load_at_once, grace=60)
    clock.advance(10)
    assert [1] == await cache.get_or_load("key", origin.load_at_once, grace=60)
    await grid.settle()
    clock.advance(10)
    assert [3] == await cache.get_or_load("key", origin.load_at_once)
    assert [3] == await cache.get("key")
    assert 1 == cache.stats().stale_hits, "what is past its end, and not served, is no hit, and not loaded twice"


async def test_what_was_dropped_is_not_served(grid: AsyncGrid, origin: AsyncOrigin, clock: FakeClock) -> None:
    """
    Deleted, cleared or invalidated, before its end or after it.
    """
    cache = grid.cache("prices", ttl=10, grace=60)
    drops: list[Any] = [lambda: cache.delete("key"), cache.clear, lambda: cache.invalidate("menu")]
    for number, drop in enumerate(drops):
        await cache.set("key", [0], tags=["menu"])
        clock.advance(11)
        await drop()
        assert [number + 1] == await cache.get_or_load("key", origin.load_at_once, tags=["menu"])


async def test_what_is_set_while_a_value_is_loaded_anew_stays(
    flow: AsyncFlow, grid: AsyncGrid, origin: AsyncOrigin, clock: FakeClock
) -> None:
    """
    And what is deleted meanwhile is not stored again.
    """
    cache = grid.cache("prices", ttl=10, grace=60)
    for new in ("new", None):
        origin.gate = flow.gate()
        await cache.set("key", [0])
        clock.advance(10)
        assert [0] == await cache.get_or_load("key", origin.load)
        await origin.gate.reached()
        await (cache.delete("key") if new is None else cache.set("key", new))
        origin.gate.open()
        await grid.settle()
        assert new == await cache.get("key")


async def test_a_value_past_its_end_is_no_entry(grid: AsyncGrid, clock: FakeClock) -> None:
    """
    To whatever depends on whether there is one.
    """
    cache = grid.cache("prices", ttl=10, grace=60)

    async def old(value: Any = 5) -> None:
        await cache.set("key", value)
        clock.advance(10)

    await old()
    assert not await cache.has("key")
    assert not await cache.replace("key", 6)
    await old()
    assert not await cache.touch("key", 60)
    await old()
    assert 1 == await cache.incr("key")
    await old()
    assert 9 == await cache.update("key", lambda value: value, default=9)
    await old()
    assert await cache.add("key", 7)
    assert 7 == await cache.get("key")


async def test_no_grace_where_there_is_an_idle_time(grid: AsyncGrid) -> None:
    """
    What nobody reads is gone after its idle time: wherever the two are said, it is an error.
    """
    refused = "grace is .* must be off where the entry has an idle time"
    with pytest.raises(ConfigError, match=refused):
        grid.cache("prices", grace=60, idle=5)
    plain, graced, idle = grid.cache("plain"), grid.cache("graced", grace=60, ttl=5), grid.cache("idle", idle=5)

    async def load(*_: object) -> Any:
        raise AssertionError

    both: Any = {"grace": 60, "idle": 5}
    for cache, said in ((plain, both), (graced, {"idle": 5}), (idle, {"grace": 60})):
        with pytest.raises(ConfigError, match=refused):
            await cache.get_or_load("key", load, **said)
        with pytest.raises(ConfigError, match=refused):
            await cache.get_or_load_many(["key"], load, **said)
        with pytest.raises(ConfigError, match=refused):
            cache.cached(**said)(load)


async def test_an_idle_time_where_the_grace_is_taken_away(grid: AsyncGrid) -> None:
    """
    Of a call, or a function.
    """

    async def load(*_: object) -> int:
        return 1

    assert 1 == await grid.cache("graced", grace=60, ttl=5).get_or_load("key", load, idle=5, grace=None)
    assert 1 == await grid.cache("graced", grace=60, ttl=5).cached(idle=5, grace=None)(load)()


# Early.


async def test_a_value_that_took_long_is_loaded_anew_before_its_end(
    flow: AsyncFlow, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The nearer its end the more likely, and in the background; nobody ever waits.
    """
    grid = await flow.grid()
    cache = grid.cache("prices", ttl=100, early=1.0)
    calls: list[int] = []

    async def load() -> list[int]:
        calls.append(1)
        clock.advance(2)  # seconds that it takes
        return [len(calls)]

    draw = 0.0
    monkeypatch.setattr(random, "random", lambda: draw)
    assert [1] == await cache.get_or_load("key", load)
    clock.advance(80)
    draw = 0.95  # chance says: up to 3.0 times what it took
    assert [1] == await cache.get_or_load("key", load)
    clock.advance(14)
    assert [1] == await cache.get_or_load("key", load)
    await grid.settle()
    assert [1] == calls, "6 seconds are left, or a little more"
    clock.advance(0.1)
    assert [1] == await cache.get_or_load("key", load)
    await grid.settle()
    assert [1, 1] == calls
    draw = 0.0
    assert [2] == await cache.get_or_load("key", load)
    clock.advance(97)
    assert [2] == await cache.get_or_load("key", load)
    assert [1, 1] == calls


async def test_functions_are_loaded_early_too(
    flow: AsyncFlow, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Those that say so.
    """
    grid = await flow.grid()
    calls: list[int] = []

    @grid.cache("prices").cached(ttl=100, early=2)
    async def price(sku: str) -> list[str]:
        calls.append(1)
        clock.advance(1)
        return [sku, str(len(calls))]

    monkeypatch.setattr(random, "random", lambda: 0.95)
    await price("a")
    clock.advance(94.1)
    assert ["a", "1"] == await price("a")
    await grid.settle()
    assert ["a", "2"] == await price("a")


# Spread ends, None, failures, and what is not kept.


async def test_ends_are_spread(grid: AsyncGrid, clock: FakeClock) -> None:
    """
    Over the share of the time to live that was said, and never beyond its end.
    """
    cache = grid.cache("prices", ttl=100, jitter=0.5)
    for key in range(200):
        await cache.set(key, 1)
    counts = []
    for seconds in (50, 12.5, 12.5, 12.5, 12.4, 0.1):
        counts.append(len(await cache.get_many(range(200))))
        clock.advance(seconds)
    counts.append(len(await cache.get_many(range(200))))
    assert 200 == counts[0]
    assert 200 == counts[1] >= counts[2] > counts[3] > counts[4] > 0 == counts[6]


async def test_none_has_a_time_to_live_of_its_own(grid: AsyncGrid, clock: FakeClock) -> None:
    """
    Also where None is the result of a function.
    """
    results: list[Any] = [None, 5, 6, 7]
    cache = grid.cache("prices", ttl=100, negative_ttl="10s")

    async def load() -> Any:
        return results.pop(0)

    assert None is await cache.get_or_load("key", load)
    clock.advance(9.999)
    assert await cache.has("key")
    clock.advance(0.001)
    assert 5 == await cache.get_or_load("key", load)
    clock.advance(99)
    assert 5 == await cache.get_or_load("key", load)


async def test_a_failure_is_remembered_for_a_while(flow: AsyncFlow, clock: FakeClock) -> None:
    """
    Others are told, in whichever process, and the origin is left alone; its own caller gets the error itself.
    """
    origin = Failing()
    ours, other = [(await flow.grid()).cache("prices", ttl=100, failure_ttl=5) for _ in range(2)]
    with pytest.raises(OSError, match="away"):
        await ours.get_or_load("key", origin.load)
    for cache in (ours, other):
        with pytest.raises(LoadFailed, match="'key'.*OSError: the origin is away"):
            await cache.get_or_load("key", origin.load)
        assert None is await cache.get("key")
        assert None is await cache.entry("key")
    assert 1 == origin.calls
    origin.fails = False
    clock.advance(5)
    assert [2] == await other.get_or_load("key", origin.load)
    assert [2] == await ours.get("key")


async def test_what_is_set_ends_the_memory_of_a_failure(grid: AsyncGrid) -> None:
    """
    So does deleting the key.
    """
    origin = Failing()
    cache = grid.cache("prices", failure_ttl=5)
    for number in range(2):
        with pytest.raises(OSError, match="away"):
            await cache.get_or_load(number, origin.load)
    await cache.set(0, [9])
    await cache.delete(1)
    assert [9] == await cache.get_or_load(0, origin.load)
    with pytest.raises(OSError, match="away"):
        await cache.get_or_load(1, origin.load)


async def test_some_results_are_not_kept(grid: AsyncGrid, origin: AsyncOrigin) -> None:
    """
    Those that `when` says no of; all who wait for one get it.
    """
    cache = grid.cache("prices")

    @cache.cached(when=lambda result: len(result) > 1)
    async def found(*words: str) -> list[str]:
        await origin.load_at_once()
        return list(words)

    for _ in range(2):
        assert [["a"], ["a", "b"]] == [await found("a"), await found("a", "b")]
    assert 3 == origin.calls
    callers = [begin(cache.get_or_load, "key", origin.load, when=lambda value: value != [4]) for _ in range(3)]
    await origin.gate.reached()

    async def all_have_missed() -> bool:
        return cache.stats().misses == 6

    await until(all_have_missed)
    origin.gate.open()
    assert [[4]] * 3 == [await caller.result() for caller in callers]
    assert None is await cache.get("key")


@pytest.mark.parametrize(
    "wrong", [{"early": -1}, {"early": "1"}, {"jitter": 1.5}, {"jitter": True}, {"grace": 0}, {"failure_ttl": "soon"}]
)
async def test_what_cannot_be_a_rule_is_refused(grid: AsyncGrid, wrong: dict[str, Any]) -> None:
    """
    For a cache, for a function and for a call, by its name.
    """
    [name] = wrong
    with pytest.raises(ConfigError, match=name):
        CachePolicy(**wrong)
    with pytest.raises(ConfigError, match=name):
        grid.cache("prices").cached(**wrong)(test_what_cannot_be_a_rule_is_refused)
    with pytest.raises(ConfigError, match=name):
        await grid.cache("prices").get_or_load("key", grid.settle, **wrong)


async def test_what_cannot_decide_is_refused_before_the_load(grid: AsyncGrid) -> None:
    """
    For one key as for many; nothing is loaded.
    """
    cache, unloaded = grid.cache("prices"), Failing()
    wrong: Any = {"when": 5}
    load_many: Any = unloaded.load
    with pytest.raises(ConfigError, match=r"^when is 5; it must be a function"):
        await cache.get_or_load("key", unloaded.load, **wrong)
    with pytest.raises(ConfigError, match=r"^when is 5; it must be a function"):
        await cache.get_or_load_many(["key"], load_many, **wrong)
    assert 0 == unloaded.calls
