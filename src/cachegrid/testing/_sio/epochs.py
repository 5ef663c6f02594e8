# Generated from src/cachegrid/testing/_aio/epochs.py by tools/colour.py. Edit that file, then run `make colour`.
# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Epochs."""

from __future__ import annotations

from functools import partial
from typing import Final

from cachegrid.testing._sio.bench import SyncBench, SyncWholeEngine, promise, wall_ms
from cachegrid.testing.waits._sio import together
from cachegrid.waits._sio import sleep

__all__ = ["SyncEpochsContract"]

MINUTE: Final = 60_000


class SyncEpochsContract(SyncBench):
    """Numbers by which many entries die at once."""

    @promise("Epochs")
    def test_a_new_name_gets_one_for_all(self) -> None:
        """
        A name that has no epoch gets one, the same through every engine, also if many ask at once.
        """
        engines = [self.engine, self.another()]
        epochs = together(*[partial(engines[turn % 2].epoch, self.address()) for turn in range(8)])
        assert [epochs[0]] * 8 == epochs
        assert epochs[0] == self.engine.epoch(self.address())

    @promise("Epochs")
    def test_a_new_epoch_equals_no_earlier_one(self) -> None:
        """
        A new epoch comes from the clock, so that a name whose epoch was lost gets one it never had.
        """
        assert abs(self.engine.epoch(self.address(b"asked")) - wall_ms()) < MINUTE
        assert abs(self.engine.raise_epoch(self.address(b"raised")) - wall_ms()) < MINUTE

    @promise("Epochs")
    def test_raising_gives_a_greater_one(self) -> None:
        """
        A raised epoch is greater than any before, and is that of the name from then on.
        """
        epochs = [self.engine.epoch(self.address())]
        for _ in range(10):
            epochs.append(self.engine.raise_epoch(self.address()))
            assert epochs[-1] == self.engine.epoch(self.address())
        assert sorted(set(epochs)) == epochs

    @promise("Epochs")
    def test_raising_leaves_other_names(self) -> None:
        """
        Raising the epoch of a name leaves those of others as they are.
        """
        one, two = self.addresses(2)
        epoch = self.engine.epoch(two)
        self.engine.raise_epoch(one)
        assert epoch == self.engine.epoch(two)

    @promise("Epochs")
    def test_nobody_raises_in_vain(self) -> None:
        """
        Callers that raise an epoch at once, through several engines, each get one of their own.
        """
        engines = [self.engine, self.another()]
        epochs = together(*[partial(engines[turn % 2].raise_epoch, self.address()) for turn in range(8)])
        assert 8 == len(set(epochs))
        assert max(epochs) == self.engine.epoch(self.address())

    @promise("Epochs")
    def test_a_raise_brings_doubt_to_all(self) -> None:
        """
        Once an epoch has been raised, no engine sees the answer to a later request before it doubts.
        """
        engines = [self.engine, self.another(), self.another()]
        for turn in range(30):
            trusted = [self._trust(engine) for engine in engines]
            raised = engines[turn % 3].raise_epoch(self.address())
            for engine, (doubt, epoch) in zip(engines, trusted, strict=True):
                engine.fetch(self.address(b"%d" % turn))  # any request, to any owner
                assert doubt != engine.doubt
                assert epoch < raised == engine.epoch(self.address())

    @promise("Epochs")
    def test_a_raise_among_other_requests_brings_doubt(self) -> None:
        """
        An engine that is busy doubts no later than an idle one does.
        """
        busy = self.another()
        raised: list[int] = []

        def read() -> None:
            turn = 0
            while len(raised) < 20:
                turn += 1
                doubt, epoch = self._trust(busy)
                sleep(0)
                known = max(raised, default=0)  # raised before the next request begins
                busy.fetch(self.address(b"%d" % turn))
                assert doubt != busy.doubt or known <= epoch

        def clear() -> None:
            while len(raised) < 20:
                raised.append(self.engine.raise_epoch(self.address()))
                sleep(0)

        self.engine.epoch(self.address())
        together(clear, read, read)

    @promise("Epochs")
    def test_without_a_raise_there_is_no_doubt(self) -> None:
        """
        While nobody raises an epoch, what was read can be trusted for a while.
        """

        def is_calm() -> bool:
            doubt, _ = self._trust(self.engine)
            for address in self.addresses(20):
                self.engine.fetch(address)
            return doubt == self.engine.doubt

        assert True in [is_calm() for _ in range(5)]

    def _trust(self, engine: SyncWholeEngine) -> tuple[int, int]:
        """The doubt, noted before the epoch was read, and that."""
        doubt = engine.doubt
        return doubt, engine.epoch(self.address())
