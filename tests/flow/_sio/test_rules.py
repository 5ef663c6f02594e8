# Generated from tests/flow/_aio/test_rules.py by tools/colour.py. Edit that file, then run `make colour`.
"""What holds for loads: grace, early reloads, spread ends, and what is remembered of None and of failures."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cachegrid._sio.grid import SyncGrid
from cachegrid.config import CachePolicy
from cachegrid.errors import ConfigError, LoadFailed
from cachegrid.testing import FakeClock
from tests.flow._sio.flow import SyncFlow
from tests.flow._sio.origin import SyncOrigin
from tests.flow.backing import Backing
from tests.flow.waits._sio import begin, until

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

    def load(self) -> list[int]:
        """The number of the call."""
        self.calls += 1
        if self.fails:
            raise OSError("the origin is away")
        return [self.calls]


# Grace.


def test_a_value_past_its_end_is_served_while_it_is_loaded_anew(
    flow: SyncFlow, origin: SyncOrigin, clock: FakeClock
) -> None:
    """
    By one caller in the grid, in the background; everybody is served at once, and nobody else sees it.
    """
    grids = [flow.grid() for _ in range(3)]
    caches = [grid.cache("prices", ttl=10, grace=60) for grid in grids]
    origin.gate.open()
    assert [[1]] * 3 == [cache.get_or_load("key", origin.load) for cache in caches]
    clock.advance(10)
    origin.gate = flow.gate()
    assert [[1]] * 12 == [cache.get_or_load("key", origin.load) for cache in caches for _ in range(4)]
    origin.gate.reached()
    assert [None] * 3 == [cache.get("key") for cache in caches]
    assert [{}] * 3 == [cache.get_many(["key"]) for cache in caches]
    assert [None] * 3 == [cache.entry("key") for cache in caches]
    assert [[1]] * 3 == [cache.get_or_load("key", origin.load) for cache in caches]
    origin.gate.open()
    for grid in grids:
        grid.settle()
    assert [[2]] * 3 == [cache.get("key") for cache in caches]
    assert 2 == origin.calls
    assert 15 == sum(cache.stats().stale_hits for cache in caches)


def test_a_function_has_grace_of_its_own(grid: SyncGrid, clock: FakeClock) -> None:
    """
    Said where it is decorated, or by its cache.
    """
    calls: list[str] = []
    cache = grid.cache("prices", ttl=10)

    @cache.cached(grace="1m")
    def price(sku: str) -> list[str]:
        calls.append(sku)
        return [sku, str(len(calls))]

    assert ["a", "1"] == price("a")
    clock.advance(10)
    assert ["a", "1"] == price("a")
    grid.settle()
    assert ["a", "2"] == price("a")
    clock.advance(70)
    assert ["a", "3"] == price("a")


def test_a_load_that_fails_leaves_what_is_served(
    grid: SyncGrid, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Until the grace ends; then its error is the caller's. The log names the entry.
    """
    origin = Failing()
    cache = grid.cache("prices", ttl=10, grace=20)
    cache.set("key", [0])
    clock.advance(29.999)
    assert [0] == cache.get_or_load("key", origin.load)

    def has_failed() -> bool:
        told = "a load of 'key' of cache 'prices' in the background failed: OSError"
        return cache.stats().load_failures == 1 and told in caplog.text

    until(has_failed)
    assert [0] == cache.get_or_load("key", origin.load)
    assert 1 == origin.calls, "it is not tried again at once"
    clock.advance(0.001)
    with pytest.raises(OSError, match="away"):
        cache.get_or_load("key", origin.load)


def test_grace_is_said_by_call_as_well(grid: SyncGrid, origin: SyncOrigin, clock: FakeClock) -> None:
    """
    An entry has the grace that it was stored with; who wants none is not served by it.
    """
    cache = grid.cache("prices", ttl=10)
    assert [1] == cache.get_or_load("key", origin.load_at_once, grace=60)
    clock.advance(10)
    assert [1] == cache.get_or_load("key", origin.load_at_once, grace=60)
    grid.settle()
    clock.advance(10)
    assert [3] == cache.get_or_load("key", origin.load_at_once)
    assert [3] == cache.get("key")
    assert 1 == cache.stats().stale_hits, "what is past its end, and not served, is no hit, and not loaded twice"


def test_what_was_dropped_is_not_served(grid: SyncGrid, origin: SyncOrigin, clock: FakeClock) -> None:
    """
    Deleted, cleared or invalidated, before its end or after it.
    """
    cache = grid.cache("prices", ttl=10, grace=60)
    drops: list[Any] = [lambda: cache.delete("key"), cache.clear, lambda: cache.invalidate("menu")]
    for number, drop in enumerate(drops):
        cache.set("key", [0], tags=["menu"])
        clock.advance(11)
        drop()
        assert [number + 1] == cache.get_or_load("key", origin.load_at_once, tags=["menu"])


def test_what_is_set_while_a_value_is_loaded_anew_stays(
    flow: SyncFlow, grid: SyncGrid, origin: SyncOrigin, clock: FakeClock
) -> None:
    """
    And what is deleted meanwhile is not stored again.
    """
    cache = grid.cache("prices", ttl=10, grace=60)
    for new in ("new", None):
        origin.gate = flow.gate()
        cache.set("key", [0])
        clock.advance(10)
        assert [0] == cache.get_or_load("key", origin.load)
        origin.gate.reached()
        (cache.delete("key") if new is None else cache.set("key", new))
        origin.gate.open()
        grid.settle()
        assert new == cache.get("key")


def test_a_value_past_its_end_is_no_entry(grid: SyncGrid, clock: FakeClock) -> None:
    """
    To whatever depends on whether there is one.
    """
    cache = grid.cache("prices", ttl=10, grace=60)

    def old(value: Any = 5) -> None:
        cache.set("key", value)
        clock.advance(10)

    old()
    assert not cache.has("key")
    assert not cache.replace("key", 6)
    old()
    assert not cache.touch("key", 60)
    old()
    assert 1 == cache.incr("key")
    old()
    assert 9 == cache.update("key", lambda value: value, default=9)
    old()
    assert cache.add("key", 7)
    assert 7 == cache.get("key")


def test_no_grace_where_there_is_an_idle_time(grid: SyncGrid) -> None:
    """
    What nobody reads is gone after its idle time: wherever the two are said, it is an error.
    """
    refused = "grace is .* must be off where the entry has an idle time"
    with pytest.raises(ConfigError, match=refused):
        grid.cache("prices", grace=60, idle=5)
    plain, graced, idle = grid.cache("plain"), grid.cache("graced", grace=60, ttl=5), grid.cache("idle", idle=5)

    def load(*_: object) -> Any:
        raise AssertionError

    both: Any = {"grace": 60, "idle": 5}
    for cache, said in ((plain, both), (graced, {"idle": 5}), (idle, {"grace": 60})):
        with pytest.raises(ConfigError, match=refused):
            cache.get_or_load("key", load, **said)
        with pytest.raises(ConfigError, match=refused):
            cache.get_or_load_many(["key"], load, **said)
        with pytest.raises(ConfigError, match=refused):
            cache.cached(**said)(load)


def test_an_idle_time_where_the_grace_is_taken_away(grid: SyncGrid) -> None:
    """
    Of a call, or a function.
    """

    def load(*_: object) -> int:
        return 1

    assert 1 == grid.cache("graced", grace=60, ttl=5).get_or_load("key", load, idle=5, grace=None)
    assert 1 == grid.cache("graced", grace=60, ttl=5).cached(idle=5, grace=None)(load)()


# Early.


def test_a_value_that_took_long_is_loaded_anew_before_its_end(
    flow: SyncFlow, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The nearer its end the more likely, and in the background; nobody ever waits.
    """
    grid = flow.grid()
    cache = grid.cache("prices", ttl=100, early=1.0)
    calls: list[int] = []

    def load() -> list[int]:
        calls.append(1)
        clock.advance(2)  # seconds that it takes
        return [len(calls)]

    draw = 0.0
    monkeypatch.setattr(random, "random", lambda: draw)
    assert [1] == cache.get_or_load("key", load)
    clock.advance(80)
    draw = 0.95  # chance says: up to 3.0 times what it took
    assert [1] == cache.get_or_load("key", load)
    clock.advance(14)
    assert [1] == cache.get_or_load("key", load)
    grid.settle()
    assert [1] == calls, "6 seconds are left, or a little more"
    clock.advance(0.1)
    assert [1] == cache.get_or_load("key", load)
    grid.settle()
    assert [1, 1] == calls
    draw = 0.0
    assert [2] == cache.get_or_load("key", load)
    clock.advance(97)
    assert [2] == cache.get_or_load("key", load)
    assert [1, 1] == calls


def test_functions_are_loaded_early_too(flow: SyncFlow, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Those that say so.
    """
    grid = flow.grid()
    calls: list[int] = []

    @grid.cache("prices").cached(ttl=100, early=2)
    def price(sku: str) -> list[str]:
        calls.append(1)
        clock.advance(1)
        return [sku, str(len(calls))]

    monkeypatch.setattr(random, "random", lambda: 0.95)
    price("a")
    clock.advance(94.1)
    assert ["a", "1"] == price("a")
    grid.settle()
    assert ["a", "2"] == price("a")


# Spread ends, None, failures, and what is not kept.


def test_ends_are_spread(grid: SyncGrid, clock: FakeClock) -> None:
    """
    Over the share of the time to live that was said, and never beyond its end.
    """
    cache = grid.cache("prices", ttl=100, jitter=0.5)
    for key in range(200):
        cache.set(key, 1)
    counts = []
    for seconds in (50, 12.5, 12.5, 12.5, 12.4, 0.1):
        counts.append(len(cache.get_many(range(200))))
        clock.advance(seconds)
    counts.append(len(cache.get_many(range(200))))
    assert 200 == counts[0]
    assert 200 == counts[1] >= counts[2] > counts[3] > counts[4] > 0 == counts[6]


def test_none_has_a_time_to_live_of_its_own(grid: SyncGrid, clock: FakeClock) -> None:
    """
    Also where None is the result of a function.
    """
    results: list[Any] = [None, 5, 6, 7]
    cache = grid.cache("prices", ttl=100, negative_ttl="10s")

    def load() -> Any:
        return results.pop(0)

    assert None is cache.get_or_load("key", load)
    clock.advance(9.999)
    assert cache.has("key")
    clock.advance(0.001)
    assert 5 == cache.get_or_load("key", load)
    clock.advance(99)
    assert 5 == cache.get_or_load("key", load)


def test_a_failure_is_remembered_for_a_while(flow: SyncFlow, clock: FakeClock) -> None:
    """
    Others are told, in whichever process, and the origin is left alone; its own caller gets the error itself.
    """
    origin = Failing()
    ours, other = [(flow.grid()).cache("prices", ttl=100, failure_ttl=5) for _ in range(2)]
    with pytest.raises(OSError, match="away"):
        ours.get_or_load("key", origin.load)
    for cache in (ours, other):
        with pytest.raises(LoadFailed, match="'key'.*OSError: the origin is away"):
            cache.get_or_load("key", origin.load)
        assert None is cache.get("key")
        assert None is cache.entry("key")
    assert 1 == origin.calls
    origin.fails = False
    clock.advance(5)
    assert [2] == other.get_or_load("key", origin.load)
    assert [2] == ours.get("key")


def test_what_is_set_ends_the_memory_of_a_failure(grid: SyncGrid) -> None:
    """
    So does deleting the key.
    """
    origin = Failing()
    cache = grid.cache("prices", failure_ttl=5)
    for number in range(2):
        with pytest.raises(OSError, match="away"):
            cache.get_or_load(number, origin.load)
    cache.set(0, [9])
    cache.delete(1)
    assert [9] == cache.get_or_load(0, origin.load)
    with pytest.raises(OSError, match="away"):
        cache.get_or_load(1, origin.load)


def test_some_results_are_not_kept(grid: SyncGrid, origin: SyncOrigin) -> None:
    """
    Those that `when` says no of; all who wait for one get it.
    """
    cache = grid.cache("prices")

    @cache.cached(when=lambda result: len(result) > 1)
    def found(*words: str) -> list[str]:
        origin.load_at_once()
        return list(words)

    for _ in range(2):
        assert [["a"], ["a", "b"]] == [found("a"), found("a", "b")]
    assert 3 == origin.calls
    callers = [begin(cache.get_or_load, "key", origin.load, when=lambda value: value != [4]) for _ in range(3)]
    origin.gate.reached()

    def all_have_missed() -> bool:
        return cache.stats().misses == 6

    until(all_have_missed)
    origin.gate.open()
    assert [[4]] * 3 == [caller.result() for caller in callers]
    assert None is cache.get("key")


@pytest.mark.parametrize(
    "wrong", [{"early": -1}, {"early": "1"}, {"jitter": 1.5}, {"jitter": True}, {"grace": 0}, {"failure_ttl": "soon"}]
)
def test_what_cannot_be_a_rule_is_refused(grid: SyncGrid, wrong: dict[str, Any]) -> None:
    """
    For a cache, for a function and for a call, by its name.
    """
    [name] = wrong
    with pytest.raises(ConfigError, match=name):
        CachePolicy(**wrong)
    with pytest.raises(ConfigError, match=name):
        grid.cache("prices").cached(**wrong)(test_what_cannot_be_a_rule_is_refused)
    with pytest.raises(ConfigError, match=name):
        grid.cache("prices").get_or_load("key", grid.settle, **wrong)


def test_what_cannot_decide_is_refused_before_the_load(grid: SyncGrid) -> None:
    """
    For one key as for many; nothing is loaded.
    """
    cache, unloaded = grid.cache("prices"), Failing()
    wrong: Any = {"when": 5}
    load_many: Any = unloaded.load
    with pytest.raises(ConfigError, match=r"^when is 5; it must be a function"):
        cache.get_or_load("key", unloaded.load, **wrong)
    with pytest.raises(ConfigError, match=r"^when is 5; it must be a function"):
        cache.get_or_load_many(["key"], load_many, **wrong)
    assert 0 == unloaded.calls
