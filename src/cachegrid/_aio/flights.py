"""Loads: one flight per address in this process, one lease per address in the grid."""

from __future__ import annotations

import contextvars
import os
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from cachegrid._aio.keeper import AsyncKeeper
from cachegrid.engines._aio.protocol import AsyncLeases
from cachegrid.errors import LoadTimeout
from cachegrid.waits._aio import AsyncEvent, sleep

__all__ = ["AsyncFlights", "AsyncLanding", "is_loading"]

# What this task, or thread, is loading at the moment: a loader that asks for its own key must not wait for itself.
_loading: contextvars.ContextVar[tuple[bytes, ...]] = contextvars.ContextVar("cachegrid_loading", default=())


def is_loading(address: bytes) -> bool:
    """Whether this very task or thread is in the middle of loading an address."""
    return address in _loading.get()


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

    __slots__ = ("frame", "landed")

    def __init__(self) -> None:
        self.landed = AsyncEvent()
        self.frame: bytes | None = None


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
        address = landing.address
        deadline = time.monotonic() + landing.wait
        while True:
            mine = _Flight()
            flight = self._flights.setdefault(address, mine)
            if flight is mine:
                return await self._lead(landing, mine, deadline)
            if not await flight.landed.wait(deadline - time.monotonic()):
                raise _waited_too_long(landing.wait)
            if flight.frame is not None:
                return flight.frame

    def forget(self) -> None:
        """In a forked child: the flights are the parent's."""
        self._flights = {}

    async def _lead(self, landing: AsyncLanding, flight: _Flight, deadline: float) -> bytes:
        address = landing.address
        before = _loading.set((*_loading.get(), address))
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
            _loading.reset(before)
            self._flights.pop(address, None)
            flight.landed.set()

    async def _lead_in_grid(self, landing: AsyncLanding, leases: AsyncLeases, deadline: float) -> bytes:
        address = landing.address
        token = os.urandom(16)
        pause = 0.002
        started = time.monotonic()
        while True:
            got = await leases.acquire(address, token, landing.lease) is not None
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
                    self._keeper.let_go(address)
                    await leases.release(address, token)
            if time.monotonic() >= deadline:
                raise _waited_too_long(time.monotonic() - started)
            await sleep(pause)
            pause = min(pause * 1.5, 0.05)


def _waited_too_long(seconds: float) -> LoadTimeout:
    return LoadTimeout(
        f"somebody else has been loading this entry for more than {seconds:.3g} s; "
        "give callers more time with wait=, or the loader less work"
    )
