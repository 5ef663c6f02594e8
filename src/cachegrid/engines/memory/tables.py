"""Leases and epochs of a memory grid: plain tables; the store that has them holds its lock around every call."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Epochs", "Leases"]

_SWEEP_FROM = 64  # leases held at once before ended ones are looked for


class _Lease(NamedTuple):
    token: bytes
    fence: int
    deadline: int


class Leases:
    """Who has which lease until when; `clock` gives nanoseconds, `wall_ms` milliseconds since 1970."""

    def __init__(self, clock: Callable[[], int], wall_ms: Callable[[], int]) -> None:
        self._clock, self._wall_ms = clock, wall_ms
        self._held: dict[bytes, _Lease] = {}
        self._fence = 0
        self._sweep_at = _SWEEP_FROM

    def __len__(self) -> int:
        return len(self._held)

    def acquire(self, name: bytes, token: bytes, lease: int) -> int | None:
        """The fencing number if `token` has the lease now, for `lease` ms."""
        now = self._clock()
        held = self._held.get(name)
        if held is not None and held.deadline > now:
            if held.token != token:
                return None
            fence = held.fence
        else:
            fence = self._next_fence()
        self._held[name] = _Lease(token, fence, now + lease * 1_000_000)
        self._sweep(now)
        return fence

    def renew(self, name: bytes, token: bytes, lease: int) -> bool:
        """Whether `token` has the lease, now for `lease` ms."""
        held = self._of(name, token)
        if held is not None:
            self._held[name] = held._replace(deadline=self._clock() + lease * 1_000_000)
        return held is not None

    def release(self, name: bytes, token: bytes) -> bool:
        """Whether `token` had the lease, which has ended."""
        held = self._of(name, token)
        if held is not None:
            del self._held[name]
        return held is not None

    def is_held(self, name: bytes) -> bool:
        """Whether any token has the lease."""
        held = self._held.get(name)
        return held is not None and held.deadline > self._clock()

    def end(self, name: bytes) -> None:
        """Nobody has the lease any longer."""
        self._held.pop(name, None)

    def _of(self, name: bytes, token: bytes) -> _Lease | None:
        held = self._held.get(name)
        return held if held is not None and held.token == token and held.deadline > self._clock() else None

    def _next_fence(self) -> int:
        # One number for all names, so that nothing is kept of a lease that has ended; from the wall clock,
        # because what a fence protects (a file, a database) may remember numbers of an earlier process.
        self._fence = max(self._fence + 1, self._wall_ms())
        return self._fence

    def _sweep(self, now: int) -> None:
        # At every doubling only: each lease pays for a constant part of the sweeps.
        if len(self._held) >= self._sweep_at:
            self._held = {name: held for name, held in self._held.items() if held.deadline > now}
            self._sweep_at = max(_SWEEP_FROM, 2 * len(self._held))


class Epochs:
    """The epoch of each name that was asked for; a grid has few of them, and forgets none."""

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        self._epochs: dict[bytes, int] = {}

    def epoch(self, name: bytes) -> int:
        """The epoch of a name, from the wall clock where it has none."""
        return self._epochs.setdefault(name, self._wall_ms())

    def known(self, name: bytes) -> int:
        """The epoch of a name; 0 where it has none."""
        return self._epochs.get(name, 0)

    def raise_epoch(self, name: bytes) -> int:
        """One that is greater than any before."""
        raised = max(self._epochs.get(name, 0) + 1, self._wall_ms())
        self._epochs[name] = raised
        return raised
