# Generated from src/cachegrid/testing/_aio/durables.py by tools/colour.py. Edit that file, then run `make colour`.
# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Durables."""

from __future__ import annotations

import time
from functools import partial
from typing import Final, cast

from cachegrid._core.durability import Durability
from cachegrid.errors import NotDurable
from cachegrid.testing._sio.bench import SyncBench, SyncWholeEngine, frame_of, promise, version_in
from cachegrid.testing.waits._sio import together

__all__ = ["SyncDurablesContract"]

TOO_MANY: Final = 1000  # replicas, which no owner has


class SyncDurablesContract(SyncBench):
    """Writes that wait until they are where a fault of their owner does not take them."""

    def lasting(self, replicas: int | None = None) -> SyncWholeEngine:
        """The engine for writes that wait for so many replicas; for all that the grid has, if none are said."""
        durability = Durability(self.replicas if replicas is None else replicas)
        return cast("SyncWholeEngine", self.engine.lasting(durability))

    @promise("Durables")
    def test_what_lasts_is_there_for_all(self) -> None:
        """
        It is stored and dropped for every engine on the grid, and read like anything else.
        """
        lasting, other, frame = self.lasting(), self.another(), frame_of(b"lasts")
        lasting.store(self.address(), frame, None)
        assert [frame] * 3 == [engine.fetch(self.address()) for engine in (self.engine, other, lasting)]
        assert lasting.drop(self.address())
        assert other.fetch(self.address()) is None
        assert not lasting.drop(self.address())

    @promise("Durables")
    def test_a_life_that_lasts_ends(self) -> None:
        """
        A time to live is the same whatever its write waits for.
        """

        def begin(address: bytes) -> None:
            self.lasting().store(address, b"short", 300)
            assert b"short" == self.engine.fetch(address)

        address, began = self.promptly(300, begin)
        self.ends(lambda: self.engine.fetch(address), began, 300)

    @promise("Durables", "Batches")
    def test_batches_last(self) -> None:
        """
        All of a thousand are stored, and all are dropped and counted.
        """
        addresses = self.addresses(1000)
        self.lasting().store_many([(address, address, None) for address in addresses])
        assert addresses == self.engine.fetch_many(addresses)
        assert 1000 == self.lasting().drop_many(addresses)
        assert [None] * 1000 == self.engine.fetch_many(addresses)
        assert 0 == self.lasting().drop_many(addresses)

    @promise("Durables", "Conditions", "Counts")
    def test_what_depends_on_a_condition_answers_the_same(self) -> None:
        """
        Once, or not at all, whatever its write waits for.
        """
        lasting, first, second = self.lasting(), frame_of(b"first"), frame_of(b"second")
        assert lasting.store_if_absent(self.address(), first, None)
        assert not lasting.store_if_absent(self.address(), second, None)
        assert lasting.store_if_present(self.address(), second, None)
        assert not lasting.store_if_version(self.address(), version_in(first), first, None)
        assert lasting.store_if_version(self.address(), version_in(second), first, None)
        assert lasting.drop_if_version(self.address(), version_in(first))
        assert [7, 9] == [lasting.add(self.address(), 2, 5, None), lasting.add(self.address(), 2, 5, None)]

    @promise("Durables", "Counts")
    def test_counts_that_last_are_made_once(self) -> None:
        """
        Callers that add at once, through several engines, each get a sum of their own, and all comes together.
        """
        other = cast("SyncWholeEngine", (self.another()).lasting(Durability(self.replicas)))
        engines = [self.lasting(), other]

        def work(turn: int) -> list[int]:
            return [engines[turn % 2].add(self.address(), 1, 0, None) for _ in range(10)]

        sums = together(*[partial(work, turn) for turn in range(8)])
        assert list(range(1, 81)) == sorted(number for some in sums for number in some)
        assert b"80" == self.engine.fetch(self.address())

    @promise("Durables")
    def test_what_falls_short_is_told(self) -> None:
        """
        Where there are too few replicas the write is there, and its caller is told how many have it, in time.
        """
        if "Shortage" in self.lacks:
            self.lasting(TOO_MANY).store(self.address(), b"1", None)
            return
        began, told = time.monotonic(), None
        try:
            self.lasting(TOO_MANY).store(self.address(), b"1", None)
        except NotDurable as error:
            told = error.replicas, error.wanted, error.retryable
        assert (self.replicas, TOO_MANY, True) == told
        assert time.monotonic() - began < self.patience
        assert b"1" == self.engine.fetch(self.address())

    @promise("Durables", "Batches", "Counts")
    def test_what_falls_short_is_done(self) -> None:
        """
        All of a batch, and a count once.
        """
        if "Shortage" in self.lacks:
            return
        lasting, addresses = self.lasting(TOO_MANY), self.addresses(1500)
        items: list[tuple[bytes, bytes, int | None]] = [(address, b"1", None) for address in addresses]
        assert self.refuses(NotDurable, lambda: lasting.store_many(items))
        assert [b"1"] * 1500 == self.engine.fetch_many(addresses)
        assert self.refuses(NotDurable, lambda: lasting.add(addresses[0], 1, 0, None))
        assert b"2" == self.engine.fetch(addresses[0])
        assert self.refuses(NotDurable, lambda: lasting.drop_many(addresses))
        assert [None] * 1500 == self.engine.fetch_many(addresses)

    @promise("Durables", "Epochs")
    def test_an_epoch_lasts(self) -> None:
        """
        It is raised for all, also where it falls short.
        """
        name = self.address(b"epoch")
        before = self.engine.epoch(name)
        raised = self.lasting().raise_epoch(name)
        assert before < raised == self.engine.epoch(name)
        if "Shortage" not in self.lacks:
            doubt = self.engine.doubt
            assert self.refuses(NotDurable, lambda: self.lasting(TOO_MANY).raise_epoch(name))
            assert doubt != self.engine.doubt
            assert raised < self.engine.epoch(name)
