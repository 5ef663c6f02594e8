"""Forks: parent and child go on, each with connections, threads and leases of its own."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cachegrid
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import LockLost
from cachegrid.testing.loopback import LoopbackGrid
from tests.flow._aio.flow import AsyncFlow
from tests.flow._sio.flow import SyncFlow
from tests.flow.backing import Backing
from tests.flow.waits._sio import PATIENCE, SyncGate, begin, until

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here"),
    # Later Pythons warn of forks beside threads; that they work is what is tested here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


@pytest.fixture
def grid(backing: Backing) -> Iterator[SyncGrid]:
    """A connected grid."""
    with SyncFlow(backing) as flow:
        yield flow.grid()


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked child, by way of JSON; it fails here if it fails there."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        # Nothing of the tests' own may run in the child, whatever happens.
        try:
            os.write(write, json.dumps([work()]).encode())
        except BaseException as error:  # noqa: BLE001
            os.write(write, json.dumps(f"{type(error).__name__}: {error}").encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = json.loads(pipe.read())
    assert (child, 0) == os.waitpid(child, 0)
    assert isinstance(told, list), told
    return told[0]


@pytest.mark.grid
def test_writes_that_wait_go_on_in_both() -> None:
    """
    Each on connections of its own, also where many were in use at the fork.
    """
    with LoopbackGrid(owners=1, replicas=1) as members, cachegrid.connect(members.url) as connected:
        cache = connected.cache("orders", durability="replicated")
        cache["parent"] = 1

        def work() -> list[Any]:
            cache["child"] = 2
            return [cache["parent"], cache["child"], cache.incr("count"), cache.delete("parent")]

        assert [1, 2, 1, True] == in_child(work)
        cache["parent"] = 3
        assert [3, 2, 2] == [cache["parent"], cache["child"], cache.incr("count")]


def test_parent_and_child_go_on(grid: SyncGrid, kind: str) -> None:
    """
    With reads, writes, loads, locks and clears; on a real grid each sees what the other writes.
    """
    cache, other = grid.cache("prices"), grid.cache("other")
    cache["key"] = "parent"
    other["key"] = 1

    def work() -> list[Any]:
        seen = [cache["key"], cache.get_or_load("loaded", lambda: 1), cache.incr("count")]
        with grid.lock("job"):
            cache["key"] = "child"
        other.clear()
        grid.settle()
        return [*seen, cache["key"], other.get("key")]

    assert ["parent", 1, 1, "child", None] == in_child(work)
    is_shared = kind == "valkey"
    assert ("child" if is_shared else "parent") == cache["key"]
    assert (None if is_shared else 1) == other.get("key")
    assert (2 if is_shared else 1) == cache.incr("count")
    with grid.lock("job"):
        pass
    assert "parent" == in_child(lambda: cache.update("key", lambda _: "parent"))


@pytest.mark.slow
def test_forks_beside_busy_threads(grid: SyncGrid) -> None:
    """
    Wherever other threads are at the moment of a fork, neither process gets an answer that is not its own.
    """
    cache = grid.cache("prices")
    cache.set_many({number: number for number in range(20)})
    over = threading.Event()

    def work(thread: int) -> int:
        rounds = 0
        while not over.is_set():
            for number in range(20):
                assert number == cache.get(number)
            assert 20 == len(cache.get_many(range(20)))
            assert (thread, rounds) == cache.get_or_load((thread, rounds), lambda: (thread, rounds))  # noqa: B023
            rounds += 1
        return rounds

    threads = [begin(work, thread) for thread in range(3)]
    try:
        for _ in range(8):
            assert list(range(20)) == in_child(lambda: [cache[number] for number in range(20)])
            assert 20 == in_child(lambda: len(cache.get_many(range(20))))
    finally:
        over.set()
    assert all(thread.result() > 0 for thread in threads)


def test_a_fork_while_a_load_is_under_way(grid: SyncGrid) -> None:
    """
    The child does not wait for a thread that it does not have; other keys are loaded there, and the parent's load ends.
    """
    cache, gate = grid.cache("prices", wait="100ms"), SyncGate()

    def load() -> int:
        gate.stand()
        return 1

    loading = begin(cache.get_or_load, "key", load)
    gate.reached()

    def work() -> list[Any]:
        flights = len(grid._hub.flights._flights), len(grid._hub.keeper)
        return [*flights, cache.get_or_load("other", lambda: 2)]

    assert [0, 0, 2] == in_child(work)
    gate.open()
    assert 1 == loading.result()


def test_a_fork_inside_a_load(grid: SyncGrid) -> None:
    """
    A loader whose child asks for the very key waits for nobody.
    """
    cache = grid.cache("prices")
    assert 7 == cache.get_or_load("key", lambda: in_child(lambda: cache.get_or_load("key", lambda: 7)))
    assert 7 == cache["key"]


def test_a_fork_inside_a_lock(grid: SyncGrid) -> None:
    """
    The child does not hold it, and cannot give it back; the parent still holds it.
    """
    with grid.lock("job") as lock:

        def work() -> list[bool]:
            lost = []
            for call in (lock.check, lock.release):
                try:
                    call()
                except LockLost:
                    lost.append(True)
            return lost

        assert [True, True] == in_child(work)
        lock.check()


def test_leases_are_renewed_in_a_child(grid: SyncGrid) -> None:
    """
    Also if the parent was renewing some at the moment of the fork.
    """
    with grid.lock("job", lease="300ms"):

        def work() -> int:
            engine = grid._hub.engine
            with grid.lock("other", lease="300ms") as lock:
                before = engine.calls["renew"]  # type: ignore[attr-defined]
                until(lambda: engine.calls["renew"] >= before + 4)  # type: ignore[attr-defined]
                lock.check()
            return len(grid._hub.keeper)

        assert 0 == in_child(work)


def test_closing_in_a_child_closes_nothing_of_the_parent(grid: SyncGrid) -> None:
    """
    And the other way round.
    """
    cache = grid.cache("prices")
    cache["key"] = 1
    assert None is in_child(grid.close)
    assert 1 == cache["key"]


def test_workers_of_multiprocessing(grid: SyncGrid, kind: str) -> None:
    """
    A pool that forks after `connect` counts together with its parent, on a real grid.
    """
    cache = grid.cache("prices")
    cache.incr("count", 0)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_count, args=(cache, 20)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    assert [0, 0, 0] == [worker.exitcode for worker in workers]
    assert (60 if kind == "valkey" else 0) == cache["count"]


def test_an_async_grid_in_a_forked_child(backing: Backing) -> None:
    """
    The child runs a loop of its own, with the grid that the parent has connected.
    """
    flow = AsyncFlow(backing)
    grid = flow.unopened()
    cache = grid.cache("prices")

    async def use(value: int) -> Any:
        before = await cache.get("key")
        await cache.set("key", value)
        async with grid.lock("job"):
            return [before, await cache.get("key")]

    async def parent() -> list[Any]:
        first = await use(1)
        childs = await asyncio.to_thread(in_child, lambda: asyncio.run(use(2)))
        return [first, childs, await cache.get("key")]

    async def main() -> list[Any]:
        try:
            return await parent()
        finally:
            await grid.aclose()

    assert [[None, 1], [1, 2], 1 if backing.is_memory else 2] == asyncio.run(main())


def test_the_random_of_a_child_is_another(grid: SyncGrid) -> None:
    """
    Two processes never write the same version, though they share their past.
    """
    cache = grid.cache("prices")

    def version() -> str:
        cache["key"] = "text"
        entry = cache.entry("key")
        assert entry is not None
        return entry.version.hex()

    versions = {version(), in_child(version), in_child(version), version()}
    assert 4 == len(versions)


def test_a_child_counts_for_itself(grid: SyncGrid) -> None:
    """
    What the parent counted before is not among it, nor in the parent what the child counted.
    """
    cache = grid.cache("prices")
    double = cache.cached(name="double")(_double)
    assert (None, 2) == (cache.get("key"), double(1))

    def work() -> list[int]:
        begun = cache.stats()
        assert (None, 2, 4) == (cache.get("key"), double(1), double(2))
        return [begun.misses, begun.loads, cache.stats().hits, cache.stats().misses, cache.stats().loads]

    assert [0, 0, 1, 2, 1] == in_child(work)
    assert (0, 2, 1) == (cache.stats().hits, cache.stats().misses, cache.stats().loads)


def _double(number: int) -> int:
    return number * 2


def _count(cache: cachegrid.SyncCache, times: int) -> None:
    for _ in range(times):
        cache.incr("count")


@pytest.mark.parametrize("kind", ["valkey"], indirect=True)
def test_a_child_begins_without_copies_and_hears_for_itself(grid: SyncGrid) -> None:
    """
    What changes is told to parent and child, each on connections of its own.
    """
    cache = grid.cache("near", near=True)

    def is_near() -> bool:
        hits = cache.stats().near_hits
        cache.get("key")
        return cache.stats().near_hits > hits

    cache["key"] = "parent"
    until(is_near)

    def work() -> list[Any]:
        hits = cache.stats().near_hits
        seen = [cache["key"], cache.stats().near_hits - hits]
        until(is_near)
        cache["key"] = "child"
        return [*seen, cache["key"]]

    ears = [thread for thread in threading.enumerate() if "cachegrid ear" in thread.name]
    assert ["parent", 0, "child"] == in_child(work)
    until(lambda: "child" == cache["key"])
    assert ears == [thread for thread in threading.enumerate() if "cachegrid ear" in thread.name]
    grid.close()
    assert not [thread for thread in threading.enumerate() if "cachegrid ear" in thread.name]


@pytest.mark.parametrize("kind", ["valkey"], indirect=True)
def test_tags_that_one_of_both_invalidates_are_told_to_both(grid: SyncGrid) -> None:
    """
    The child begins with no copies, and asks for itself which tags were raised.
    """
    cache = grid.cache("tagged", near=True)
    cache.set("child's", "value", tags="a")
    cache.set("parent's", "value", tags="b")

    def is_near() -> bool:
        hits = cache.stats().near_hits
        cache.get_many(["child's", "parent's"])
        return cache.stats().near_hits == hits + 2

    until(is_near)

    def work() -> list[Any]:
        hits = cache.stats().near_hits
        seen = [cache.get("child's"), cache.stats().near_hits - hits]
        until(is_near)
        cache.invalidate("a")
        return [*seen, cache.get("child's"), cache.get("parent's")]

    assert ["value", 0, None, "value"] == in_child(work)
    until(lambda: cache.get("child's") is None)
    cache.invalidate("b")
    assert [None, None] == in_child(lambda: [cache.get("child's"), cache.get("parent's")])


def test_a_child_sees_its_own_writes_past_the_copies_of_its_parent(grid: SyncGrid, kind: str) -> None:
    """
    Of entries and of results, on every engine; and the parent goes on with its copies.
    """
    cache = grid.cache("near", near=True)

    @cache.cached
    def double(number: int) -> list[int]:
        return [os.getpid(), 2 * number]

    def is_near() -> bool:
        hits = cache.stats().near_hits
        cache.get_many(["key", "other"])
        double(4)
        return cache.stats().near_hits == hits + 3

    cache.set_many({"key": "parent", "other": "parent"})
    until(is_near)

    def work() -> list[Any]:
        cache["key"] = "child"
        cache.delete("other")
        double.invalidate(4)
        return [cache["key"], cache.get("other"), double(4) == [os.getpid(), 8]]

    assert ["child", None, True] == in_child(work)
    is_shared = kind == "valkey"
    until(lambda: ("child" if is_shared else "parent") == cache["key"])
    until(lambda: (None if is_shared else "parent") == cache.get("other"))


def test_a_child_clears_what_its_parent_keeps_near(grid: SyncGrid) -> None:
    """
    Copies that it makes itself are out of reach then, too.
    """
    cache = grid.cache("near", near=True)

    def is_near() -> bool:
        hits = cache.stats().near_hits
        cache.get("key")
        return cache.stats().near_hits > hits

    cache["key"] = "parent"
    until(is_near)

    def work() -> list[Any]:
        until(is_near)
        cache.clear()
        return [cache.get("key")]

    assert [None] == in_child(work)
