# Generated from tests/flow/_aio/test_clear.py by tools/colour.py. Edit that file, then run `make colour`.
"""`clear`: everything dies at once, for everybody, and whatever raced it is on one side or the other."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid._sio.hub import CLOSED
from cachegrid.errors import EngineTimeout
from cachegrid.waits import _sio as waits
from cachegrid.waits._sio import SyncTasks, sleep
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow.waits._sio import SyncGate, begin, listed, together, until


def test_nothing_is_left(grid: SyncGrid) -> None:
    """
    Entries, counters, and the results of functions are gone, to every way of reading.
    """
    cache = grid.cache("prices")
    calls: list[int] = []

    @cache.cached
    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    cache.set("key", 1)
    cache.incr("count", 5)
    assert 4 == double(2)
    cache.clear()
    assert {} == cache.get_many(["key", "count"])
    assert None is cache.entry("key")
    assert [] == listed(cache.keys())
    assert not cache.delete("key")
    assert 1 == cache.incr("count")
    assert 4 == double(2)
    assert [2, 2] == calls


def test_other_caches_stay(flow: SyncFlow) -> None:
    """
    Caches whose names begin alike, functions of other caches, and other namespaces keep their entries.
    """
    grid = flow.grid()
    other = flow.grid(namespace=flow.backing.namespace + ".x")
    kept = [grid.cache("ab"), grid.cache("a.b"), other.cache("a")]
    for cache in kept:
        cache.set("key", 1)
    cleared = grid.cache("a")
    cleared.set("key", 1)
    cleared.clear()
    grid.settle()
    assert [None, 1, 1, 1] == [cache.get("key") for cache in (cleared, *kept)]


def test_everybody_sees_it_at_once(flow: SyncFlow) -> None:
    """
    When `clear` has returned, no other process reads an entry from before, or loses one from after.
    """
    ours = (flow.grid()).cache("prices")
    others = [(flow.grid()).cache("prices") for _ in range(3)]
    for round_ in range(10):
        ours.set_many(dict.fromkeys(range(20), round_))
        assert [20] * 3 == [len(other.get_many(range(20))) for other in others]
        ours.clear()
        assert [0] * 3 == [len(other.get_many(range(20))) for other in others]
        assert [None] * 3 == [other.get(round_) for other in others]
        others[0].set("key", round_)
        assert [round_] * 3 == [cache.get("key") for cache in (ours, *others[1:])]


def test_what_was_cleared_is_listed_by_nobody(flow: SyncFlow) -> None:
    """
    Nor is left out what has come since, where a clear elsewhere comes between the epoch that is known and the answers.
    """
    ours, grid = (flow.grid()).cache("prices"), flow.grid()
    other = grid.cache("prices")
    for round_ in range(3):
        ours.set_many(dict.fromkeys(range(round_, round_ + 20), round_))
        assert set(range(round_, round_ + 20)) == set(listed(other.keys()))
        walk = engine_of(grid).hold("walk")
        listing = begin(listed, other.items())
        walk.reached()
        ours.clear()
        ours.set("new", round_)
        walk.open()
        assert [("new", round_)] == listing.result()
        ours.clear()


def test_its_cost_does_not_depend_on_how_much_there_is(grid: SyncGrid) -> None:
    """
    No entry is listed or dropped before it returns; memory is freed behind.
    """
    cache = grid.cache("prices")
    cache.set_many(dict.fromkeys(range(2500), "x"))
    engine = engine_of(grid)
    sweep = engine.hold("walk")
    engine.calls.clear()
    cache.clear()
    assert {"raise_epoch", "epoch"} >= set(engine.calls) - {"walk"}
    sweep.open()
    grid.settle()
    parent = cache._space.parents[-1]
    assert [] == listed(engine.walk(parent))


def test_sweeping_frees_what_several_clears_left(grid: SyncGrid) -> None:
    """
    A clear while the sweep is under way is swept as well; live entries stay.
    """
    cache = grid.cache("prices")
    engine = engine_of(grid)
    cache.set_many(dict.fromkeys(range(10), "x"))
    sweep = engine.hold("drop_many")
    cache.clear()
    sweep.reached()
    cache.set_many(dict.fromkeys(range(10), "y"))
    cache.clear()
    cache.set("key", "z")
    sweep.open()
    grid.settle()
    assert [[cache._space.address("key")]] == listed(engine.walk(cache._space.parents[-1]))


def test_a_sweep_rests_as_long_as_it_works(grid: SyncGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The application has an interpreter in common with it.
    """
    cache, rests = grid.cache("prices"), list[float]()

    def noted(seconds: float) -> bool:
        rests.append(seconds)
        return True

    monkeypatch.setattr(grid._hub.tasks, "rest", noted)
    cache.set_many(dict.fromkeys(range(10), "x"))
    sweep = engine_of(grid).hold("drop_many")
    cache.clear()
    sweep.reached()
    sleep(0.02)
    sweep.open()
    grid.settle()
    assert rests[0] >= 0.02


@pytest.mark.parametrize("begins", ["before", "after"])
def test_who_waits_for_work_lets_it_rest_no_longer(begins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whether the rest has begun or not.
    """
    monkeypatch.setattr(waits, "LONGEST_REST", 1000.0)
    tasks, gate = SyncTasks(), SyncGate()

    def work() -> None:
        if begins == "before":
            gate.stand()
        assert tasks.rest(1000)

    def is_awaited() -> bool:
        return bool(tasks._awaited)

    tasks.spawn(work)
    if begins == "before":
        gate.reached()
    settling = begin(tasks.settle)
    until(is_awaited)
    gate.open()
    settling.result()
    tasks.close()


def test_a_sweep_that_fails_is_made_up_for(grid: SyncGrid) -> None:
    """
    An outage ends it quietly; the next clear frees what was left.
    """
    cache = grid.cache("prices")
    engine = engine_of(grid)
    cache.set_many(dict.fromkeys(range(10), "x"))
    engine.fail("drop_many", EngineTimeout("away"))
    cache.clear()
    grid.settle()
    assert [] != listed(engine.walk(cache._space.parents[-1]))
    cache.clear()
    grid.settle()
    assert [] == listed(engine.walk(cache._space.parents[-1]))


def test_closing_frees_what_was_cleared(flow: SyncFlow) -> None:
    """
    A short program that clears and ends leaves no memory taken.
    """
    grid, other = flow.grid(), flow.grid()
    cache = grid.cache("prices")
    cache.set_many(dict.fromkeys(range(2500), "x"))
    sweep = engine_of(grid).hold("walk")
    cache.clear()
    sweep.reached()
    closing = begin(grid.close)
    until(_given_up(cache))
    sweep.open()
    closing.result()
    assert [] == listed(engine_of(other).walk(cache._space.parents[-1]))


def test_clearing_twice_at_once(flow: SyncFlow) -> None:
    """
    From several processes, also; what is set afterwards stays.
    """
    caches = [(flow.grid()).cache("prices") for _ in range(4)]
    for round_ in range(5):
        together(*[cache.clear for cache in caches])
        caches[0].set("key", round_)
        assert [round_] * 4 == [cache.get("key") for cache in caches]


def test_a_set_that_raced_a_clear_is_not_lost(flow: SyncFlow) -> None:
    """
    It is stored after the clear, and so its entry is there, to all.
    """
    grid, other_grid = flow.grid(), flow.grid()
    cache, other = grid.cache("prices"), other_grid.cache("prices")
    writes: dict[str, Any] = {
        "store": lambda: cache.set("store", "new"),
        "store_many": lambda: cache.set_many({"store_many": "new"}),
        "store_if_absent": lambda: cache.add("store_if_absent", "new"),
        "add": lambda: cache.incr("add", 5),
    }
    for method, write in writes.items():
        other.set("old", "old")
        cache.get("old")
        gate = engine_of(grid).hold(method)
        writer = begin(write)
        gate.reached()
        other.clear()
        other_grid.settle()
        gate.open()
        value = {None: "new", True: "new"}.get(writer.result(), 5)
        assert (value, value, None) == (cache.get(method), other.get(method), cache.get("old"))
        # And nowhere else: a copy that nobody reads would take memory until the next clear.
        pages = listed(engine_of(grid).walk(cache._space.parents[-1]))
        assert {cache._space.address(method)} == {address for page in pages for address in page}


def test_an_increment_that_raced_a_clear_counts_once(flow: SyncFlow) -> None:
    """
    The sum is of the new life of the counter, which begins with it.
    """
    grid, other = flow.grid(), (flow.grid()).cache("prices")
    cache = grid.cache("prices")
    assert 10 == cache.incr("key", 10)
    gate = engine_of(grid).hold("add")
    counting = begin(cache.incr, "key")
    gate.reached()
    other.clear()
    gate.open()
    assert 1 == counting.result()
    assert (1, 1) == (cache.get("key"), other.get("key"))


def test_a_write_whose_answer_raced_a_clear_is_on_one_side_of_it(flow: SyncFlow) -> None:
    """
    Stored before the clear, it died with the rest, or was done again after it: to everybody the same.
    """
    grid, other = flow.grid(), (flow.grid()).cache("prices")
    cache = grid.cache("prices")
    assert 10 == cache.incr("count", 10)
    for method, write in {"store": lambda: cache.set("key", "new"), "add": lambda: cache.incr("count")}.items():
        gate = engine_of(grid).hold(method, answered=True)
        writer = begin(write)
        gate.reached()
        other.clear()
        gate.open()
        result = writer.result()
        found = other.get_many(["key", "count"])
        assert found == cache.get_many(["key", "count"])
        assert (result, found) in [(None, {}), (None, {"key": "new"}), (1, {}), (1, {"count": 1})]
        assert found or not flow.backing.is_memory


def test_a_read_that_raced_a_clear_does_not_answer_from_before(flow: SyncFlow) -> None:
    """
    Who sees that the cache was cleared while reading reads again.
    """
    grid, other = flow.grid(), (flow.grid()).cache("prices")
    cache = grid.cache("prices")
    cache.set("key", "old")
    gate = engine_of(grid).hold("fetch", answered=True)
    reader = begin(cache.get, "key")
    gate.reached()
    other.clear()
    other.set("key", "new")
    # On a real grid the reader may not have heard of it: both are answers of a time while it was reading.
    gate.open()
    assert reader.result() in ({"new"} if flow.backing.is_memory else {"old", "new"})
    assert "new" == cache.get("key")


def test_a_load_that_was_under_way_does_not_come_back(flow: SyncFlow) -> None:
    """
    What was loaded from before the clear is nowhere afterwards, and takes no memory; its caller still gets it.
    """
    grid, other_grid = flow.grid(), flow.grid()
    cache, other = grid.cache("prices"), other_grid.cache("prices")
    gate = flow.gate()

    def load() -> str:
        gate.stand()
        return "old"

    loading = begin(cache.get_or_load, "key", load)
    gate.reached()
    other.clear()
    other_grid.settle()
    gate.open()
    assert "old" == loading.result()
    assert (None, None) == (cache.get("key"), other.get("key"))
    assert [] == listed(engine_of(grid).walk(cache._space.parents[-1]))


def test_who_asks_after_a_clear_waits_for_no_load_from_before(flow: SyncFlow) -> None:
    """
    A load that began earlier may have read what the clear was meant to drop.
    """
    grid, other = flow.grid(), (flow.grid()).cache("prices")
    cache = grid.cache("prices")
    gate = flow.gate()

    def load_old() -> str:
        gate.stand()
        return "old"

    def load_new() -> str:
        return "new"

    loading = begin(cache.get_or_load, "key", load_old)
    gate.reached()
    other.clear()
    assert "new" == cache.get_or_load("key", load_new)
    gate.open()
    assert "old" == loading.result()
    assert ("new", "new") == (cache.get("key"), other.get("key"))


def test_who_asks_late_for_an_epoch_does_not_raise_it(flow: SyncFlow) -> None:
    """
    An answer that is older than what others have learned meanwhile is no sign of a lost one: nothing is cleared.
    """
    grid, other = flow.grid(), (flow.grid()).cache("prices")
    cache = grid.cache("prices")
    cache.set("key", "old")
    other.clear()
    gate = engine_of(grid).hold("epoch", answered=True)
    late = begin(cache.get, "key")
    gate.reached()
    other.clear()
    cache.set("key", "new")
    gate.open()
    assert "new" == late.result()
    assert ("new", "new") == (cache.get("key"), other.get("key"))
    assert 0 == engine_of(grid).calls["raise_epoch"]


def test_a_lost_epoch_is_raised_again(flow: SyncFlow) -> None:
    """
    When the grid tells an older epoch than was known, entries from before that one stay dead.
    """
    grid = flow.grid()
    cache = grid.cache("prices")
    cache.set("key", "dead")
    dead, before = cache._space.address("key"), cache._space
    cache.clear()
    grid.settle()
    engine = engine_of(grid)
    engine.engine.store(dead, b"5", None)
    later = cache._space
    # As after a failover in which the raise was lost: the owner tells the epoch of before.
    engine.pretend("epoch", before.epochs[-1])
    later.doubt -= 1
    assert None is cache.get("key")
    assert cache._space.epochs > later.epochs > before.epochs


def test_functions_die_with_their_cache_only(grid: SyncGrid) -> None:
    """
    `invalidate_all` of a function leaves the cache's other entries, and other functions', alone.
    """
    cache = grid.cache("prices")
    calls: list[str] = []

    @cache.cached
    def one() -> None:
        calls.append("one")

    @cache.cached
    def two() -> None:
        calls.append("two")

    cache.set("key", 1)
    for _ in range(2):
        one()
        two()
        one.invalidate_all()
    assert (["one", "two", "one"], 1) == (calls, cache.get("key"))
    assert ["key"] == listed(cache.keys())
    cache.clear()
    two()
    assert ["one", "two", "one", "two"] == calls


def test_locks_outlive_it(cache: SyncCache) -> None:
    """
    A lock is no entry: whoever holds it still does.
    """
    with cache.lock("key") as lock:
        cache.clear()
        lock.check()


def _given_up(cache: SyncCache) -> Any:
    def given_up() -> bool:
        return cache._engine is CLOSED

    return given_up
