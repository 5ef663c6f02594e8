"""What a signal's handler raises comes anywhere in sync code: nobody waits for ever for whom it has hit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import pytest

from cachegrid import SyncGrid
from cachegrid._sio import flights, keeper, lock
from cachegrid._sio.flights import SyncFlights
from cachegrid._sio.keeper import SyncKeeper
from cachegrid._sio.leader import SyncLeader
from tests.flow._sio.flow import SyncFlow
from tests.flow.backing import Backing
from tests.flow.waits._sio import SyncGate, begin, until

OURS = {flights.__file__, keeper.__file__, lock.__file__}


class BangError(BaseException):
    """What the handler raises."""


def _bang_once(method: Callable[..., None]) -> Callable[..., None]:
    """A method that is interrupted before it does anything, the first time."""
    calls = iter(range(1_000_000))

    def call(*args: Any) -> None:
        if next(calls) == 0:
            raise BangError
        method(*args)

    return call


@pytest.fixture
def flow() -> Iterator[SyncFlow]:
    with SyncFlow(Backing()) as flow:
        yield flow


@pytest.fixture
def grid(flow: SyncFlow, monkeypatch: pytest.MonkeyPatch) -> SyncGrid:
    """A connected grid, whose callers look often."""
    monkeypatch.setattr(flights, "_GLANCE", 0.005)
    return flow.grid()


def interrupted(work: Callable[[], Any], line: int) -> bool:
    """Whether `work()` was interrupted before the `line`-th line that it ran in the files where callers wait."""
    left = line

    def count(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in OURS:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise BangError
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    except BangError:
        return True
    finally:
        sys.settrace(before)
    return False


def test_a_load_may_be_interrupted_anywhere(grid: SyncGrid) -> None:
    """
    Before whichever line it comes: who asks next, here or in another process, gets the value, and no lease is held on.
    """
    cache, line = grid.cache("prices", lease="20ms", wait="5s"), 1
    while interrupted(partial(cache.get_or_load, line, int), line):
        assert 0 == cache.get_or_load(line, int)
        line += 1
        assert line < 500, "what one leaves behind makes work for the next"
    assert line > 40
    until(lambda: not len(grid._hub.keeper))
    more = iter(range(1000))
    until(lambda: cache.get_or_load(("more", next(more)), lambda: 7) and not grid._hub.flights._flights)
    assert () == flights._loading.get()


def test_who_waits_for_an_interrupted_load_takes_over(grid: SyncGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Also while the error, and with it all that the call had in hand, is still looked at.
    """
    cache, gate = grid.cache("prices", lease="20ms", wait="8s"), SyncGate()

    def load() -> int:
        gate.stand()
        return 1

    leader = begin(cache.get_or_load, "key", load)
    gate.reached()
    waiting = [begin(cache.get_or_load, "key", lambda: 2) for _ in range(3)]
    until(lambda: cache.stats().misses == 4)
    monkeypatch.setattr(SyncFlights, "_end", _bang_once(SyncFlights._end))
    gate.open()
    with pytest.raises(BangError) as caught:
        leader.result()
    assert [1] * 3 == [waiter.result() for waiter in waiting]
    assert caught.value.__traceback__ is not None


def test_who_is_interrupted_may_ask_again_at_once(grid: SyncGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    While it handles the error: it does not wait for itself, and what it gets is stored.
    """
    cache = grid.cache("prices", lease="20ms", wait="8s")
    monkeypatch.setattr(SyncFlights, "_end", _bang_once(SyncFlights._end))
    monkeypatch.setattr(SyncKeeper, "let_go", _bang_once(SyncKeeper.let_go))

    def fail() -> int:
        raise LookupError

    try:
        cache.get_or_load("key", fail)
    except BangError:
        assert 1 == len(grid._hub.flights._flights)
        assert 7 == cache.get_or_load("key", lambda: 7)
    assert 7 == cache.get("key")


def test_a_leader_is_gone_when_its_call_has_ended() -> None:
    """
    In good order or not; and not before, also for those who look from another thread.
    """
    seen: list[SyncLeader] = []

    def lead(*, leaves: bool) -> None:
        leader = SyncLeader()
        seen.append(leader)
        assert not leader.is_gone
        assert not begin(lambda: leader.is_gone).result()
        if leaves:
            leader.leave()
        else:
            raise BangError

    lead(leaves=True)
    with pytest.raises(BangError):
        lead(leaves=False)
    assert [True, True] == [leader.is_gone for leader in seen]


def test_a_lease_ends_with_the_lock_object(grid: SyncGrid) -> None:
    """
    Whoever has dropped it could never give it back.
    """
    cache = grid.cache("prices")
    cache.lock("till", lease="30ms").acquire()
    with cache.lock("till", wait="5s"):
        assert 1 == len(grid._hub.keeper)
    assert 0 == len(grid._hub.keeper)


def test_a_lock_may_be_interrupted_anywhere(grid: SyncGrid) -> None:
    """
    On the way in and on the way out: whoever comes next gets it, though its lease is an hour's that is renewed.
    """
    cache, line = grid.cache("prices"), 1

    def use() -> None:
        with cache.lock("till", lease="20ms", wait="5s"):
            pass

    while interrupted(use, line):
        use()
        line += 1
        assert line < 500, "what one leaves behind makes work for the next"
    assert line > 30
    until(lambda: not len(grid._hub.keeper))
