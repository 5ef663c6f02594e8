# Generated from src/cachegrid/_aio/lock.py by tools/colour.py. Edit that file, then run `make colour`.
"""A lock in the grid: a lease with a fencing number."""

from __future__ import annotations

import os
import random
import time
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Self, cast

from cachegrid._core.durability import MEMORY, Durability
from cachegrid._sio.hub import SyncHub
from cachegrid._sio.keeper import give_back, take
from cachegrid.engines._sio.protocol import SyncLeases
from cachegrid.errors import CacheError, LockHeld, LockLost, LockTimeout
from cachegrid.waits._sio import sleep

__all__ = ["SyncGridLock"]


class SyncGridLock:
    """
    One holder at a time in the whole grid, for as long as the holder lives and its lease is renewed.

    While held, the lease is renewed in the background. It can still be lost (the process was paused for longer than
    the lease, the owner's data was lost): pass `fence` along to what the lock protects, and let that refuse
    a number smaller than one it has seen. A child that is forked while it is held does not hold it. It ends with this
    object, too: keep that for as long as the lock is to be held.
    """

    def __init__(
        self, hub: SyncHub, address: bytes, *, label: str, lease: int, wait: float, durability: Durability = MEMORY
    ) -> None:
        self._hub, self._address, self._durability = hub, address, durability
        self._label, self._lease, self._wait = label, lease, wait
        self._token = b""
        self._pid = 0  # of the process that holds it
        self.fence: int = 0  # of the current hold; larger than that of every earlier holder

    def acquire(self) -> int:
        """
        Wait for the lock and take it: its fencing number.

        Raises LockTimeout after `wait` seconds, and LockHeld where this very object holds it. A lock of a cache whose
        writes wait for replicas does so, too; where they do not have it in time it is NotDurable, and not held.
        """
        if self._is_held:
            raise LockHeld(
                f"this object holds the lock {self._label} already, and would wait for itself; release it first, or "
                "call lock() again for an object that waits for its turn"
            )
        leases = self._hub.open()
        token, number = os.urandom(16), None
        try:
            number = self._take(leases, token)
            if self._durability != MEMORY:
                # Not when it was asked for: who waits for another holder, and asks often, has no use for replicas.
                self._let_last(leases.lasting(self._durability), token)
            self._token, self._pid, self.fence = token, os.getpid(), number
            self._hub.keeper.hold(leases, self._address, token, self._lease, _left(self, token))
        except BaseException:
            if number is not None:  # interrupted: whoever gets an error does not hold it
                self._token = b""
                self._hub.keeper.let_go(token)
                give_back(leases, self._address, token)
            raise
        return number

    def _take(self, leases: SyncLeases, token: bytes) -> int:
        deadline = time.monotonic() + self._wait
        pause = 0.002
        while True:
            number = take(leases, self._address, token, self._lease)
            if number is not None:
                return number
            if time.monotonic() >= deadline:
                raise LockTimeout(f"the lock {self._label} was held by another for more than {self._wait:.3g} s")
            sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads those who wait, hides nothing
            pause = min(pause * 1.5, 0.05)

    def _let_last(self, leases: object, token: bytes) -> None:
        if not cast("SyncLeases", leases).renew(self._address, token, self._lease):
            raise self._lost(token)

    def release(self) -> None:
        """Give the lock back. Raises LockLost if it was lost before, or never acquired."""
        token, is_held = self._token, self._is_held
        self._token = b""
        self._hub.keeper.let_go(token)
        if not is_held or not (self._hub.open()).release(self._address, token):
            raise self._lost(token)

    def check(self) -> None:
        """Make sure at the owner that the lock is still held, for one lease more. Raises LockLost."""
        if not self._is_held or not (self._hub.open()).renew(self._address, self._token, self._lease):
            raise self._lost(self._token)

    def locked(self) -> bool:
        """
        Whether anybody holds it now, in whichever process, this object included. Its owner is asked; nothing changes.

        It may be otherwise as soon as the answer is here. Who wants to work alone acquires it, with `wait=0` if that
        shall not wait; who holds it, and wants to be sure, calls `check`.
        """
        return (self._hub.open()).is_held(self._address)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release()
        except CacheError:
            if error is None:  # else the error of the work tells more
                raise

    def __repr__(self) -> str:
        state = f"held, fence={self.fence}" if self._is_held else "not held here"
        return f"{type(self).__name__}({self._label}, lease={self._lease / 1000:g} s, {state})"

    @property
    def _is_held(self) -> bool:
        return bool(self._token) and self._pid == os.getpid()

    def _lost(self, token: bytes) -> LockLost:
        if not token:
            return LockLost(
                f"the lock {self._label} is not held by this object: it was not acquired, or was released before"
            )
        return LockLost(
            f"the lock {self._label} is no longer held here: its lease of {self._lease} ms ended, or its owner was "
            "lost; what was done since then may have met another holder"
        )


def _left(lock: SyncGridLock, token: bytes) -> Callable[[], bool]:
    """Tells whether a lock is no longer held under a token: given back, or dropped by whom something interrupted."""
    reference = weakref.ref(lock)

    def is_left() -> bool:
        lock = reference()
        return lock is None or lock._token != token  # noqa: SLF001 - its own affair

    return is_left
