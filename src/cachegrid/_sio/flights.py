# Generated from src/cachegrid/_aio/flights.py by tools/colour.py. Edit that file, then run `make colour`.
"""Loads: one flight per address in this process, one lease per address in the grid."""

from __future__ import annotations

import contextlib
import contextvars
import os
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from cachegrid._sio.keeper import SyncKeeper, give_back, take
from cachegrid._sio.leader import SyncLeader
from cachegrid.engines._sio.protocol import SyncLeases
from cachegrid.errors import EngineError, GridFull, LoadTimeout, WritesRefused
from cachegrid.waits._sio import SyncEvent, sleep

__all__ = [
    "UNLEASED",
    "Landed",
    "SyncFlight",
    "SyncFlights",
    "SyncLanding",
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


class SyncLanding(NamedTuple):
    """How an address gets its frame."""

    flight: bytes  # its name in this process: who asks for the same one waits for it
    address: bytes  # names the lease
    look: Callable[[], bytes | None]  # asks the grid
    load: Callable[[], bytes]  # asks the origin
    store: Callable[[bytes, bytes | None], Landed]  # a frame, under a lease if there is one
    leases: SyncLeases | None  # None: the engine has none, and only this process loads once
    lease: int  # ms
    wait: float  # seconds


class SyncFlight:
    """One load in this process, that others wait for."""

    __slots__ = (
        "address", "frame", "has_begun", "has_frame", "heirs", "is_for_all", "is_over", "is_spoiled", "landed",
        "leader", "name", "trouble",
    )  # fmt: skip

    def __init__(self, name: bytes, address: bytes, leader: SyncLeader) -> None:
        self.name, self.address, self.leader = name, address, leader
        self.landed = SyncEvent()
        self.has_begun = self.has_frame = self.is_over = self.is_spoiled = False
        self.is_for_all = True
        self.frame: bytes | None = None
        self.trouble: EngineError | None = None  # of the grid, not of the loader
        self.heirs: list[SyncFlight] = []  # the first is for all who waited for this one in vain

    def is_left(self) -> bool:
        """Whether nobody leads it any longer: it has landed, or whoever led it was interrupted."""
        return self.is_over or self.leader.is_gone


_Led: TypeAlias = Mapping[bytes, SyncFlight]  # what one call leads, by address
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


class SyncFlights:
    """
    Runs each load once, in this process and in the grid.

    If whoever loads is cancelled, interrupted or fails, the next one who waits takes over; a process that dies while
    loading is followed by another when its lease has ended.
    """

    def __init__(self, keeper: SyncKeeper) -> None:
        self._keeper = keeper
        self._flights: dict[bytes, SyncFlight] = {}

    def land(self, landing: SyncLanding) -> bytes:
        """
        The frame for an address: from the grid if it is there by now, else loaded.

        Raises LoadTimeout after waiting for others for too long, whatever `load` raises, and EngineError.
        """
        leader = SyncLeader()
        try:
            return self._land(landing, leader)
        finally:
            leader.leave()

    def _land(self, landing: SyncLanding, leader: SyncLeader) -> bytes:
        deadline = time.monotonic() + landing.wait
        # The flight that was waited for in vain. What comes after it has begun after this caller asked.
        last: SyncFlight | None = None
        while True:
            mine = SyncFlight(landing.flight, landing.address, leader)
            flight = self._next(last, mine)
            if flight is mine:
                self._end_oldest()
                return self._lead(landing, mine, deadline)
            is_first = last is None
            frame = self._frame_of(
                flight,
                landing.wait,
                deadline,
                began_before=is_first and flight.has_begun,
                is_late=is_first and flight.has_frame,
            )
            if frame is not None:
                return frame
            last = flight

    def _next(self, last: SyncFlight | None, mine: SyncFlight) -> SyncFlight:
        """The flight to wait for, the same for all who waited for another in vain; or `mine`, which is to be led."""
        if last is not None and last.heirs:
            return last.heirs[0]
        flight = self._flights.setdefault(mine.name, mine)
        if last is not None:
            last.heirs.append(flight)
        return flight

    def _frame_of(
        self, flight: SyncFlight, wait: float, deadline: float, *, began_before: bool, is_late: bool
    ) -> bytes | None:
        """
        Wait for a flight: its frame; None where this caller has to look again. Raises LoadTimeout and EngineError.

        What it had already when it was found (`is_late`) may have been dropped before this caller asked, and its
        leader would not know, who is done but for giving back the lease: who comes that late looks into the grid.
        """
        if not self._has_landed(flight, wait, deadline):
            self._end(flight)
        elif flight.frame is not None and not is_late and (flight.is_for_all or not began_before):
            return flight.frame
        elif flight.trouble is not None:
            # One after the other, all who wait would only find the same, each after a deadline of its own.
            raise type(flight.trouble)(str(flight.trouble), where=flight.trouble.where) from flight.trouble
        return None

    def _has_landed(self, flight: SyncFlight, wait: float, deadline: float) -> bool:
        """Wait for a flight; whether it has landed, or else never will. Raises LoadTimeout."""
        while not flight.landed.is_lost:  # its loop has ended
            is_gone = flight.leader.is_gone  # before the last look: whoever lands says so before it leaves
            left = deadline - time.monotonic()
            if flight.landed.wait(0 if is_gone else min(left, _GLANCE)):
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

    def _end(self, flight: SyncFlight) -> None:
        if self._flights.get(flight.name) is flight:
            del self._flights[flight.name]

    def _end_oldest(self) -> None:
        """Forget a flight that an interrupted call has left: one at a time, so that this costs no more with many."""
        with contextlib.suppress(RuntimeError, StopIteration):  # others begin and end theirs meanwhile
            oldest = next(iter(self._flights.values()))
            if oldest.is_left():
                self._end(oldest)

    def _lead(self, landing: SyncLanding, flight: SyncFlight, deadline: float) -> bytes:
        before = loads_under_way()
        try:
            say_loads((*before, {flight.address: flight}))
            if landing.leases is None:
                # Looked up again although the caller just missed: a flight that landed in between has
                # stored the value, and the origin must not be asked twice for it.
                frame = landing.look()
                flight.frame = frame if frame is not None else (self._load(landing, flight, None))[0]
            else:
                flight.frame = self._lead_in_grid(landing, landing.leases, flight, deadline)
            return flight.frame
        except EngineError as trouble:
            if not flight.has_begun:
                flight.trouble = trouble
            raise
        finally:
            self._over(flight)
            say_loads(before)

    def _over(self, flight: SyncFlight) -> None:
        """Let those who wait go on."""
        flight.is_over = True
        self._end(flight)
        flight.landed.set()

    def _load(self, landing: SyncLanding, flight: SyncFlight, token: bytes | None) -> tuple[bytes, bool]:
        """The frame, and whether the lease has ended with it."""
        flight.has_begun = True
        frame = landing.load()
        flight.has_frame = True
        landed = landing.store(frame, token)
        flight.is_for_all = landed.is_for_all
        return frame, landed.is_released

    def _lead_in_grid(self, landing: SyncLanding, leases: SyncLeases, flight: SyncFlight, deadline: float) -> bytes:
        address = landing.address
        token = os.urandom(16)
        pause = 0.002
        started = time.monotonic()
        while True:
            got = taken(leases, address, token, landing.lease)
            try:
                # After the lease was asked for: whoever had it before has stored its value by then.
                frame = landing.look()
                if frame is not None:
                    flight.has_frame = True
                    return frame
                if got is None:
                    return (self._load(landing, flight, UNLEASED))[0]
                if got:
                    self._keeper.hold(leases, address, token, landing.lease, flight.is_left)
                    frame, is_released = self._load(landing, flight, token)
                    got = not is_released
                    return frame
            finally:
                self._keeper.let_go(token)
                if got:
                    give_back(leases, address, token)
            if time.monotonic() >= deadline:
                raise waited_too_long(time.monotonic() - started)
            sleep(pause)
            pause = min(pause * 1.5, 0.05)


def taken(leases: SyncLeases, address: bytes, token: bytes, lease: int) -> bool | None:
    """Whether the lease was taken; None where the grid takes no writes, while it may well be read."""
    try:
        return take(leases, address, token, lease) is not None
    except (GridFull, WritesRefused):
        return None


def waited_too_long(seconds: float) -> LoadTimeout:
    return LoadTimeout(
        f"somebody else has been loading this entry for more than {seconds:.3g} s; "
        "give callers more time with wait=, or the loader less work"
    )
