"""`clear`: everything dies at once, for everybody, and whatever raced it is on one side or the other."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from cachegrid._aio.hub import CLOSED
from cachegrid.errors import EngineTimeout
from cachegrid.waits import _aio as waits
from cachegrid.waits._aio import AsyncTasks, sleep
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow.waits._aio import AsyncGate, begin, listed, together, until


async def test_nothing_is_left(grid: AsyncGrid) -> None:
    """
    Entries, counters, and the results of functions are gone, to every way of reading.
    """
    cache = grid.cache("prices")
    calls: list[int] = []

    @cache.cached
    async def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    await cache.set("key", 1)
    await cache.incr("count", 5)
    assert 4 == await double(2)
    await cache.clear()
    assert {} == await cache.get_many(["key", "count"])
    assert None is await cache.entry("key")
    assert [] == await listed(cache.keys())
    assert not await cache.delete("key")
    assert 1 == await cache.incr("count")
    assert 4 == await double(2)
    assert [2, 2] == calls


async def test_other_caches_stay(flow: AsyncFlow) -> None:
    """
    Caches whose names begin alike, functions of other caches, and other namespaces keep their entries.
    """
    grid = await flow.grid()
    other = await flow.grid(namespace=flow.backing.namespace + ".x")
    kept = [grid.cache("ab"), grid.cache("a.b"), other.cache("a")]
    for cache in kept:
        await cache.set("key", 1)
    cleared = grid.cache("a")
    await cleared.set("key", 1)
    await cleared.clear()
    await grid.settle()
    assert [None, 1, 1, 1] == [await cache.get("key") for cache in (cleared, *kept)]


async def test_everybody_sees_it_at_once(flow: AsyncFlow) -> None:
    """
    When `clear` has returned, no other process reads an entry from before, or loses one from after.
    """
    ours = (await flow.grid()).cache("prices")
    others = [(await flow.grid()).cache("prices") for _ in range(3)]
    for round_ in range(10):
        await ours.set_many(dict.fromkeys(range(20), round_))
        assert [20] * 3 == [len(await other.get_many(range(20))) for other in others]
        await ours.clear()
        assert [0] * 3 == [len(await other.get_many(range(20))) for other in others]
        assert [None] * 3 == [await other.get(round_) for other in others]
        await others[0].set("key", round_)
        assert [round_] * 3 == [await cache.get("key") for cache in (ours, *others[1:])]


async def test_what_was_cleared_is_listed_by_nobody(flow: AsyncFlow) -> None:
    """
    Nor is left out what has come since, where a clear elsewhere comes between the epoch that is known and the answers.
    """
    ours, grid = (await flow.grid()).cache("prices"), await flow.grid()
    other = grid.cache("prices")
    for round_ in range(3):
        await ours.set_many(dict.fromkeys(range(round_, round_ + 20), round_))
        assert set(range(round_, round_ + 20)) == set(await listed(other.keys()))
        walk = engine_of(grid).hold("walk")
        listing = begin(listed, other.items())
        await walk.reached()
        await ours.clear()
        await ours.set("new", round_)
        walk.open()
        assert [("new", round_)] == await listing.result()
        await ours.clear()


async def test_its_cost_does_not_depend_on_how_much_there_is(grid: AsyncGrid) -> None:
    """
    No entry is listed or dropped before it returns; memory is freed behind.
    """
    cache = grid.cache("prices")
    await cache.set_many(dict.fromkeys(range(2500), "x"))
    engine = engine_of(grid)
    sweep = engine.hold("walk")
    engine.calls.clear()
    await cache.clear()
    assert {"raise_epoch", "epoch"} >= set(engine.calls) - {"walk"}
    sweep.open()
    await grid.settle()
    parent = cache._space.parents[-1]
    assert [] == await listed(engine.walk(parent))


async def test_sweeping_frees_what_several_clears_left(grid: AsyncGrid) -> None:
    """
    A clear while the sweep is under way is swept as well; live entries stay.
    """
    cache = grid.cache("prices")
    engine = engine_of(grid)
    await cache.set_many(dict.fromkeys(range(10), "x"))
    sweep = engine.hold("drop_many")
    await cache.clear()
    await sweep.reached()
    await cache.set_many(dict.fromkeys(range(10), "y"))
    await cache.clear()
    await cache.set("key", "z")
    sweep.open()
    await grid.settle()
    assert [[cache._space.address("key")]] == await listed(engine.walk(cache._space.parents[-1]))


async def test_a_sweep_rests_as_long_as_it_works(grid: AsyncGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The application has an interpreter in common with it.
    """
    cache, rests = grid.cache("prices"), list[float]()

    async def noted(seconds: float) -> bool:
        rests.append(seconds)
        return True

    monkeypatch.setattr(grid._hub.tasks, "rest", noted)
    await cache.set_many(dict.fromkeys(range(10), "x"))
    sweep = engine_of(grid).hold("drop_many")
    await cache.clear()
    await sweep.reached()
    await sleep(0.02)
    sweep.open()
    await grid.settle()
    assert rests[0] >= 0.02


@pytest.mark.parametrize("begins", ["before", "after"])
async def test_who_waits_for_work_lets_it_rest_no_longer(begins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whether the rest has begun or not.
    """
    monkeypatch.setattr(waits, "LONGEST_REST", 1000.0)
    tasks, gate = AsyncTasks(), AsyncGate()

    async def work() -> None:
        if begins == "before":
            await gate.stand()
        assert await tasks.rest(1000)

    async def is_awaited() -> bool:
        return bool(tasks._awaited)

    tasks.spawn(work)
    if begins == "before":
        await gate.reached()
    settling = begin(tasks.settle)
    await until(is_awaited)
    gate.open()
    await settling.result()
    await tasks.aclose()


async def test_a_sweep_that_fails_is_made_up_for(grid: AsyncGrid) -> None:
    """
    An outage ends it quietly; the next clear frees what was left.
    """
    cache = grid.cache("prices")
    engine = engine_of(grid)
    await cache.set_many(dict.fromkeys(range(10), "x"))
    engine.fail("drop_many", EngineTimeout("away"))
    await cache.clear()
    await grid.settle()
    assert [] != await listed(engine.walk(cache._space.parents[-1]))
    await cache.clear()
    await grid.settle()
    assert [] == await listed(engine.walk(cache._space.parents[-1]))


async def test_closing_frees_what_was_cleared(flow: AsyncFlow) -> None:
    """
    A short program that clears and ends leaves no memory taken.
    """
    grid, other = await flow.grid(), await flow.grid()
    cache = grid.cache("prices")
    await cache.set_many(dict.fromkeys(range(2500), "x"))
    sweep = engine_of(grid).hold("walk")
    await cache.clear()
    await sweep.reached()
    closing = begin(grid.aclose)
    await until(_given_up(cache))
    sweep.open()
    await closing.result()
    assert [] == await listed(engine_of(other).walk(cache._space.parents[-1]))


async def test_clearing_twice_at_once(flow: AsyncFlow) -> None:
    """
    From several processes, also; what is set afterwards stays.
    """
    caches = [(await flow.grid()).cache("prices") for _ in range(4)]
    for round_ in range(5):
        await together(*[cache.clear for cache in caches])
        await caches[0].set("key", round_)
        assert [round_] * 4 == [await cache.get("key") for cache in caches]


async def test_a_set_that_raced_a_clear_is_not_lost(flow: AsyncFlow) -> None:
    """
    It is stored after the clear, and so its entry is there, to all.
    """
    grid, other_grid = await flow.grid(), await flow.grid()
    cache, other = grid.cache("prices"), other_grid.cache("prices")
    writes: dict[str, Any] = {
        "store": lambda: cache.set("store", "new"),
        "store_many": lambda: cache.set_many({"store_many": "new"}),
        "store_if_absent": lambda: cache.add("store_if_absent", "new"),
        "add": lambda: cache.incr("add", 5),
    }
    for method, write in writes.items():
        await other.set("old", "old")
        await cache.get("old")
        gate = engine_of(grid).hold(method)
        writer = begin(write)
        await gate.reached()
        await other.clear()
        await other_grid.settle()
        gate.open()
        value = {None: "new", True: "new"}.get(await writer.result(), 5)
        assert (value, value, None) == (await cache.get(method), await other.get(method), await cache.get("old"))
        # And nowhere else: a copy that nobody reads would take memory until the next clear.
        pages = await listed(engine_of(grid).walk(cache._space.parents[-1]))
        assert {cache._space.address(method)} == {address for page in pages for address in page}


async def test_an_increment_that_raced_a_clear_counts_once(flow: AsyncFlow) -> None:
    """
    The sum is of the new life of the counter, which begins with it.
    """
    grid, other = await flow.grid(), (await flow.grid()).cache("prices")
    cache = grid.cache("prices")
    assert 10 == await cache.incr("key", 10)
    gate = engine_of(grid).hold("add")
    counting = begin(cache.incr, "key")
    await gate.reached()
    await other.clear()
    gate.open()
    assert 1 == await counting.result()
    assert (1, 1) == (await cache.get("key"), await other.get("key"))


async def test_a_write_whose_answer_raced_a_clear_is_on_one_side_of_it(flow: AsyncFlow) -> None:
    """
    Stored before the clear, it died with the rest, or was done again after it: to everybody the same.
    """
    grid, other = await flow.grid(), (await flow.grid()).cache("prices")
    cache = grid.cache("prices")
    assert 10 == await cache.incr("count", 10)
    for method, write in {"store": lambda: cache.set("key", "new"), "add": lambda: cache.incr("count")}.items():
        gate = engine_of(grid).hold(method, answered=True)
        writer = begin(write)
        await gate.reached()
        await other.clear()
        gate.open()
        result = await writer.result()
        found = await other.get_many(["key", "count"])
        assert found == await cache.get_many(["key", "count"])
        assert (result, found) in [(None, {}), (None, {"key": "new"}), (1, {}), (1, {"count": 1})]
        assert found or not flow.backing.is_memory


async def test_a_read_that_raced_a_clear_does_not_answer_from_before(flow: AsyncFlow) -> None:
    """
    Who sees that the cache was cleared while reading reads again.
    """
    grid, other = await flow.grid(), (await flow.grid()).cache("prices")
    cache = grid.cache("prices")
    await cache.set("key", "old")
    gate = engine_of(grid).hold("fetch", answered=True)
    reader = begin(cache.get, "key")
    await gate.reached()
    await other.clear()
    await other.set("key", "new")
    # On a real grid the reader may not have heard of it: both are answers of a time while it was reading.
    gate.open()
    assert await reader.result() in ({"new"} if flow.backing.is_memory else {"old", "new"})
    assert "new" == await cache.get("key")


async def test_a_load_that_was_under_way_does_not_come_back(flow: AsyncFlow) -> None:
    """
    What was loaded from before the clear is nowhere afterwards, and takes no memory; its caller still gets it.
    """
    grid, other_grid = await flow.grid(), await flow.grid()
    cache, other = grid.cache("prices"), other_grid.cache("prices")
    gate = flow.gate()

    async def load() -> str:
        await gate.stand()
        return "old"

    loading = begin(cache.get_or_load, "key", load)
    await gate.reached()
    await other.clear()
    await other_grid.settle()
    gate.open()
    assert "old" == await loading.result()
    assert (None, None) == (await cache.get("key"), await other.get("key"))
    assert [] == await listed(engine_of(grid).walk(cache._space.parents[-1]))


async def test_who_asks_after_a_clear_waits_for_no_load_from_before(flow: AsyncFlow) -> None:
    """
    A load that began earlier may have read what the clear was meant to drop.
    """
    grid, other = await flow.grid(), (await flow.grid()).cache("prices")
    cache = grid.cache("prices")
    gate = flow.gate()

    async def load_old() -> str:
        await gate.stand()
        return "old"

    async def load_new() -> str:
        return "new"

    loading = begin(cache.get_or_load, "key", load_old)
    await gate.reached()
    await other.clear()
    assert "new" == await cache.get_or_load("key", load_new)
    gate.open()
    assert "old" == await loading.result()
    assert ("new", "new") == (await cache.get("key"), await other.get("key"))


async def test_who_asks_late_for_an_epoch_does_not_raise_it(flow: AsyncFlow) -> None:
    """
    An answer that is older than what others have learned meanwhile is no sign of a lost one: nothing is cleared.
    """
    grid, other = await flow.grid(), (await flow.grid()).cache("prices")
    cache = grid.cache("prices")
    await cache.set("key", "old")
    await other.clear()
    gate = engine_of(grid).hold("epoch", answered=True)
    late = begin(cache.get, "key")
    await gate.reached()
    await other.clear()
    await cache.set("key", "new")
    gate.open()
    assert "new" == await late.result()
    assert ("new", "new") == (await cache.get("key"), await other.get("key"))
    assert 0 == engine_of(grid).calls["raise_epoch"]


async def test_a_lost_epoch_is_raised_again(flow: AsyncFlow) -> None:
    """
    When the grid tells an older epoch than was known, entries from before that one stay dead.
    """
    grid = await flow.grid()
    cache = grid.cache("prices")
    await cache.set("key", "dead")
    dead, before = cache._space.address("key"), cache._space
    await cache.clear()
    await grid.settle()
    engine = engine_of(grid)
    await engine.engine.store(dead, b"5", None)
    later = cache._space
    # As after a failover in which the raise was lost: the owner tells the epoch of before.
    engine.pretend("epoch", before.epochs[-1])
    later.doubt -= 1
    assert None is await cache.get("key")
    assert cache._space.epochs > later.epochs > before.epochs


async def test_functions_die_with_their_cache_only(grid: AsyncGrid) -> None:
    """
    `invalidate_all` of a function leaves the cache's other entries, and other functions', alone.
    """
    cache = grid.cache("prices")
    calls: list[str] = []

    @cache.cached
    async def one() -> None:
        calls.append("one")

    @cache.cached
    async def two() -> None:
        calls.append("two")

    await cache.set("key", 1)
    for _ in range(2):
        await one()
        await two()
        await one.invalidate_all()
    assert (["one", "two", "one"], 1) == (calls, await cache.get("key"))
    assert ["key"] == await listed(cache.keys())
    await cache.clear()
    await two()
    assert ["one", "two", "one", "two"] == calls


async def test_locks_outlive_it(cache: AsyncCache) -> None:
    """
    A lock is no entry: whoever holds it still does.
    """
    async with cache.lock("key") as lock:
        await cache.clear()
        await lock.check()


def _given_up(cache: AsyncCache) -> Any:
    async def given_up() -> bool:
        return cache._engine is CLOSED

    return given_up
