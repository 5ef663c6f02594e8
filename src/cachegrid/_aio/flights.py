"""Loads: one flight per address in this process, one lease per address in the grid."""

from __future__ import annotations

import contextvars
import os
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from cachegrid._aio.keeper import AsyncKeeper, give_back, take
from cachegrid.engines._aio.protocol import AsyncLeases
from cachegrid.errors import LoadTimeout
from cachegrid.waits._aio import AsyncEvent, sleep

__all__ = ["AsyncFlights", "AsyncLanding", "is_loading"]


class AsyncLanding(NamedTuple):
    """How an address gets its frame."""

    address: bytes
    look: Callable[[], Awaitable[bytes | None]]  # asks the grid
    load: Callable[[], Awaitable[bytes]]  # asks the origin, and stores
    leases: AsyncLeases | None  # None: the engine has none, and only this process loads once
    lease: int  # ms
    wait: float  # seconds


class _Flight:
    """One load in this process, that others wait for."""

    __slots__ = ("address", "frame", "is_over", "landed")

    def __init__(self, address: bytes) -> None:
        self.address = address
        self.landed = AsyncEvent()
        self.is_over = False
        self.frame: bytes | None = None


# What this task, or thread, is loading at the moment. Tasks begun by a loader inherit it, and so do forked children.
_loading: contextvars.ContextVar[tuple[_Flight, ...]] = contextvars.ContextVar("cachegrid_loading", default=())


def is_loading(address: bytes) -> bool:
    """
    Whether this very task or thread is in the middle of loading an address: it must not wait for itself.

    Through whichever grid object: several may be connected to the same members.
    """
    return any(flight.address == address and not flight.is_over for flight in _loading.get())


class AsyncFlights:
    """
    Runs each load once, in this process and in the grid.

    If whoever loads is cancelled or fails, the next one who waits takes over; a process that dies while
    loading is followed by another when its lease has ended.
    """

    def __init__(self, keeper: AsyncKeeper) -> None:
        self._keeper = keeper
        self._flights: dict[bytes, _Flight] = {}

    async def land(self, landing: AsyncLanding) -> bytes:
        """
        The frame for an address: from the grid if it is there by now, else loaded.

        Raises LoadTimeout after waiting for others for too long, and whatever `load` raises.
        """
        deadline = time.monotonic() + landing.wait
        while True:
            mine = _Flight(landing.address)
            flight = self._flights.setdefault(landing.address, mine)
            if flight is mine:
                return await self._lead(landing, mine, deadline)
            if flight.landed.is_lost:
                self._end(flight)
            elif not await flight.landed.wait(deadline - time.monotonic()):
                raise _waited_too_long(landing.wait)
            elif flight.frame is not None:
                return flight.frame

    def forget(self) -> None:
        """In a forked child: the flights are the parent's."""
        self._flights = {}

    def _end(self, flight: _Flight) -> None:
        flight.is_over = True
        if self._flights.get(flight.address) is flight:
            del self._flights[flight.address]

    async def _lead(self, landing: AsyncLanding, flight: _Flight, deadline: float) -> bytes:
        before = _loading.get()
        _loading.set((*before, flight))
        try:
            if landing.leases is None:
                # Looked up again although the caller just missed: a flight that landed in between has
                # stored the value, and the origin must not be asked twice for it.
                frame = await landing.look()
                flight.frame = frame if frame is not None else await landing.load()
            else:
                flight.frame = await self._lead_in_grid(landing, landing.leases, deadline)
            return flight.frame
        finally:
            self._end(flight)
            flight.landed.set()
            _loading.set(before)  # `reset` would refuse where a coroutine is disposed of by another task

    async def _lead_in_grid(self, landing: AsyncLanding, leases: AsyncLeases, deadline: float) -> bytes:
        address = landing.address
        token = os.urandom(16)
        pause = 0.002
        started = time.monotonic()
        while True:
            got = await take(leases, address, token, landing.lease) is not None
            try:
                # After the lease was asked for: whoever had it before has stored its value by then.
                frame = await landing.look()
                if frame is not None:
                    return frame
                if got:
                    self._keeper.hold(leases, address, token, landing.lease)
                    return await landing.load()
            finally:
                if got:
                    self._keeper.let_go(token)
                    await give_back(leases, address, token)
            if time.monotonic() >= deadline:
                raise _waited_too_long(time.monotonic() - started)
            await sleep(pause)
            pause = min(pause * 1.5, 0.05)


def _waited_too_long(seconds: float) -> LoadTimeout:
    return LoadTimeout(
        f"somebody else has been loading this entry for more than {seconds:.3g} s; "
        "give callers more time with wait=, or the loader less work"
    )
