# Generated from src/cachegrid/testing/_aio/bench.py by tools/colour.py. Edit that file, then run `make colour`.
# ruff: noqa: S101 - a contract asserts
"""What every part of the contract stands on: engines that are closed again, addresses of its own, and honest clocks."""

from __future__ import annotations

import functools
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import ClassVar, Final, Protocol, TypeVar, cast

from cachegrid._core.frame import VERSION_END, VERSION_START, pack
from cachegrid.engines._sio.protocol import (
    SyncBatches,
    SyncConditions,
    SyncCounts,
    SyncDurables,
    SyncEngine,
    SyncEpochs,
    SyncLandings,
    SyncLeases,
    SyncMembers,
    SyncTags,
    SyncTells,
    SyncTimes,
    SyncWalks,
)
from cachegrid.near.nearby import Pushes
from cachegrid.testing.waits._sio import run
from cachegrid.waits._sio import sleep

__all__ = ["ABILITIES", "SyncBench", "SyncWholeEngine", "frame_of", "promise", "version_in", "wall_ms"]

ABILITIES: dict[str, type] = {
    "Batches": SyncBatches,
    "Conditions": SyncConditions,
    "Counts": SyncCounts,
    "Durables": SyncDurables,
    "Epochs": SyncEpochs,
    "Landings": SyncLandings,
    "Leases": SyncLeases,
    "Members": SyncMembers,
    "Pushes": Pushes,
    "Tags": SyncTags,
    "Tells": SyncTells,
    "Times": SyncTimes,
    "Walks": SyncWalks,
}

B = TypeVar("B", bound="SyncBench")

_TURNS: Final = 5  # a machine that is slow so often in a row is not the one to test on
_needs: dict[object, frozenset[str]] = {}  # of each test, the abilities it uses


class SyncWholeEngine(
    SyncEngine,
    SyncBatches,
    SyncConditions,
    SyncCounts,
    SyncDurables,
    SyncEpochs,
    SyncLandings,
    SyncLeases,
    SyncMembers,
    SyncTags,
    SyncTells,
    SyncTimes,
    SyncWalks,
    Pushes,
    Protocol,
):
    """An engine with every ability: what a test may use once it has named what it needs."""


def promise(*needs: str) -> Callable[[Callable[[B], None]], Callable[[B], None]]:
    """Make a test of a check that uses the abilities in `needs`; any test runner can call it."""

    def test_of(check: Callable[[B], None]) -> Callable[[B], None]:
        @functools.wraps(check)
        def test(self: B) -> None:
            run(lambda: self.keep(lambda: check(self)))

        _needs[test] = frozenset(needs)
        return test

    return test_of


class SyncBench:
    """
    Opens engines for one test, and closes them after it.

    A class that derives from this does not have the tests of what it `lacks`; one test holds it to that.
    """

    lacks: ClassVar[frozenset[str]] = frozenset()
    """
    Names of the abilities that the engine does not have.

    Also "Outages" if its grid cannot be cut off, and "Shortage" if a write never waits for anything.
    """

    replicas: int = 0
    """How many replicas each owner of the grid under test has; of a grid without any, writes wait for none."""

    tolerance: ClassVar[int] = 5
    """Milliseconds by which the clock that ends entries may differ from this process's."""

    patience: ClassVar[float] = 10.0
    """Seconds after which what has not come does not come any more."""

    engine: SyncWholeEngine
    _opened: ExitStack
    _space: bytes

    def __init_subclass__(cls) -> None:
        """Take away the tests of what is lacking: a skipped one would ask to be looked at in every run."""
        super().__init_subclass__()
        for name in [name for name in dir(cls) if name.startswith("test_")]:
            if cls.lacks & _needs.get(getattr(cls, name), frozenset()):
                setattr(cls, name, None)

    def open_engine(self) -> SyncEngine:
        """Open one more engine on the grid under test, which should be there for this alone."""
        raise NotImplementedError(f"{type(self).__name__}.open_engine must open an engine")

    def open_cut_off(self) -> SyncEngine:
        """Open an engine whose grid does not answer, with a short deadline; not needed if `lacks` has "Outages"."""
        raise NotImplementedError(f"{type(self).__name__}.open_cut_off must open an engine, or lacks name 'Outages'")

    def keep(self, check: Callable[[], None]) -> None:
        """Run a check on an engine that is opened for it; whatever was opened is closed at the end."""
        self._space = f"cg:contract-{secrets.token_hex(4)}:".encode()
        with ExitStack() as self._opened:
            self.engine = self.another()
            check()

    def another(self) -> SyncWholeEngine:
        """One more engine on the same grid."""
        return self.closing(self.open_engine)

    def closing(self, opener: Callable[[], SyncEngine]) -> SyncWholeEngine:
        """What `opener` opens; it is closed after the test."""
        engine = opener()
        self._opened.callback(engine.close)
        return cast("SyncWholeEngine", engine)

    def address(self, name: bytes = b"one") -> bytes:
        """An address that no other test uses."""
        return self._space + name

    def addresses(self, count: int) -> list[bytes]:
        """So many addresses; on a cluster they belong to many owners."""
        return [self.address(b"%d" % number) for number in range(count)]

    def ends(self, there: Callable[[], object], began: float, ttl: int, *, pause: float = 0.001) -> None:
        """
        Assert that `there` finds something until its `ttl` ms are over, and nothing afterwards.

        `began` is `time.monotonic()` from before the life began; this is called when it has begun. Between
        two looks `pause` seconds go by.
        """
        begun = time.monotonic()
        while True:
            before = time.monotonic()
            found = there()
            after = time.monotonic()
            if found is None or found is False:
                assert _ms(after - began) >= ttl - self.tolerance, "ended too early"
                return
            assert _ms(before - begun) <= ttl + self.tolerance, "is there after its end"
            sleep(pause)

    def promptly(self, ttl: int, begin: Callable[[bytes], None]) -> tuple[bytes, float]:
        """
        Run `begin` at an address of its own, where it starts a life of `ttl` ms; that address, and when it began.

        If it fails after so long it is run again, elsewhere: the machine was slow, and the life was over.
        """
        for turn in range(_TURNS):
            began, address = time.monotonic(), self.address(b"promptly-%d" % turn)
            try:
                begin(address)
                break
            except AssertionError:
                if turn == _TURNS - 1 or _ms(time.monotonic() - began) < ttl - self.tolerance:
                    raise
        return address, began

    def passes(self, ttl: int) -> None:
        """Wait until an entry that is stored now for `ttl` ms has ended."""
        began, address = time.monotonic(), self.address(b"hourglass")
        self.engine.store(address, b"", ttl)
        self.ends(lambda: self.engine.fetch(address), began, ttl)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + self.patience
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            sleep(0.001)

    def refuses(self, error: type[Exception], request: Callable[[], object]) -> bool:
        """Whether `request` raises `error`."""
        try:
            request()
        except error:
            return True
        return False


def frame_of(payload: bytes, *, ttl: int | None = None, idle: int | None = None, created: int | None = None) -> bytes:
    """A frame with a version of its own, created now if nothing else is said."""
    created = wall_ms() if created is None else created
    return pack(payload, codec=0, created=created, version=secrets.randbits(64), ttl=ttl, idle=idle)


def version_in(frame: bytes) -> bytes:
    """The 8 bytes in a frame's header that are its version."""
    return frame[VERSION_START:VERSION_END]


def wall_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _ms(seconds: float) -> float:
    return seconds * 1000
