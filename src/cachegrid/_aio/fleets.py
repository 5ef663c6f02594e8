"""Loads of many: one call of a loader for all that nobody else loads, and a lease and a flight for each of them."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from cachegrid._aio.flights import (
    UNLEASED,
    AsyncFlight,
    AsyncFlights,
    Landed,
    loads_under_way,
    say_loads,
    taken,
    waited_too_long,
)
from cachegrid._aio.keeper import give_back
from cachegrid._aio.leader import AsyncLeader
from cachegrid.engines._aio.protocol import AsyncLeases
from cachegrid.errors import EngineError
from cachegrid.waits._aio import sleep, together

__all__ = ["AsyncFleet", "AsyncFleets"]

T = TypeVar("T")

_PAGE: Final = 200  # requests that are under way at a time: others of this process have a turn in between


@dataclass(slots=True, kw_only=True)
class AsyncFleet:
    """How many addresses get their frames."""

    addresses: Sequence[bytes]  # each names its flight, and its lease
    look: Callable[[list[bytes]], Awaitable[dict[bytes, bytes]]]  # asks the grid: what is there
    load: Callable[[list[bytes]], Awaitable[dict[bytes, bytes]]]  # asks the origin: what it has
    store: Callable[[bytes, bytes, bytes | None], Awaitable[Landed]]  # a frame, under a lease if there is one
    leases: AsyncLeases | None  # None: the engine has none, and only this process loads once
    lease: int  # ms
    wait: float  # seconds
    deadline: float = field(init=False)  # for waiting; what its own loads take is none of that

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.wait


class _Led:
    """The flights that one call leads, with a lease for each that it has to give back."""

    def __init__(self, flights: dict[bytes, AsyncFlight]) -> None:
        self.flights = flights
        self.left = dict(flights)  # those without an outcome
        self.tokens = {name: os.urandom(16) for name in flights}
        self.held: set[bytes] = set()


class AsyncFleets(AsyncFlights):
    """
    Loads many at once, each of them once in this process and in the grid.

    Whoever loads waits for nobody while it has a lease, and for no flight while it leads one: so two who want the
    same, in another order, never wait for each other.
    """

    async def land_many(self, fleet: AsyncFleet) -> dict[bytes, bytes]:
        """
        The frames for addresses, of those that the grid or the origin has.

        Raises LoadTimeout after waiting for others for too long, whatever `load` raises, and EngineError.
        """
        leader = AsyncLeader()
        try:
            return await self._land_many(fleet, leader)
        finally:
            leader.leave()

    async def _land_many(self, fleet: AsyncFleet, leader: AsyncLeader) -> dict[bytes, bytes]:
        frames: dict[bytes, bytes] = {}
        left = list(fleet.addresses)
        began_before = True  # the flights that are waited for: before this caller asked
        while left:
            mine, others = self._begin(left, leader)
            if mine:
                self._end_oldest()
                frames |= await self._lead_many(fleet, _Led(mine))
            left = []
            for name, (flight, is_late) in others.items():
                frame = await self._frame_of(
                    flight, fleet.wait, fleet.deadline, began_before=began_before, is_late=is_late
                )
                if frame is None:
                    left.append(name)
                else:
                    frames[name] = frame
            began_before = False
        return frames

    def _begin(
        self, names: Iterable[bytes], leader: AsyncLeader
    ) -> tuple[dict[bytes, AsyncFlight], dict[bytes, tuple[AsyncFlight, bool]]]:
        """The flights that begin here, and those that are under way; of these, whether this caller comes too late."""
        mine: dict[bytes, AsyncFlight] = {}
        others: dict[bytes, tuple[AsyncFlight, bool]] = {}
        for name in names:
            made = AsyncFlight(name, name, leader)
            flight = self._flights.setdefault(name, made)
            if flight is made:
                mine[name] = made
            else:
                others[name] = flight, flight.has_frame
        return mine, others

    async def _lead_many(self, fleet: AsyncFleet, led: _Led) -> dict[bytes, bytes]:
        before = loads_under_way()
        flights = led.flights
        try:
            say_loads((*before, flights))
            if fleet.leases is None:
                await self._look_many(fleet, led)
                await self._load_many(fleet, led, list(led.left), is_leased=False)
            else:
                await self._lead_many_in_grid(fleet, fleet.leases, led)
            return {name: flight.frame for name, flight in flights.items() if flight.frame is not None}
        except EngineError as trouble:
            for flight in led.left.values():
                if not flight.has_begun:
                    flight.trouble = trouble
            raise
        finally:
            for flight in led.left.values():
                self._over(flight)
            say_loads(before)

    async def _lead_many_in_grid(self, fleet: AsyncFleet, leases: AsyncLeases, led: _Led) -> None:
        pause, started = 0.002, fleet.deadline - fleet.wait
        while True:
            led.held = set(led.left)  # until it is known: who is interrupted while asking may have one
            try:
                got = await self._take_many(fleet, leases, led)
                # After the leases were asked for: whoever had one before has stored its value by then.
                await self._look_many(fleet, led)
                free = [name for name in led.left if got[name] is None]
                await self._load_many(fleet, led, free, is_leased=None)
                await self._load_many(fleet, led, [name for name in led.left if got[name]], is_leased=True)
            finally:
                await self._give_back(leases, led)
            if not led.left:
                return
            if time.monotonic() >= fleet.deadline:
                raise waited_too_long(time.monotonic() - started)
            await sleep(pause)
            pause = min(pause * 1.5, 0.05)

    async def _take_many(self, fleet: AsyncFleet, leases: AsyncLeases, led: _Led) -> dict[bytes, bool | None]:
        """Whether each lease was taken; None where the grid takes no writes."""
        names = list(led.left)
        answers = await _paged([partial(taken, leases, name, led.tokens[name], fleet.lease) for name in names])
        got = dict(zip(names, answers, strict=True))
        led.held = {name for name, is_taken in got.items() if is_taken}
        return got

    async def _look_many(self, fleet: AsyncFleet, led: _Led) -> None:
        for name, frame in (await fleet.look(list(led.left))).items():
            self._has_come(led, name, frame)

    async def _load_many(self, fleet: AsyncFleet, led: _Led, names: list[bytes], *, is_leased: bool | None) -> None:
        """Ask the origin for some, and store what it has; `is_leased` is None where the grid takes no writes."""
        if not names:
            return
        for name in names:
            flight = led.left[name]
            flight.has_begun = True
            if is_leased and fleet.leases is not None:
                self._keeper.hold(fleet.leases, name, led.tokens[name], fleet.lease, flight.is_left)
        began = time.monotonic()
        frames = await fleet.load(names)
        fleet.deadline += time.monotonic() - began
        for name in frames:
            led.left[name].has_frame = True
        tokens = {name: led.tokens[name] if is_leased else None if is_leased is False else UNLEASED for name in frames}
        landed = await _paged([partial(fleet.store, name, frame, tokens[name]) for name, frame in frames.items()])
        for (name, frame), outcome in zip(frames.items(), landed, strict=True):
            if outcome.is_released:
                self._no_longer(led, name)
            led.left[name].is_for_all = outcome.is_for_all
            self._has_come(led, name, frame)
        for name in set(names).difference(frames):  # what the origin does not have: who waits asks for himself
            self._over(led.left.pop(name))

    def _has_come(self, led: _Led, name: bytes, frame: bytes) -> None:
        flight = led.left.pop(name)
        flight.has_frame, flight.frame = True, frame
        self._over(flight)

    def _no_longer(self, led: _Led, name: bytes) -> None:
        self._keeper.let_go(led.tokens[name])
        led.held.discard(name)

    async def _give_back(self, leases: AsyncLeases, led: _Led) -> None:
        held = list(led.held)
        for name in held:
            self._no_longer(led, name)
        await _paged([partial(give_back, leases, name, led.tokens[name]) for name in held])


async def _paged(works: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    return [it for at in range(0, len(works), _PAGE) for it in await together(works[at : at + _PAGE])]
