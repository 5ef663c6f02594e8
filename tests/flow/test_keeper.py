"""Renewal in the background ends when nothing is held, and begins again for whoever comes at that very moment."""

from __future__ import annotations

from typing import Any

from cachegrid._sio.keeper import SyncKeeper
from cachegrid.engines.memory import SyncMemoryEngine
from tests.flow.waits._sio import SyncGate, until


def test_it_ends_when_nothing_is_held() -> None:
    """
    No thread is kept for leases that may come.
    """
    keeper, engine = SyncKeeper(), SyncMemoryEngine()
    for number in range(3):
        token = b"%d" % number
        assert engine.acquire(b"name", token, 30) is not None
        keeper.hold(engine, b"name", token, 30)
        assert 1 == len(keeper._tasks)
        keeper.let_go(token)
        assert engine.release(b"name", token)
        until(lambda: not keeper._tasks)
    keeper.close()


def test_one_thread_renews_all_leases_of_a_length() -> None:
    """
    And another one those of another length.
    """
    keeper, engine = SyncKeeper(), SyncMemoryEngine()
    for number in range(20):
        keeper.hold(engine, b"name", b"%d" % number, 30_000 + number % 2)
    assert 2 == len(keeper._tasks)
    keeper.close()
    assert 0 == len(keeper._tasks) + len(keeper)


def test_who_takes_a_lease_while_the_work_ends_is_renewed() -> None:
    """
    The work has seen that nothing is held, and has not signed off yet: it is not lost between the two.
    """
    keeper, engine, gate = SyncKeeper(), SyncMemoryEngine(), SyncGate()
    workers = keeper._workers = _Held(gate)
    keeper.hold(engine, b"first", b"1", 30)
    keeper.let_go(b"1")
    gate.reached()
    assert engine.acquire(b"second", b"2", 30) is not None
    keeper.hold(engine, b"second", b"2", 30)
    before = engine._store._leases._held[b"second"].deadline
    gate.open()
    until(lambda: engine._store._leases._held[b"second"].deadline > before)
    assert engine.release(b"second", b"2")
    keeper.close()
    assert workers.stood


class _Held(dict[int, Any]):
    """The work of a keeper, held the first time that it signs off."""

    def __init__(self, gate: SyncGate) -> None:
        super().__init__()
        self._gate, self.stood = gate, False

    def pop(self, key: int, default: Any = None) -> Any:
        if not self.stood:
            self.stood = True
            self._gate.stand()
        return super().pop(key, default)
