# Generated from tests/flow/_aio/test_loads_in_trouble.py by tools/colour.py. Edit that file, then run `make colour`.
"""Loads whose grid is full, away or slow: whoever waits gets what was loaded, or is told."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import (
    AccessDenied,
    EngineError,
    EngineTimeout,
    GridFull,
    OutcomeUnknown,
    ServerRefused,
    Unreachable,
    WritesRefused,
)
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow._sio.origin import LACKING, STORES, SyncOrigin
from tests.flow._sio.queueing import queue_of
from tests.flow.waits._sio import begin, until


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
    landed = queue_of(grid)
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
