# Generated from src/cachegrid/testing/_aio/pushes.py by tools/colour.py. Edit that file, then run `make colour`.
# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Pushes: what changes is told, and while it may not be, nobody is led to believe so."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from cachegrid.errors import EngineError
from cachegrid.near.copies import Guard
from cachegrid.testing._sio.bench import SyncBench, SyncWholeEngine, frame_of, promise, version_in, wall_ms
from cachegrid.testing.waits._sio import threads

__all__ = ["SyncPushesContract"]

STALENESS: Final = 0.2  # seconds; owners prove four times as often that nothing was missed
MINUTE: Final = 60_000
LIFE: Final = 60  # ms


class _Sink:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self._lost: list[Callable[[bytes], bool]] = []

    def changed(self, address: bytes) -> None:
        self.told.append(address)

    def changed_if(self, is_lost: Callable[[bytes], bool]) -> None:
        self._lost.append(is_lost)

    def refused(self) -> None:
        raise AssertionError("nobody refuses anything here")

    def knows(self, address: bytes) -> bool:
        """Whether it was told that an address changed."""
        return address in self.told or any(is_lost(address) for is_lost in self._lost)

    def forget(self) -> None:
        """Begin anew."""
        self.told, self._lost = [], []


class SyncPushesContract(SyncBench):
    """What changes is told unasked."""

    @promise("Pushes")
    def test_every_change_is_told(self) -> None:
        """
        Stores and drops are told, whichever engine makes them.
        """
        sink = self._following()
        for engine in (self.engine, self.another()):
            self._tells(sink, partial(engine.store, self.address(), b"first", None))
            self._tells(sink, partial(engine.store, self.address(), b"second", MINUTE))
            self._tells(sink, partial(engine.drop, self.address()))

    @promise("Pushes", "Batches")
    def test_batches_are_told(self) -> None:
        """
        Every address in a batch is told.
        """
        sink, other, addresses = self._following(), self.another(), self.addresses(20)
        self._listens(self.engine, addresses)
        self._tells(sink, lambda: other.store_many([(one, b"new", None) for one in addresses]), *addresses)
        self._tells(sink, lambda: other.drop_many(addresses), *addresses)

    @promise("Pushes", "Conditions")
    def test_what_depended_on_a_condition_is_told(self) -> None:
        """
        Where the condition was met, something has changed.
        """
        sink, other, frame = self._following(), self.another(), frame_of(b"here")
        self._tells(sink, lambda: other.store_if_absent(self.address(), b"first", None))
        self._tells(sink, lambda: other.store_if_present(self.address(), frame, None))
        self._tells(sink, lambda: other.store_if_version(self.address(), version_in(frame), frame, MINUTE))
        self._tells(sink, lambda: other.drop_if_version(self.address(), version_in(frame)))
        other.store(self.address(), b"strange", None)
        self._tells(sink, lambda: other.drop_if_strange(self.address()))

    @promise("Pushes", "Counts")
    def test_counting_is_told(self) -> None:
        """
        The first number is told, and every sum.
        """
        sink, other = self._following(), self.another()
        for _ in range(2):
            self._tells(sink, lambda: other.add(self.address(), 1, 0, None))

    @promise("Pushes", "Times")
    def test_another_end_is_told(self) -> None:
        """
        Copies end by the time to live that they were made with, and it is another one now.
        """
        sink, other = self._following(), self.another()
        self._tells(sink, lambda: other.store(self.address(), frame_of(b"long", ttl=MINUTE), MINUTE))
        self._tells(sink, lambda: other.touch(self.address(), MINUTE // 2, wall_ms()))

    @promise("Pushes", "Leases", "Landings")
    def test_a_landing_is_told(self) -> None:
        """
        Where it was known that nothing is there, something is.
        """
        sink, other = self._following(), self.another()
        other.acquire(self.address(), b"token", MINUTE)
        self._tells(sink, lambda: other.land(self.address(), b"token", b"loaded", None))

    @promise("Pushes")
    def test_the_end_of_a_time_to_live_is_told(self) -> None:
        """
        When it comes, or at the latest when somebody finds that nothing is there any more.
        """
        sink = self._following()

        def begin(address: bytes) -> None:
            self._listens(self.engine, [address])
            self._tells(sink, lambda: self.engine.store(address, b"short", LIFE), address)
            sink.forget()
            assert b"short" == self.engine.fetch(address)

        address, began = self.promptly(LIFE, begin)
        self.ends(lambda: self.engine.fetch(address), began, LIFE)
        self.until(lambda: sink.knows(address))

    @promise("Pushes")
    def test_who_follows_is_told_of_his_own_prefix(self) -> None:
        """
        Of no other, though it begins alike; and of that by whoever follows it.
        """
        sink = self._following()
        others, third = _Sink(), self._beside(b"third")
        self.engine.follow(self._beside(b"other"), others, STALENESS)
        self._listens(self.engine, [self._beside(b"other") + b"{one}"], self._beside(b"other"))
        mine, other = self.address(b"{one}"), self._beside(b"other") + b"{one}"
        sink.forget()
        for address in (third + b"{one}", other, mine):  # of one owner, who tells in this order
            self.engine.store(address, b"new", None)
        self.until(lambda: sink.knows(mine) and others.knows(other))
        assert {mine} == set(sink.told)
        assert {other} == set(others.told)

    @promise("Pushes")
    def test_who_follows_no_longer_is_not_told(self) -> None:
        """
        Others who follow at the same engine are.
        """
        sink = self._following()
        others, prefix = _Sink(), self._beside(b"other")
        self.engine.follow(prefix, others, STALENESS)
        self._listens(self.engine, [prefix + b"{one}"], prefix)
        self.engine.unfollow(self._space)
        sink.forget()
        for address in (self.address(b"{one}"), prefix + b"{one}"):  # of one owner, who tells in this order
            self.engine.store(address, b"new", None)
        self.until(lambda: others.knows(prefix + b"{one}"))
        assert not sink.told

    @promise("Pushes")
    def test_nothing_is_guarded_while_nobody_listens(self) -> None:
        """
        Neither before somebody follows, nor what another one follows, nor after that.
        """
        other, engine = self.another(), self.another()
        assert self._guard(engine) is None
        other.follow(self._space, _Sink(), STALENESS)
        self._listens(other, [self.address()])
        assert self._guard(engine) is None
        engine.follow(self._space, _Sink(), STALENESS)
        self._listens(engine, [self.address()])
        prefix = self._beside(b"other")
        assert engine.guard(prefix + b"one", prefix) is None
        engine.unfollow(self._space)
        assert self._guard(engine) is None
        other.close()
        assert self._guard(other) is None

    @promise("Pushes")
    def test_what_changed_before_a_guard_was_heard_has_been_told(self) -> None:
        """
        A guard proves just that, again and again.
        """
        sink, other = self._following(), self.another()
        for address in self.addresses(5):
            guard = self._listens(self.engine, [address])
            other.store(address, b"new", None)
            self._heard(guard, time.monotonic())
            assert sink.knows(address)

    @promise("Pushes")
    def test_what_an_owner_answers_can_be_kept(self) -> None:
        """
        While all is well, the guard of an address and `trouble` are the same before a question and after its answer.
        """
        self._following()

        def is_well() -> bool:
            before = self._guard(self.engine), self.engine.trouble
            for _ in range(20):
                self.engine.store(self.address(), b"new", None)
                self.engine.fetch(self.address())
            return before == (self._guard(self.engine), self.engine.trouble)

        assert True in [is_well() for _ in range(5)]

    @promise("Pushes", "Outages")
    def test_trouble_is_noted(self) -> None:
        """
        After a request that its owner did not answer at once, `trouble` is another number.
        """
        engine = self.closing(self.open_cut_off)
        for _ in range(2):
            before = engine.trouble
            assert self.refuses(EngineError, lambda: engine.fetch(self.address()))
            assert before != engine.trouble

    @promise("Pushes", "Epochs")
    def test_who_asks_for_nothing_hears_of_a_raise(self) -> None:
        """
        Whoever only reads copies comes to doubt as soon as the news of a raised epoch is here.
        """
        self._following()
        self.engine.epoch(self.address())
        other = self.another()
        other.epoch(self.address())
        doubt = self.engine.doubt
        other.raise_epoch(self.address())
        self.until(lambda: doubt != self.engine.doubt)

    @promise("Pushes", "Epochs")
    def test_who_suspects_a_raise_doubts_at_once(self) -> None:
        """
        Whoever knows of a raise need not wait for the news.
        """
        other = self.another()
        for engine in (self.engine, other):
            engine.epoch(self.address())
        doubt = self.engine.doubt
        other.raise_epoch(self.address())
        self.engine.suspect()
        assert doubt != self.engine.doubt

    @promise("Pushes")
    def test_closing_ends_the_listening(self) -> None:
        """
        On return no thread listens any more, and nothing is told.
        """
        before = threads()
        engine, sink = self.another(), _Sink()
        engine.follow(self._space, sink, STALENESS)
        self._listens(engine, self.addresses(10))
        listening = threads() - before
        engine.close()
        assert not [thread for thread in listening if thread.is_alive()]
        others = self._following()
        sink.forget()
        self._tells(others, lambda: self.engine.store(self.address(), b"new", None))
        assert not sink.told

    def _following(self) -> _Sink:
        """Who is told, from now on, what happens to this test's addresses."""
        sink = _Sink()
        self.engine.follow(self._space, sink, STALENESS)
        self._listens(self.engine, [self.address()])
        return sink

    def _listens(self, engine: SyncWholeEngine, addresses: list[bytes], prefix: bytes | None = None) -> Guard:
        """Wait until the owners of all the addresses are listened to; the guard of the last one."""
        guards: list[Guard | None] = []

        def look() -> bool:
            guards[:] = [engine.guard(address, prefix or self._space) for address in addresses]
            return None not in guards

        self.until(look)
        assert guards[-1] is not None
        return guards[-1]

    def _tells(self, sink: _Sink, change: Callable[[], object], *addresses: bytes) -> None:
        """Assert that a change is told; of this test's first address, if no others are named."""
        sink.forget()
        change()
        self.until(lambda: all(map(sink.knows, addresses or [self.address()])))

    def _heard(self, guard: Guard, since: float) -> None:
        """Wait until it was heard after a moment of the monotonic clock."""
        self.until(lambda: guard.heard > since)

    def _guard(self, engine: SyncWholeEngine) -> Guard | None:
        return engine.guard(self.address(), self._space)

    def _beside(self, name: bytes) -> bytes:
        """Another prefix, that begins as this test's own does."""
        return self._space[:-1] + b"-" + name + b":"
