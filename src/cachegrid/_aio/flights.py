"""Loads: one flight per address in this process, one lease per address in the grid."""

from __future__ import annotations

import contextlib
import contextvars
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from cachegrid._aio.keeper import AsyncKeeper, give_back, take
from cachegrid._aio.leader import AsyncLeader
from cachegrid.engines._aio.protocol import AsyncLeases
from cachegrid.errors import EngineError, GridFull, LoadTimeout, WritesRefused
from cachegrid.waits._aio import AsyncEvent, sleep

__all__ = [
    "UNLEASED",
    "AsyncFlight",
    "AsyncFlights",
    "AsyncLanding",
    "Landed",
    "is_loading",
    "is_spoiled",
    "loads_under_way",
    "refresh_of",
    "reload_of",
    "say_loads",
    "taken",
    "waited_too_long",
]

UNLEASED: Final = b""  # the token of who has no lease, because the grid takes no writes
_GLANCE: Final = 1.0  # seconds between two looks at whether a leader is still there


class Landed(NamedTuple):
    """What became of a frame that was loaded."""

    is_for_all: bool  # not, if something was set or dropped meanwhile that those who came later have to see
    is_released: bool  # the lease has ended with it


class AsyncLanding(NamedTuple):
    """How an address gets its frame."""

    flight: bytes  # its name in this process: who asks for the same one waits for it
    address: bytes  # names the lease
    look: Callable[[], Awaitable[bytes | None]]  # asks the grid
    load: Callable[[], Awaitable[bytes]]  # asks the origin
    store: Callable[[bytes, bytes | None], Awaitable[Landed]]  # a frame, under a lease if there is one
    leases: AsyncLeases | None  # None: the engine has none, and only this process loads once
    lease: int  # ms
    wait: float  # seconds


class AsyncFlight:
    """One load in this process, that others wait for."""

    __slots__ = (
        "address", "frame", "has_begun", "has_frame", "heirs", "is_for_all", "is_over", "is_spoiled", "landed",
        "leader", "name", "trouble",
    )  # fmt: skip

    def __init__(self, name: bytes, address: bytes, leader: AsyncLeader) -> None:
        self.name, self.address, self.leader = name, address, leader
        self.landed = AsyncEvent()
        self.has_begun = self.has_frame = self.is_over = self.is_spoiled = False
        self.is_for_all = True
        self.frame: bytes | None = None
        self.trouble: EngineError | None = None  # of the grid, not of the loader
        self.heirs: list[AsyncFlight] = []  # the first is for all who waited for this one in vain

    def is_left(self) -> bool:
        """Whether nobody leads it any longer: it has landed, or whoever led it was interrupted."""
        return self.is_over or self.leader.is_gone


_Led: TypeAlias = Mapping[bytes, AsyncFlight]  # what one call leads, by address
# What this task, or thread, is loading at the moment. Tasks begun by a loader inherit it, and so do forked children.
_loading: contextvars.ContextVar[tuple[_Led, ...]] = contextvars.ContextVar("cachegrid_loading", default=())


def reload_of(address: bytes) -> bytes:
    """The name of the flight that loads anew what is served meanwhile: nobody who is served waits for it."""
    return b"reload:" + address


def refresh_of(address: bytes) -> bytes:
    """The name of the flight that loads anew by hand: who is content with what is there does not wait for it."""
    return b"refresh:" + address


def is_loading(address: bytes) -> bool:
    """
    Whether this very task or thread is in the middle of loading an address: it must not wait for itself.

    Through whichever grid object: several may be connected to the same members.
    """
    return any(address in led and not led[address].is_left() for led in _loading.get())


def is_spoiled(address: bytes) -> bool:
    """Whether what this very task or thread is loading was dropped since it began."""
    return any(address in led and led[address].is_spoiled for led in _loading.get())


def loads_under_way() -> tuple[_Led, ...]:
    """What this very task or thread is loading, without what an interrupted call has left there."""
    return tuple(led for led in _loading.get() if not all(flight.is_left() for flight in led.values()))


def say_loads(loads: tuple[_Led, ...]) -> None:
    """Say what this very task or thread is loading from here on."""
    _loading.set(loads)  # `reset` would refuse where a coroutine is disposed of by another task


class AsyncFlights:
    """
    Runs each load once, in this process and in the grid.

    If whoever loads is cancelled, interrupted or fails, the next one who waits takes over; a process that dies while
    loading is followed by another when its lease has ended.
    """

    def __init__(self, keeper: AsyncKeeper) -> None:
        self._keeper = keeper
        self._flights: dict[bytes, AsyncFlight] = {}

    async def land(self, landing: AsyncLanding) -> bytes:
        """
        The frame for an address: from the grid if it is there by now, else loaded.

        Raises LoadTimeout after waiting for others for too long, whatever `load` raises, and EngineError.
        """
        leader = AsyncLeader()
        try:
            return await self._land(landing, leader)
        finally:
            leader.leave()

    async def _land(self, landing: AsyncLanding, leader: AsyncLeader) -> bytes:
        deadline = time.monotonic() + landing.wait
        # The flight that was waited for in vain. What comes after it has begun after this caller asked.
        last: AsyncFlight | None = None
        while True:
            mine = AsyncFlight(landing.flight, landing.address, leader)
            flight = self._next(last, mine)
            if flight is mine:
                self._end_oldest()
                return await self._lead(landing, mine, deadline)
            is_first = last is None
            frame = await self._frame_of(
                flight,
                landing.wait,
                deadline,
                began_before=is_first and flight.has_begun,
                is_late=is_first and flight.has_frame,
            )
            if frame is not None:
                return frame
            last = flight

    def _next(self, last: AsyncFlight | None, mine: AsyncFlight) -> AsyncFlight:
        """The flight to wait for, the same for all who waited for another in vain; or `mine`, which is to be led."""
        if last is not None and last.heirs:
            return last.heirs[0]
        flight = self._flights.setdefault(mine.name, mine)
        if last is not None:
            last.heirs.append(flight)
        return flight

    async def _frame_of(
        self, flight: AsyncFlight, wait: float, deadline: float, *, began_before: bool, is_late: bool
    ) -> bytes | None:
        """
        Wait for a flight: its frame; None where this caller has to look again. Raises LoadTimeout and EngineError.

        What it had already when it was found (`is_late`) may have been dropped before this caller asked, and its
        leader would not know, who is done but for giving back the lease: who comes that late looks into the grid.
        """
        if not await self._has_landed(flight, wait, deadline):
            self._end(flight)
        elif flight.frame is not None and not is_late and (flight.is_for_all or not began_before):
            return flight.frame
        elif flight.trouble is not None:
            # One after the other, all who wait would only find the same, each after a deadline of its own.
            raise type(flight.trouble)(str(flight.trouble), where=flight.trouble.where) from flight.trouble
        return None

    async def _has_landed(self, flight: AsyncFlight, wait: float, deadline: float) -> bool:
        """Wait for a flight; whether it has landed, or else never will. Raises LoadTimeout."""
        while not flight.landed.is_lost:  # its loop has ended
            is_gone = flight.leader.is_gone  # before the last look: whoever lands says so before it leaves
            left = deadline - time.monotonic()
            if await flight.landed.wait(0 if is_gone else min(left, _GLANCE)):
                return True
            if is_gone:
                return False
            if left <= _GLANCE:
                raise waited_too_long(wait)
        return False

    def spoil(self, address: bytes) -> None:
        """Let what is being loaded for an address not be kept, since it was dropped; who asks now loads anew."""
        for name in (address, reload_of(address), refresh_of(address)):
            flight = self._flights.get(name)
            if flight is not None:
                flight.is_spoiled = True
                self._end(flight)

    def forget(self) -> None:
        """In a forked child: the flights are the parent's."""
        self._flights = {}

    def _end(self, flight: AsyncFlight) -> None:
        if self._flights.get(flight.name) is flight:
            del self._flights[flight.name]

    def _end_oldest(self) -> None:
        """Forget a flight that an interrupted call has left: one at a time, so that this costs no more with many."""
        with contextlib.suppress(RuntimeError, StopIteration):  # others begin and end theirs meanwhile
            oldest = next(iter(self._flights.values()))
            if oldest.is_left():
                self._end(oldest)

    async def _lead(self, landing: AsyncLanding, flight: AsyncFlight, deadline: float) -> bytes:
        before = loads_under_way()
        try:
            say_loads((*before, {flight.address: flight}))
            if landing.leases is None:
                # Looked up again although the caller just missed: a flight that landed in between has
                # stored the value, and the origin must not be asked twice for it.
                frame = await landing.look()
                flight.frame = frame if frame is not None else (await self._load(landing, flight, None))[0]
            else:
                flight.frame = await self._lead_in_grid(landing, landing.leases, flight, deadline)
            return flight.frame
        except EngineError as trouble:
            if not flight.has_begun:
                flight.trouble = trouble
            raise
        finally:
            self._over(flight)
            say_loads(before)

    def _over(self, flight: AsyncFlight) -> None:
        """Let those who wait go on."""
        flight.is_over = True
        self._end(flight)
        flight.landed.set()

    async def _load(self, landing: AsyncLanding, flight: AsyncFlight, token: bytes | None) -> tuple[bytes, bool]:
        """The frame, and whether the lease has ended with it."""
        flight.has_begun = True
        frame = await landing.load()
        flight.has_frame = True
        landed = await landing.store(frame, token)
        flight.is_for_all = landed.is_for_all
        return frame, landed.is_released

    async def _lead_in_grid(
        self, landing: AsyncLanding, leases: AsyncLeases, flight: AsyncFlight, deadline: float
    ) -> bytes:
        address = landing.address
        token = os.urandom(16)
        pause = 0.002
        started = time.monotonic()
        while True:
            got = await taken(leases, address, token, landing.lease)
            try:
                # After the lease was asked for: whoever had it before has stored its value by then.
                frame = await landing.look()
                if frame is not None:
                    flight.has_frame = True
                    return frame
                if got is None:
                    return (await self._load(landing, flight, UNLEASED))[0]
                if got:
                    self._keeper.hold(leases, address, token, landing.lease, flight.is_left)
                    frame, is_released = await self._load(landing, flight, token)
                    got = not is_released
                    return frame
            finally:
                self._keeper.let_go(token)
                if got:
                    await give_back(leases, address, token)
            if time.monotonic() >= deadline:
                raise waited_too_long(time.monotonic() - started)
            await sleep(pause)
            pause = min(pause * 1.5, 0.05)


async def taken(leases: AsyncLeases, address: bytes, token: bytes, lease: int) -> bool | None:
    """Whether the lease was taken; None where the grid takes no writes, while it may well be read."""
    try:
        return await take(leases, address, token, lease) is not None
    except (GridFull, WritesRefused):
        return None


def waited_too_long(seconds: float) -> LoadTimeout:
    return LoadTimeout(
        f"somebody else has been loading this entry for more than {seconds:.3g} s; "
        "give callers more time with wait=, or the loader less work"
    )
