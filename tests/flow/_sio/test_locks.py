# Generated from tests/flow/_aio/test_locks.py by tools/colour.py. Edit that file, then run `make colour`.
"""Locks: one holder at a time, numbers that only grow, and an error for whoever lost one."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid._sio.lock import SyncGridLock
from cachegrid.errors import ConfigError, EngineError, EngineTimeout, LockHeld, LockLost, LockTimeout
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow.waits._sio import begin, together, until


def test_one_holder_at_a_time(flow: SyncFlow) -> None:
    """
    Of many who want it at once, in several processes, each has it alone, and a larger number than the one before.
    """
    grids = [flow.grid() for _ in range(3)]
    inside: list[int] = []
    fences: list[int] = []

    def work(number: int) -> None:
        with grids[number % 3].lock("job") as lock:
            inside.append(number)
            assert [number] == inside
            fences.append(lock.fence)
            lock.check()
            inside.remove(number)

    together(*[_working(work, number) for number in range(12)])
    assert 12 == len(set(fences))
    assert sorted(fences) == fences


def test_a_lock_is_waited_for(flow: SyncFlow) -> None:
    """
    Whoever waits has it soon after it was given back.
    """
    first, second = [(flow.grid()).lock("job", wait=5) for _ in range(2)]
    fence = first.acquire()
    waiting = begin(second.acquire)
    engine = engine_of(flow.grids[1])

    def has_asked_twice() -> bool:
        return engine.calls["acquire"] >= 2

    until(has_asked_twice)
    assert not waiting.is_done
    first.release()
    assert fence < waiting.result()
    second.release()


def test_who_waits_for_too_long_is_told(flow: SyncFlow) -> None:
    """
    The error names the lock and the time.
    """
    with (flow.grid()).lock(("job", 7)):
        late = (flow.grid()).lock(("job", 7), wait="30ms")
        with pytest.raises(LockTimeout, match=r"^the lock \('job', 7\) was held by another for more than 0.03 s$"):
            late.acquire()


def test_a_lock_may_be_tried(flow: SyncFlow) -> None:
    """
    With no time to wait it is asked for once.
    """
    grid, other = flow.grid(), flow.grid()
    with grid.lock("job", wait=0):
        engine = engine_of(other)
        engine.calls.clear()
        with pytest.raises(LockTimeout):
            other.lock("job", wait=0).acquire()
        assert 1 == engine.calls["acquire"]
    with other.lock("job", wait=0):
        pass


def test_whether_anybody_holds_it_can_be_asked(flow: SyncFlow) -> None:
    """
    In any process, through any object, of a cache's locks as well; not even the one who has lost it holds it.
    """
    grid, other = flow.grid(), flow.grid()
    for make in (grid.lock, grid.cache("locks").lock):
        lock = make("job")
        asked = (other if make == grid.lock else other.cache("locks")).lock("job")
        assert [False, False] == [lock.locked(), asked.locked()]
        with lock:
            assert [True, True] == [lock.locked(), asked.locked()]
            assert not other.lock("another").locked()
        assert [False, False] == [lock.locked(), asked.locked()]
        lock.acquire()
        lose(grid, lock)
        assert [False, False] == [lock.locked(), asked.locked()]
        with pytest.raises(LockLost):
            lock.release()
    assert {"acquire": 4, "is_held": 8} == {name: engine_of(grid).calls[name] for name in ("acquire", "is_held")}


def test_a_lock_may_be_taken_again(grid: SyncGrid) -> None:
    """
    One object, again and again; with a larger number each time.
    """
    lock = grid.lock("job")
    fences = []
    for _ in range(3):
        with lock as held:
            assert lock is held
            fences.append(lock.fence)
    assert sorted(set(fences)) == fences


def test_an_object_that_holds_it_does_not_wait_for_itself(grid: SyncGrid) -> None:
    """
    That could last until the end of time.
    """
    lock = grid.lock("job")
    lock.acquire()
    with pytest.raises(LockHeld, match="holds the lock 'job' already, .* release it first, or call lock.. again"):
        lock.acquire()
    lock.release()


def test_releasing_what_was_not_acquired_is_an_error(grid: SyncGrid) -> None:
    """
    Which says so, and not that somebody else may have had it meanwhile.
    """
    for call in ((lock := grid.lock("job")).release, lock.check):
        with pytest.raises(LockLost, match="^the lock 'job' is not held by this object: it was not acquired"):
            call()


def test_releasing_twice_is_an_error(grid: SyncGrid) -> None:
    """
    The second time there is nothing to give back.
    """
    lock = grid.lock("job")
    lock.acquire()
    lock.release()
    for call in (lock.release, lock.check):
        with pytest.raises(LockLost, match="the lock 'job' is not held by this object: .* or was released before"):
            call()


def test_a_lost_lock_is_told(flow: SyncFlow) -> None:
    """
    When it is checked and when it is given back; the next holder keeps it.
    """
    grid, other = flow.grid(), (flow.grid()).lock("job")
    lock = grid.lock("job")
    lock.acquire()
    lose(grid, lock)
    fence = other.acquire()
    assert fence > lock.fence
    for call in (lock.check, lock.release):
        with pytest.raises(LockLost):
            call()
    other.check()
    other.release()


def test_losing_a_lock_does_not_end_the_renewal_of_its_next_holder(grid: SyncGrid) -> None:
    """
    Also if that is in the same process, and holds it by the same name.
    """
    lost, held = grid.lock("job"), grid.lock("job")
    lost.acquire()
    lose(grid, lost)
    held.acquire()
    with pytest.raises(LockLost):
        lost.release()
    assert [held._token] == list(grid._hub.keeper._held)
    held.release()


def test_a_lost_lock_is_no_longer_renewed(grid: SyncGrid) -> None:
    """
    The background work stops when the owner says so, and the holder learns of it.
    """
    lock = grid.lock("job", lease="60ms")
    lock.acquire()
    lose(grid, lock)

    def is_given_up() -> bool:
        return not grid._hub.keeper._held

    until(is_given_up)
    with pytest.raises(LockLost):
        lock.release()


@pytest.mark.slow
@pytest.mark.parametrize("outage", [False, True], ids=["", "with an outage in between"])
def test_a_lock_may_be_held_for_longer_than_its_lease(flow: SyncFlow, outage: bool) -> None:  # noqa: FBT001
    """
    It is renewed in the background for as long as the holder wants; one renewal that fails is made up for.
    """
    grid, other = flow.grid(), (flow.grid()).lock("job", wait="1ms")
    engine = engine_of(grid)
    with grid.lock("job", lease="150ms") as lock:
        if outage:
            engine.fail("renew", EngineTimeout("away"))

        def renewed() -> bool:
            return engine.calls["renew"] >= 5  # of one each 50 ms

        until(renewed)
        with pytest.raises(LockTimeout):
            other.acquire()
        lock.check()


def test_a_lock_ends_with_its_lease(flow: SyncFlow) -> None:
    """
    Where nobody renews it, as of a holder that has died, the next one gets it.
    """
    engine = flow.engine()
    grid = flow.grid()
    lock = grid.lock("job", wait=5)
    try:
        assert engine.acquire(lock._address, b"of a process that has died", 60) is not None
        with lock:
            assert not engine.release(lock._address, b"of a process that has died")
    finally:
        engine.close()


def test_an_error_in_the_work_is_not_hidden(grid: SyncGrid) -> None:
    """
    Not by a lock that was lost meanwhile, nor by an outage when it is given back.
    """
    for trouble in ("lost", "outage"):
        with pytest.raises(LookupError):  # noqa: PT012 - the work is inside
            lock = grid.lock("job")
            with lock:
                if trouble == "lost":
                    lose(grid, lock)
                else:
                    engine_of(grid).fail("release", EngineTimeout("away"), answered=True)
                raise LookupError


def test_losing_it_is_an_error_where_the_work_was_fine(grid: SyncGrid) -> None:
    """
    What was done may have met another holder.
    """
    with pytest.raises(LockLost):  # noqa: PT012 - the work is inside
        lock = grid.lock("job")
        with lock:
            lose(grid, lock)


def test_locks_of_other_names_are_others(flow: SyncFlow) -> None:
    """
    By key, by cache, by namespace, and by grid: none of them waits for another.
    """
    grid, other = flow.grid(), flow.grid(namespace=flow.backing.namespace + ".x")
    names: list[Any] = ["a", "b", b"a", 1, "1", ("a",), "a}b", "{a"]
    locks = [*map(grid.lock, names), other.lock("a")]
    for cache in ("locks", "prices", "a"):
        locks += [grid.cache(cache).lock("a")]
    for lock in locks:
        lock._wait = 0
        lock.acquire()
    for lock in locks:
        lock.release()


def test_a_lock_is_no_entry(cache: SyncCache) -> None:
    """
    It is neither listed nor read, nor in the way of an entry of its name, nor of its load.
    """

    def load() -> int:
        return 1

    with cache.lock("key"):
        assert None is cache.get("key")
        assert 1 == cache.get_or_load("key", load)
        assert 1 == cache.incr("count")


@pytest.mark.parametrize("said", [{"lease": 0}, {"lease": "soon"}, {"wait": -1}, {"wait": None}], ids=repr)
def test_wrong_times_are_refused(cache: SyncCache, grid: SyncGrid, said: dict[str, Any]) -> None:
    """
    When the lock is made, by name.
    """
    name = next(iter(said))
    for make in (cache.lock, grid.lock):
        with pytest.raises(ConfigError, match=f"^{name} is "):
            make("job", **said)


def test_a_lock_of_a_closed_grid_says_so(flow: SyncFlow) -> None:
    """
    Giving it back fails with an error of ours; its lease ends by itself.
    """
    flow.leaves_leases = True
    grid = flow.grid()
    lock = grid.lock("job", lease="1s")
    lock.acquire()
    grid.close()
    with pytest.raises(EngineError, match="the grid was closed here"):
        lock.release()
    with pytest.raises(EngineError, match="the grid was closed here"):
        grid.lock("job").acquire()


def lose(grid: SyncGrid, lock: SyncGridLock) -> None:
    """Take a lock from its holder, as the end of its lease does."""
    assert engine_of(grid).engine.release(lock._address, lock._token)


def _working(work: Any, number: int) -> Any:
    return lambda: work(number)
