# Generated from tests/flow/_aio/test_loads.py by tools/colour.py. Edit that file, then run `make colour`.
"""Loads: once for however many callers, and stored as it was said."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import (
    ConfigError,
    LoadTimeout,
    ValueRefused,
)
from tests.flow._sio.flow import SyncFlow, engine_of, raw_of
from tests.flow._sio.origin import SyncOrigin
from tests.flow.waits._sio import begin, other_colour, together, until


class Counting:
    """Stands before something, and counts what is asked of it."""

    def __init__(self, counted: Any) -> None:
        self.counted, self.calls = counted, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self.counted, name)


def test_what_is_loaded_is_stored(cache: SyncCache, origin: SyncOrigin) -> None:
    """
    The origin is asked once; None is a result as any other.
    """

    def load_none() -> Any:
        origin.calls += 1

    for _ in range(3):
        assert [1] == cache.get_or_load("key", origin.load_at_once)
        assert None is cache.get_or_load("none", load_none)
    assert 2 == origin.calls
    assert [1] == cache.get("key")


def test_one_load_for_all_callers(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    Of 64 callers on 4 grids one loads; the others get copies of what it loaded.
    """
    grids = [flow.grid() for _ in range(4)]
    caches = [grid.cache("prices") for grid in grids]
    callers = [begin(caches[number % 4].get_or_load, "key", origin.load) for number in range(64)]

    def all_have_missed() -> bool:
        return sum(cache.stats().misses for cache in caches) == 64

    until(all_have_missed)
    origin.gate.open()
    values = [caller.result() for caller in callers]
    assert ([[1]] * 64, 1) == (values, origin.calls)
    assert 64 == len({id(value) for value in values})
    assert [1, 63] == [sum(getattr(cache.stats(), name) for cache in caches) for name in ("loads", "load_waits")]


def test_a_cold_call_is_one_miss_and_a_warm_one_a_hit(cache: SyncCache, origin: SyncOrigin) -> None:
    """
    However it was made: by a function, or by `get_or_load`.
    """

    @cache.cached
    def function() -> list[int]:
        return origin.load_at_once()

    for _ in range(2):
        function()
        cache.get_or_load("key", origin.load_at_once)
    stats = cache.stats()
    assert (2, 2, 2, 2, 0) == (stats.misses, stats.hits, stats.loads, stats.stores, stats.load_waits)


def test_a_loader_that_fails_is_its_callers_affair(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    The caller gets the error, nothing is stored, and the next who waits tries its own loader.
    """
    cache = (flow.grid()).cache("prices")

    def fail() -> list[int]:
        origin.gate.stand()
        raise LookupError("no such thing")

    failing = begin(cache.get_or_load, "key", fail)
    origin.gate.reached()
    waiting = begin(cache.get_or_load, "key", origin.load_at_once)

    def both_have_missed() -> bool:
        return cache.stats().misses == 2

    until(both_have_missed)
    origin.gate.open()
    with pytest.raises(LookupError, match="no such thing"):
        failing.result()
    assert ([1], 1) == (waiting.result(), origin.calls)
    stats = cache.stats()
    assert (2, 1, 1) == (stats.loads, stats.load_failures, stats.stores)


def test_a_value_that_cannot_be_kept_is_an_error(cache: SyncCache) -> None:
    """
    Nothing else would tell the caller that each call loads.
    """

    def load() -> object:
        return object()

    with pytest.raises(ValueRefused):
        cache.get_or_load("key", load)


def test_what_cannot_be_called_is_no_loader(cache: SyncCache) -> None:
    """
    A value in a loader's place is a slip of the pen; nothing is counted as a load.
    """
    with pytest.raises(ConfigError, match="loader is 5; it must be a function"):
        cache.get_or_load("key", 5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="load_many is 5; it must be a function"):
        cache.get_or_load_many(["key"], 5)  # type: ignore[call-overload]
    assert 0 == cache.stats().loads


def test_a_loader_of_the_other_colour_is_refused(cache: SyncCache) -> None:
    """
    As such, and not for the value that it seems to give; a hit asks for no loader.
    """
    with pytest.raises(ConfigError, match=r"^the loader for .*; it must be an? .*sync function; .*connect\(\)$"):
        cache.get_or_load("key", other_colour(5))
    assert (1, 1, 0) == ((stats := cache.stats()).loads, stats.load_failures, stats.stores)
    cache.set("key", 6)
    assert 6 == cache.get_or_load("key", other_colour(5))


def test_a_loader_may_ask_for_its_own_key(cache: SyncCache, origin: SyncOrigin) -> None:
    """
    It gets what its inner loader gives, and waits for nobody.
    """

    def load() -> list[int]:
        return [0, *cache.get_or_load("key", origin.load_at_once)]

    assert [0, 1] == cache.get_or_load("key", load)
    assert [0, 1] == cache.get("key")


def test_a_loader_may_ask_for_other_keys(cache: SyncCache) -> None:
    """
    A function that calls itself keeps the result of every step.
    """
    calls: list[int] = []

    @cache.cached
    def fib(number: int) -> int:
        calls.append(number)
        return number if number < 2 else fib(number - 1) + fib(number - 2)

    assert 832_040 == fib(30)
    assert list(range(30, -1, -1)) == calls


def test_a_loader_may_ask_for_its_own_key_through_another_connection(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    Two grid objects of one program may be connected to the same members; still nobody waits for itself.
    """
    cache, other = (flow.grid()).cache("prices"), (flow.grid()).cache("prices")

    def load() -> list[int]:
        return [0, *other.get_or_load("key", origin.load_at_once)]

    assert [0, 1] == cache.get_or_load("key", load)
    assert [0, 1] == other.get("key")


def test_what_a_loader_has_begun_waits_like_anybody_when_the_load_is_over(
    cache: SyncCache, flow: SyncFlow, origin: SyncOrigin
) -> None:
    """
    Work that outlives the load it was begun in loads, and stores, for all.
    """
    began: list[Any] = []
    gate = flow.gate()

    def later() -> list[int]:
        gate.stand()
        return cache.get_or_load("key", origin.load_at_once)

    def load() -> str:
        began.append(begin(later))
        return "first"

    assert "first" == cache.get_or_load("key", load)
    cache.delete("key")
    gate.open()
    assert [1] == began[0].result()
    assert [1] == cache.get("key")


def test_who_waits_for_too_long_is_told(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    After `wait`, in the same process and in another one; the load goes on.
    """
    first, second = flow.grid(), flow.grid()
    patient = first.cache("prices", wait="50ms")
    loading = begin(patient.get_or_load, "key", origin.load)
    origin.gate.reached()
    for cache in (patient, second.cache("prices", wait="50ms")):
        with pytest.raises(LoadTimeout, match=r"somebody else has been loading this entry for more than 0\.\d+ s"):
            cache.get_or_load("key", origin.load_at_once)
    origin.gate.open()
    assert [1] == loading.result()
    assert [1] == second.cache("prices").get("key")


@pytest.mark.slow
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a longer lease"])
def test_a_load_may_take_longer_than_its_lease(flow: SyncFlow, origin: SyncOrigin, beside: bool) -> None:  # noqa: FBT001
    """
    The lease is renewed while the loader works, and nobody else begins; also if a longer lease is held besides.
    """
    grid, other = flow.grid(), flow.grid()
    caches = [one.cache("prices", lease="150ms") for one in (grid, other)]
    lock = grid.lock("long")
    if beside:
        lock.acquire()
    loading = begin(caches[0].get_or_load, "key", origin.load)
    origin.gate.reached()
    waiting = begin(caches[1].get_or_load, "key", origin.load_at_once)

    def renewed() -> bool:
        return engine_of(grid).calls["renew"] >= 5  # of one each 50 ms

    until(renewed)
    origin.gate.open()
    assert ([1], [1], 1) == (loading.result(), waiting.result(), origin.calls)
    if beside:
        lock.release()


def test_a_load_takes_four_trips(grid: SyncGrid, origin: SyncOrigin) -> None:
    """
    A look, the lease, another look, and the landing, which ends the lease; the value is decoded as often as it is read.
    """
    cache, engine = grid.cache("prices"), engine_of(grid)
    cache.get("key")
    engine.calls.clear()
    cache.get_or_load("key", origin.load_at_once)
    assert {"fetch": 2, "acquire": 1, "land": 1} == dict(engine.calls)


def test_what_another_has_stored_is_decoded_once(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    By each caller: the frame that is looked at is not decoded again to be handed out.
    """
    grid = flow.grid()
    cache, other = grid.cache("prices"), (flow.grid()).cache("prices")
    gate = engine_of(grid).hold("acquire")
    late = begin(cache.get_or_load, "key", origin.load)
    gate.reached()
    other.set("key", [2])
    pipeline = Counting(cache._pipeline)
    cache._pipeline = pipeline  # type: ignore[assignment]
    gate.open()
    assert ([2], {"thaw": 1}) == (late.result(), pipeline.calls)


def test_damaged_bytes_are_loaded_anew(grid: SyncGrid, origin: SyncOrigin) -> None:
    """
    Once, for all who ask.
    """
    cache = grid.cache("prices")
    cache.set("key", "x")
    address = cache._space.address("key")
    engine_of(grid).engine.store(address, b"\xc9 damaged", None)
    origin.gate.open()
    values = together(*[_loading(cache, origin) for _ in range(8)])
    assert ([[1]] * 8, 1) == (values, origin.calls)
    raw = raw_of(grid, address)
    assert raw is not None
    assert b"\xc9 damaged" != raw


def test_keys_are_loaded_side_by_side(cache: SyncCache, flow: SyncFlow) -> None:
    """
    A load holds up nobody who asks for another key.
    """
    origins = [SyncOrigin(flow) for _ in range(10)]
    loads = [begin(cache.get_or_load, number, origin.load) for number, origin in enumerate(origins)]
    for origin in origins:
        origin.gate.reached()
    for origin in origins:
        origin.gate.open()
    assert [[1]] * 10 == [load.result() for load in loads]


def test_values_are_stored_with_the_times_that_were_said(cache: SyncCache, origin: SyncOrigin) -> None:
    """
    Those of the call, by the caller who loads.
    """
    cache.get_or_load("key", origin.load_at_once, ttl="1h", idle="1m")
    entry = cache.entry("key")
    assert entry is not None
    assert entry.idle is not None
    assert 60 == entry.idle.total_seconds()


def _loading(cache: SyncCache, origin: SyncOrigin) -> Any:
    return lambda: cache.get_or_load("key", origin.load)
