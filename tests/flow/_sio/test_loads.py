# Generated from tests/flow/_aio/test_loads.py by tools/colour.py. Edit that file, then run `make colour`.
"""Loads: once for however many callers, whatever happens to the one who loads."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import (
    AccessDenied,
    ConfigError,
    EngineError,
    EngineTimeout,
    GridFull,
    LoadTimeout,
    OutcomeUnknown,
    ServerRefused,
    Unreachable,
    ValueRefused,
    WritesRefused,
)
from tests.flow._sio.flow import SyncFlow, engine_of, raw_of
from tests.flow.waits._sio import begin, other_colour, together, until

# Abilities that an engine may lack, and how what was loaded is stored then.
LACKING: list[list[str]] = [[], ["landings"], ["conditions", "landings"]]
STORES = ["land", "store_if_absent", "store"]


class SyncOrigin:
    """Where values come from: counts how often it was asked, and can be held."""

    def __init__(self, flow: SyncFlow) -> None:
        self.calls = 0
        self.gate = flow.gate()

    def load(self) -> list[int]:
        """The value of the n-th call: [n]."""
        self.calls += 1
        number = self.calls
        self.gate.stand()
        return [number]

    def load_at_once(self) -> list[int]:
        """The same, past the gate."""
        self.calls += 1
        return [self.calls]


class Counting:
    """Stands before something, and counts what is asked of it."""

    def __init__(self, counted: Any) -> None:
        self.counted, self.calls = counted, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self.counted, name)


class SyncQueue:
    """What a flight's callers wait for; knows how many have come to wait."""

    def __init__(self, landed: Any) -> None:
        self.landed, self.is_lost, self.set = landed, landed.is_lost, landed.set
        self.come: list[float] = []

    def wait(self, seconds: float) -> bool:
        """Wait for it."""
        self.come.append(seconds)
        return bool(self.landed.wait(seconds))


@pytest.fixture
def origin(flow: SyncFlow) -> SyncOrigin:
    """An origin whose gate is shut."""
    return SyncOrigin(flow)


def test_what_is_loaded_is_stored(cache: SyncCache, origin: SyncOrigin) -> None:
    """
    The origin is asked once; None is a result as any other.
    """

    def load_none() -> None:
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
        with pytest.raises(LoadTimeout, match="somebody else has been loading this entry for more than 0.0"):
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


def test_a_load_whose_lease_cannot_be_given_back_counts(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    The value is stored and the caller gets it; a loader's own error is not hidden either.
    """
    flow.leaves_leases = True
    grid = flow.grid()
    cache = grid.cache("prices", lease="1s")

    def fail() -> Any:
        raise LookupError("no such thing")

    engine_of(grid).fail("release", EngineTimeout("away"))
    assert [1] == cache.get_or_load("key", origin.load_at_once)
    engine_of(grid).fail("release", EngineTimeout("away"))
    with pytest.raises(LookupError):
        cache.get_or_load("other", fail)
    assert [1] == cache.get("key")


def test_an_outage_before_the_load_is_told(grid: SyncGrid, origin: SyncOrigin) -> None:
    """
    What the grid has cannot be known then, and the origin is not asked.
    """
    cache = grid.cache("prices")
    for method in ("fetch", "acquire"):
        engine_of(grid).fail(method, EngineTimeout("away"))
        with pytest.raises(EngineTimeout, match="away"):
            cache.get_or_load("key", origin.load_at_once)
    assert [1] == cache.get_or_load("key", origin.load_at_once)


@pytest.mark.parametrize("lacking", LACKING, ids=" ".join)
@pytest.mark.parametrize("kind_of_error", [EngineTimeout, GridFull, OutcomeUnknown, Unreachable, WritesRefused])
def test_what_the_grid_cannot_store_is_handed_out(
    grid: SyncGrid, origin: SyncOrigin, kind_of_error: type[EngineError], lacking: list[str]
) -> None:
    """
    The caller and who waits get what was loaded, it is counted, and the next caller loads again.
    """
    cache = grid.cache("prices")
    cache.get("key")
    grid._hub.lacking = frozenset(lacking)
    for _ in range(2 if kind_of_error is OutcomeUnknown and len(lacking) == 1 else 1):
        engine_of(grid).fail(STORES[len(lacking)], kind_of_error("no room, or away"))
    loading = begin(cache.get_or_load, "key", origin.load)
    origin.gate.reached()
    waiting = begin(cache.get_or_load, "key", origin.load)

    def both_have_missed() -> bool:
        return cache.stats().misses == 3

    until(both_have_missed)
    origin.gate.open()
    assert ([1], [1]) == (loading.result(), waiting.result())
    assert [2] == cache.get_or_load("key", origin.load)
    stats = cache.stats()
    assert (2, 0, 1, 1) == (stats.loads, stats.load_failures, stats.store_failures, stats.stores)
    assert [2] == cache.get("key")


@pytest.mark.parametrize("error", [GridFull("no room"), WritesRefused("no disk")])
def test_where_no_lease_can_be_had_what_is_loaded_is_handed_out(
    grid: SyncGrid, origin: SyncOrigin, error: EngineError
) -> None:
    """
    A grid that takes no writes can be read: who waits gets what was loaded, which is not stored and counted.
    """
    cache = grid.cache("prices")
    engine_of(grid).fail("acquire", error)
    loading = begin(cache.get_or_load, "key", origin.load)
    origin.gate.reached()
    waiting = begin(cache.get_or_load, "key", origin.load)

    def both_have_missed() -> bool:
        return cache.stats().misses == 2

    until(both_have_missed)
    origin.gate.open()
    assert ([1], [1]) == (loading.result(), waiting.result())
    stats = cache.stats()
    assert (1, 0, 1, 0) == (stats.loads, stats.load_failures, stats.store_failures, stats.stores)
    assert [2] == cache.get_or_load("key", origin.load)
    assert [2] == cache.get("key")


@pytest.mark.parametrize("error", [AccessDenied("may not"), ServerRefused("ERR what"), EngineError("closed")])
def test_what_will_not_pass_is_told(grid: SyncGrid, origin: SyncOrigin, error: EngineError) -> None:
    """
    A grid that never stores what was loaded is set up wrongly, and somebody has to know.
    """
    cache = grid.cache("prices")
    engine_of(grid).fail("land", error)
    with pytest.raises(type(error), match=str(error)):
        cache.get_or_load("key", origin.load_at_once)


def test_an_outage_is_told_to_all_who_wait_at_once(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    They do not find it out one after the other, each after a deadline of its own.
    """
    grid = flow.grid()
    cache, engine = grid.cache("prices"), engine_of(grid)
    gate = engine.hold("acquire", error=EngineTimeout("away", where="db-1"))
    callers = [begin(cache.get_or_load, "key", origin.load_at_once)]
    gate.reached()
    [flight] = grid._hub.flights._flights.values()
    flight.landed = landed = SyncQueue(flight.landed)
    callers += [begin(cache.get_or_load, "key", origin.load_at_once) for _ in range(4)]

    def all_wait() -> bool:
        return len(landed.come) == 4

    until(all_wait)
    gate.open()
    for caller in callers:
        with pytest.raises(EngineTimeout, match="^away$") as caught:
            caller.result()
        assert "db-1" == caught.value.where
    assert (1, 0) == (engine.calls["acquire"], origin.calls)


def test_what_is_set_while_it_is_loaded_stays(flow: SyncFlow) -> None:
    """
    By whichever process: it is newer than what the loader may have read. The loader's caller gets what was loaded.
    """
    ours, theirs = (flow.grid()).cache("prices"), (flow.grid()).cache("prices")
    for key, writer in (("ours", ours), ("theirs", theirs)):
        origin = SyncOrigin(flow)
        loading = begin(ours.get_or_load, key, origin.load)
        origin.gate.reached()
        writer.set(key, "newer")
        origin.gate.open()
        assert [1] == loading.result()
        assert ("newer", "newer") == (ours.get(key), theirs.get(key))


def test_what_is_deleted_while_it_is_loaded_does_not_come_back(flow: SyncFlow) -> None:
    """
    By whichever process: the loader may have read what the delete was meant for. Who asks after that gets a later load.
    """
    grid, other = flow.grid(), (flow.grid()).cache("prices")
    cache = grid.cache("prices")
    deletes: list[Any] = [
        lambda: cache.delete("key"),
        lambda: cache.delete_many(["other", "key"]),
        lambda: other.delete("key"),
        lambda: other.delete_many(["other", "key"]),
    ]
    for number, delete in enumerate(deletes):
        gate = flow.gate()

        def load(gate: Any = gate) -> str:
            gate.stand()
            return "old"

        def load_again(number: int = number) -> str:
            return f"new {number}"

        loading = begin(cache.get_or_load, "key", load)
        gate.reached()
        assert not delete()
        assert f"new {number}" == other.get_or_load("key", load_again)
        gate.open()
        assert "old" == loading.result()
        assert [f"new {number}"] * 2 == [one.get("key") for one in (cache, other)]
        cache.delete("key")


def test_who_asks_after_a_delete_gets_no_load_from_before(flow: SyncFlow) -> None:
    """
    Nor who waits in the process that loads, and was not told that another one deleted it.
    """
    grid, other = flow.grid(), (flow.grid()).cache("prices")
    cache = grid.cache("prices")
    for deleter in (cache, other):
        gate = flow.gate()

        def load(gate: Any = gate) -> str:
            gate.stand()
            return "old"

        def load_again() -> str:
            return "new"

        loading = begin(cache.get_or_load, "key", load)
        gate.reached()
        misses = cache.stats().misses
        deleter.delete("key")
        later = begin(cache.get_or_load, "key", load_again)

        def has_missed(misses: int = misses) -> bool:
            return cache.stats().misses > misses

        until(has_missed)
        gate.open()
        assert ("old", "new", "new") == (loading.result(), later.result(), other.get("key"))
        cache.delete("key")


@pytest.mark.parametrize("lacking", LACKING, ids=" ".join)
def test_what_is_deleted_while_it_is_stored_does_not_come_back(
    flow: SyncFlow, origin: SyncOrigin, lacking: list[str]
) -> None:
    """
    Whether the delete or the store reaches the owner first. The engine has to help if another process deletes it.
    """
    grid = flow.grid()
    cache = grid.cache("prices")
    deleters = [cache] if lacking else [cache, (flow.grid()).cache("prices")]
    grid._hub.lacking = frozenset(lacking)
    for answered, deleter in [(answered, deleter) for deleter in deleters for answered in (False, True)]:
        gate = engine_of(grid).hold(STORES[len(lacking)], answered=answered)
        loading = begin(cache.get_or_load, "key", origin.load_at_once)
        gate.reached()
        deleter.delete("key")
        gate.open()
        loading.result()
        assert not cache.has("key")


def test_a_function_invalidated_elsewhere_while_it_works(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    Its result is its caller's alone, and whoever calls it then, in any process, calls it anew.
    """
    ours, theirs = [(flow.grid()).cache("prices").cached(name="f")(origin.load) for _ in range(2)]
    working = begin(ours)
    origin.gate.reached()
    assert not theirs.invalidate()
    origin.gate.open()
    assert [1] == working.result()
    assert ([2], [2]) == (theirs(), ours())


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


def test_a_function_that_is_invalidated_while_it_works_is_called_again(cache: SyncCache, origin: SyncOrigin) -> None:
    """
    Its first result is not kept.
    """

    @cache.cached
    def function() -> list[int]:
        return origin.load()

    working = begin(function)
    origin.gate.reached()
    assert not function.invalidate()
    origin.gate.open()
    assert [1] == working.result()
    assert [2] == function()
    assert [2] == function()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("answered", [False, True], ids=["not stored", "stored"])
def test_a_load_that_nobody_knows_to_be_stored(
    grid: SyncGrid,
    origin: SyncOrigin,
    times: int,
    answered: bool,  # noqa: FBT001
) -> None:
    """
    An engine that cannot repeat it by itself is asked once more, and the caller gets the value in any case.
    """
    cache = grid.cache("prices")
    cache.get("key")
    grid._hub.lacking = frozenset(["landings"])
    for _ in range(times):
        engine_of(grid).fail("store_if_absent", OutcomeUnknown("broke"), answered=answered)
    assert [1] == cache.get_or_load("key", origin.load_at_once)
    assert (times == 1 or answered) is cache.has("key")
    assert (times == 2) is bool(cache.stats().store_failures)


def test_a_load_whose_lease_was_lost_counts(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    Its caller gets what was loaded; what whoever took over has stored stays.
    """
    grid = flow.grid()
    cache = grid.cache("prices")
    loading = begin(cache.get_or_load, "key", origin.load)
    origin.gate.reached()
    held = grid._hub.keeper._held
    assert engine_of(grid).engine.release(cache._space.address("key"), next(iter(held)))
    assert [2] == (flow.grid()).cache("prices").get_or_load("key", origin.load_at_once)
    origin.gate.open()
    assert [1] == loading.result()
    assert [2] == cache.get("key")


def test_a_load_finds_what_another_has_stored_meanwhile(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    Whoever gets the lease looks again before it loads.
    """
    grid = flow.grid()
    cache = grid.cache("prices")
    gate = engine_of(grid).hold("acquire")
    late = begin(cache.get_or_load, "key", origin.load)
    gate.reached()
    assert [1] == (flow.grid()).cache("prices").get_or_load("key", origin.load_at_once)
    gate.open()
    assert ([1], 1) == (late.result(), origin.calls)


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
