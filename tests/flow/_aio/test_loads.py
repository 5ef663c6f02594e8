"""Loads: once for however many callers, and stored as it was said."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from cachegrid.errors import (
    ConfigError,
    LoadTimeout,
    ValueRefused,
)
from tests.flow._aio.flow import AsyncFlow, engine_of, raw_of
from tests.flow._aio.origin import AsyncOrigin
from tests.flow.waits._aio import begin, other_colour, together, until


class Counting:
    """Stands before something, and counts what is asked of it."""

    def __init__(self, counted: Any) -> None:
        self.counted, self.calls = counted, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self.counted, name)


async def test_what_is_loaded_is_stored(cache: AsyncCache, origin: AsyncOrigin) -> None:
    """
    The origin is asked once; None is a result as any other.
    """

    async def load_none() -> Any:
        origin.calls += 1

    for _ in range(3):
        assert [1] == await cache.get_or_load("key", origin.load_at_once)
        assert None is await cache.get_or_load("none", load_none)
    assert 2 == origin.calls
    assert [1] == await cache.get("key")


async def test_one_load_for_all_callers(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    Of 64 callers on 4 grids one loads; the others get copies of what it loaded.
    """
    grids = [await flow.grid() for _ in range(4)]
    caches = [grid.cache("prices") for grid in grids]
    callers = [begin(caches[number % 4].get_or_load, "key", origin.load) for number in range(64)]

    async def all_have_missed() -> bool:
        return sum(cache.stats().misses for cache in caches) == 64

    await until(all_have_missed)
    origin.gate.open()
    values = [await caller.result() for caller in callers]
    assert ([[1]] * 64, 1) == (values, origin.calls)
    assert 64 == len({id(value) for value in values})
    assert [1, 63] == [sum(getattr(cache.stats(), name) for cache in caches) for name in ("loads", "load_waits")]


async def test_a_cold_call_is_one_miss_and_a_warm_one_a_hit(cache: AsyncCache, origin: AsyncOrigin) -> None:
    """
    However it was made: by a function, or by `get_or_load`.
    """

    @cache.cached
    async def function() -> list[int]:
        return await origin.load_at_once()

    for _ in range(2):
        await function()
        await cache.get_or_load("key", origin.load_at_once)
    stats = cache.stats()
    assert (2, 2, 2, 2, 0) == (stats.misses, stats.hits, stats.loads, stats.stores, stats.load_waits)


async def test_a_loader_that_fails_is_its_callers_affair(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    The caller gets the error, nothing is stored, and the next who waits tries its own loader.
    """
    cache = (await flow.grid()).cache("prices")

    async def fail() -> list[int]:
        await origin.gate.stand()
        raise LookupError("no such thing")

    failing = begin(cache.get_or_load, "key", fail)
    await origin.gate.reached()
    waiting = begin(cache.get_or_load, "key", origin.load_at_once)

    async def both_have_missed() -> bool:
        return cache.stats().misses == 2

    await until(both_have_missed)
    origin.gate.open()
    with pytest.raises(LookupError, match="no such thing"):
        await failing.result()
    assert ([1], 1) == (await waiting.result(), origin.calls)
    stats = cache.stats()
    assert (2, 1, 1) == (stats.loads, stats.load_failures, stats.stores)


async def test_a_value_that_cannot_be_kept_is_an_error(cache: AsyncCache) -> None:
    """
    Nothing else would tell the caller that each call loads.
    """

    async def load() -> object:
        return object()

    with pytest.raises(ValueRefused):
        await cache.get_or_load("key", load)


async def test_what_cannot_be_called_is_no_loader(cache: AsyncCache) -> None:
    """
    A value in a loader's place is a slip of the pen; nothing is counted as a load.
    """
    with pytest.raises(ConfigError, match="loader is 5; it must be a function"):
        await cache.get_or_load("key", 5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="load_many is 5; it must be a function"):
        await cache.get_or_load_many(["key"], 5)  # type: ignore[call-overload]
    assert 0 == cache.stats().loads


async def test_a_loader_of_the_other_colour_is_refused(cache: AsyncCache) -> None:
    """
    As such, and not for the value that it seems to give; a hit asks for no loader.
    """
    with pytest.raises(ConfigError, match=r"^the loader for .*; it must be an? .*sync function; .*connect\(\)$"):
        await cache.get_or_load("key", other_colour(5))
    assert (1, 1, 0) == ((stats := cache.stats()).loads, stats.load_failures, stats.stores)
    await cache.set("key", 6)
    assert 6 == await cache.get_or_load("key", other_colour(5))


async def test_a_loader_may_ask_for_its_own_key(cache: AsyncCache, origin: AsyncOrigin) -> None:
    """
    It gets what its inner loader gives, and waits for nobody.
    """

    async def load() -> list[int]:
        return [0, *await cache.get_or_load("key", origin.load_at_once)]

    assert [0, 1] == await cache.get_or_load("key", load)
    assert [0, 1] == await cache.get("key")


async def test_a_loader_may_ask_for_other_keys(cache: AsyncCache) -> None:
    """
    A function that calls itself keeps the result of every step.
    """
    calls: list[int] = []

    @cache.cached
    async def fib(number: int) -> int:
        calls.append(number)
        return number if number < 2 else await fib(number - 1) + await fib(number - 2)

    assert 832_040 == await fib(30)
    assert list(range(30, -1, -1)) == calls


async def test_a_loader_may_ask_for_its_own_key_through_another_connection(
    flow: AsyncFlow, origin: AsyncOrigin
) -> None:
    """
    Two grid objects of one program may be connected to the same members; still nobody waits for itself.
    """
    cache, other = (await flow.grid()).cache("prices"), (await flow.grid()).cache("prices")

    async def load() -> list[int]:
        return [0, *await other.get_or_load("key", origin.load_at_once)]

    assert [0, 1] == await cache.get_or_load("key", load)
    assert [0, 1] == await other.get("key")


async def test_what_a_loader_has_begun_waits_like_anybody_when_the_load_is_over(
    cache: AsyncCache, flow: AsyncFlow, origin: AsyncOrigin
) -> None:
    """
    Work that outlives the load it was begun in loads, and stores, for all.
    """
    began: list[Any] = []
    gate = flow.gate()

    async def later() -> list[int]:
        await gate.stand()
        return await cache.get_or_load("key", origin.load_at_once)

    async def load() -> str:
        began.append(begin(later))
        return "first"

    assert "first" == await cache.get_or_load("key", load)
    await cache.delete("key")
    gate.open()
    assert [1] == await began[0].result()
    assert [1] == await cache.get("key")


async def test_who_waits_for_too_long_is_told(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    After `wait`, in the same process and in another one; the load goes on.
    """
    first, second = await flow.grid(), await flow.grid()
    patient = first.cache("prices", wait="50ms")
    loading = begin(patient.get_or_load, "key", origin.load)
    await origin.gate.reached()
    for cache in (patient, second.cache("prices", wait="50ms")):
        with pytest.raises(LoadTimeout, match=r"somebody else has been loading this entry for more than 0\.\d+ s"):
            await cache.get_or_load("key", origin.load_at_once)
    origin.gate.open()
    assert [1] == await loading.result()
    assert [1] == await second.cache("prices").get("key")


@pytest.mark.slow
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a longer lease"])
async def test_a_load_may_take_longer_than_its_lease(flow: AsyncFlow, origin: AsyncOrigin, beside: bool) -> None:  # noqa: FBT001
    """
    The lease is renewed while the loader works, and nobody else begins; also if a longer lease is held besides.
    """
    grid, other = await flow.grid(), await flow.grid()
    caches = [one.cache("prices", lease="150ms") for one in (grid, other)]
    lock = grid.lock("long")
    if beside:
        await lock.acquire()
    loading = begin(caches[0].get_or_load, "key", origin.load)
    await origin.gate.reached()
    waiting = begin(caches[1].get_or_load, "key", origin.load_at_once)

    async def renewed() -> bool:
        return engine_of(grid).calls["renew"] >= 5  # of one each 50 ms

    await until(renewed)
    origin.gate.open()
    assert ([1], [1], 1) == (await loading.result(), await waiting.result(), origin.calls)
    if beside:
        await lock.release()


async def test_a_load_takes_four_trips(grid: AsyncGrid, origin: AsyncOrigin) -> None:
    """
    A look, the lease, another look, and the landing, which ends the lease; the value is decoded as often as it is read.
    """
    cache, engine = grid.cache("prices"), engine_of(grid)
    await cache.get("key")
    engine.calls.clear()
    await cache.get_or_load("key", origin.load_at_once)
    assert {"fetch": 2, "acquire": 1, "land": 1} == dict(engine.calls)


async def test_what_another_has_stored_is_decoded_once(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    By each caller: the frame that is looked at is not decoded again to be handed out.
    """
    grid = await flow.grid()
    cache, other = grid.cache("prices"), (await flow.grid()).cache("prices")
    gate = engine_of(grid).hold("acquire")
    late = begin(cache.get_or_load, "key", origin.load)
    await gate.reached()
    await other.set("key", [2])
    pipeline = Counting(cache._pipeline)
    cache._pipeline = pipeline  # type: ignore[assignment]
    gate.open()
    assert ([2], {"thaw": 1}) == (await late.result(), pipeline.calls)


async def test_damaged_bytes_are_loaded_anew(grid: AsyncGrid, origin: AsyncOrigin) -> None:
    """
    Once, for all who ask.
    """
    cache = grid.cache("prices")
    await cache.set("key", "x")
    address = cache._space.address("key")
    await engine_of(grid).engine.store(address, b"\xc9 damaged", None)
    origin.gate.open()
    values = await together(*[_loading(cache, origin) for _ in range(8)])
    assert ([[1]] * 8, 1) == (values, origin.calls)
    raw = await raw_of(grid, address)
    assert raw is not None
    assert b"\xc9 damaged" != raw


async def test_keys_are_loaded_side_by_side(cache: AsyncCache, flow: AsyncFlow) -> None:
    """
    A load holds up nobody who asks for another key.
    """
    origins = [AsyncOrigin(flow) for _ in range(10)]
    loads = [begin(cache.get_or_load, number, origin.load) for number, origin in enumerate(origins)]
    for origin in origins:
        await origin.gate.reached()
    for origin in origins:
        origin.gate.open()
    assert [[1]] * 10 == [await load.result() for load in loads]


async def test_values_are_stored_with_the_times_that_were_said(cache: AsyncCache, origin: AsyncOrigin) -> None:
    """
    Those of the call, by the caller who loads.
    """
    await cache.get_or_load("key", origin.load_at_once, ttl="1h", idle="1m")
    entry = await cache.entry("key")
    assert entry is not None
    assert entry.idle is not None
    assert 60 == entry.idle.total_seconds()


def _loading(cache: AsyncCache, origin: AsyncOrigin) -> Any:
    return lambda: cache.get_or_load("key", origin.load)
