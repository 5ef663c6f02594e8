"""What the tasks, or threads, of a process call, each at a pace of its own; every call is recorded as it went."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any, Final, Protocol

from cachegrid.errors import CacheError, ServerRefused
from tests.chaos.history import ADDED_BEFORE, DONE, NOTHING, Call, History, Hold

__all__ = ["Grid", "Lane", "Mix", "lanes_of", "number_of", "value_of"]

Sleep = Callable[[float], Awaitable[None]]

REGISTERS: Final = 12  # of each lane that writes
SHARED: Final = 4  # of each durability: that all count on, and that all change
LOCKS: Final = 3
BATCH: Final = 5
LATE: Final = 0.25  # seconds behind its pace, from which on a lane lets go what it has missed
LOADS: Final = 10.0  # keys in a second that somebody has to load
HOLD: Final = 0.005  # seconds
LEASE: Final = 2.0
PAD: Final = "." * 80


class Grid(Protocol):
    """What is read and written. The colours differ in what a loader is, and in what is to be awaited."""

    def cache(self, kept: str) -> Any:
        """The cache, whose writes wait for what `kept` says."""

    def lock(self, kept: str, key: str) -> Any:
        """A lock of that cache."""

    def load(self, key: str, loaded: list[str]) -> Awaitable[Any]:
        """What is loaded for a key; `loaded` has the key then if this call loaded it."""


@dataclass(frozen=True, kw_only=True)
class Mix:
    """How many calls a process makes in a second, of what kind."""

    rate: float = 500.0
    kept: tuple[str, ...] = ("memory", "replicated")
    reads: int = 3  # lanes
    writes: int = 2  # lanes, for each durability
    tag: str = ""  # what all keys begin with

    def writers(self, process: str) -> list[tuple[int, str]]:
        """The lanes that write, and how sure."""
        slow = [kept for kept in self.kept if kept == "disk"]
        lanes = [kept for kept in self.kept if kept != "disk" for _ in range(self.writes)] + slow * self.writes
        return list(enumerate(lanes, 100))


def value_of(key: str, number: int) -> str:
    """The value that stands for the number of a write."""
    return f"{number}|{key}|{PAD}"


def number_of(key: str, value: object) -> int:
    """The number of a value, NOTHING for none; one that nobody wrote under this key is -1."""
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return value
    number, _, rest = str(value).partition("|")
    return int(number) if rest.startswith(f"{key}|") else -1


class Lane:
    """One task or thread: makes calls one after the other, and records them."""

    def __init__(self, number: int, rate: float, act: Callable[[Lane], Awaitable[None]], *, who: Who) -> None:
        self.number, self._period, self._act = number, 1 / rate, act
        self.who, self.chance = who, random.Random(f"{who.seed} {number}")
        self.written: deque[str] = deque(maxlen=50)
        self.next_number = 0

    async def run(self) -> None:
        """Call and call until stopped."""
        due = time.monotonic() + self.chance.uniform(0, self._period)
        while not self.who.stopped.is_set():
            now = time.monotonic()
            if due > now:
                await self.who.sleep(due - now)
            due = max(due, now - LATE) + self._period
            await self._act(self)

    async def call(
        self, op: str, keys: Sequence[str], kept: str, work: Awaitable[Any], number: Callable[[str, Any], int]
    ) -> Any:
        """Record a call; `number` tells, of each key, what the result means, or was written where it is None."""
        outcome, result, began = DONE, None, time.monotonic()
        try:
            result = await work
        except Exception as error:  # noqa: BLE001 - whatever an app would meet is what is to be known
            outcome = _name_of(error)
        ended = time.monotonic()
        process, calls = self.who.process, self.who.history.calls
        for key in keys:
            calls.append(Call(process, self.number, op, key, number(key, result), began, ended, outcome, kept))
        return result


@dataclass(kw_only=True)
class Who:
    """What the lanes of a process share."""

    process: str
    others: Sequence[str]
    seed: int
    mix: Mix
    grid: Grid
    sleep: Sleep
    history: History
    stopped: threading.Event


def lanes_of(who: Who) -> list[Lane]:
    """All lanes of a process."""
    mix, part = who.mix, who.mix.rate / 100
    found = [Lane(at, 66 * part / mix.reads, _read, who=who) for at in range(mix.reads)]
    writers = mix.writers(who.process)
    quick = [number for number, kept in writers if kept != "disk"]
    for number, kept in writers:
        rate = 5.0 if kept == "disk" else 20 * part / len(quick)
        found.append(Lane(number, rate, _writing(kept), who=who))
    shared = [kept for kept in mix.kept if kept != "disk"]
    found += [Lane(200 + at, 8 * part / len(shared), _sharing(kept), who=who) for at, kept in enumerate(shared)]
    found += [Lane(300 + at, 0.5 * part, _locking(kept), who=who) for at, kept in enumerate(shared)]
    return [*found, Lane(400, 5 * part, _load, who=who)]


async def _read(lane: Lane) -> None:
    who, dice = lane.who, lane.chance.random()
    process = lane.chance.choice(who.others)
    number, kept = lane.chance.choice(who.mix.writers(process))
    cache = who.grid.cache("memory")
    if dice < 0.1:
        keys = [_register(who.mix.tag, process, number, at) for at in lane.chance.sample(range(REGISTERS), BATCH)]
        await lane.call("get_many", keys, kept, cache.get_many(keys), _found_among)
        return
    key = _register(who.mix.tag, process, number, lane.chance.randrange(REGISTERS))
    await lane.call("get", [key], kept, cache.get(key), _found)


def _found(key: str, value: object) -> int:
    return number_of(key, value)


def _found_among(key: str, found: Mapping[str, object] | None) -> int:
    return number_of(key, found.get(key) if found else None)


def _added(_: str, is_new: object) -> int:
    return ADDED_BEFORE if is_new is False else 1


def _writing(kept: str) -> Callable[[Lane], Awaitable[None]]:
    async def write(lane: Lane) -> None:
        who, dice, cache = lane.who, lane.chance.random(), lane.who.grid.cache(kept)
        process, tag = who.process, who.mix.tag
        lane.next_number += 1
        number = lane.next_number
        if dice < 0.6 and kept != "disk":
            key = _register(tag, process, lane.number, lane.chance.randrange(REGISTERS))
            await lane.call("set", [key], kept, cache.set(key, value_of(key, number)), lambda *_: number)
        elif dice < 0.75:
            key = f"{tag}log:{process}:{lane.number}:{number}"
            await lane.call("add", [key], kept, cache.add(key, value_of(key, 1)), _added)
        elif dice < 0.9:
            key = f"{tag}log:{process}:{lane.number}:{number}"
            await lane.call("set", [key], kept, cache.set(key, value_of(key, 1)), lambda *_: 1)
            lane.written.append(key)
        elif dice < 0.95 and lane.written:
            key = lane.chance.choice(lane.written)
            await lane.call("get", [key], kept, cache.get(key), _found)
        else:
            keys = [f"{tag}log:{process}:{lane.number}:{number}:{at}" for at in range(BATCH)]
            values = {key: value_of(key, 1) for key in keys}
            await lane.call("set_many", keys, kept, cache.set_many(values), lambda *_: 1)

    return write


def _sharing(kept: str) -> Callable[[Lane], Awaitable[None]]:
    async def share(lane: Lane) -> None:
        cache, at, tag = lane.who.grid.cache(kept), lane.chance.randrange(SHARED), lane.who.mix.tag
        if lane.chance.random() < 0.7:
            key = f"{tag}count:{kept}:{at}"
            await lane.call("incr", [key], kept, cache.incr(key, 1), lambda _, told: told or NOTHING)
            return
        key = f"{tag}change:{kept}:{at}"
        await lane.call("change", [key], kept, _changed(lane, cache, key), lambda _, told: told or NOTHING)

    return share


async def _changed(lane: Lane, cache: Any, key: str) -> int:
    """One more, if nobody came in between; else NOTHING."""
    entry = await cache.entry(key)
    number = 1 if entry is None else number_of(key, entry.value) + 1
    value = value_of(key, number)
    is_stored = await (cache.add(key, value) if entry is None else cache.compare_and_set(key, entry.version, value))
    return number if is_stored else NOTHING


def _locking(kept: str) -> Callable[[Lane], Awaitable[None]]:
    async def lock(lane: Lane) -> None:
        who, key = lane.who, f"lock:{kept}:{lane.chance.randrange(LOCKS)}"
        lock = who.grid.lock(kept, key)
        outcome, loss, began = DONE, DONE, time.monotonic()
        try:
            fence = await lock.acquire()
            ended = time.monotonic()
        except CacheError as error:
            now = time.monotonic()
            who.history.holds.append(Hold(who.process, key, 0, began, now, now, _name_of(error), kept, now))
            return
        await who.sleep(HOLD)
        until = time.monotonic()
        try:
            await lock.release()
        except CacheError as error:
            loss = _name_of(error)
        now = time.monotonic()
        who.history.holds.append(Hold(who.process, key, fence, began, ended, until, outcome, kept, now, loss))

    return lock


async def _load(lane: Lane) -> None:
    # All processes ask for the same few keys at a time, and every now and then for new ones.
    key = f"load:{int(time.monotonic() * LOADS) - lane.chance.randrange(20)}"
    loaded: list[str] = []
    result, began = None, time.monotonic()
    outcome = DONE
    try:
        result = await lane.who.grid.load(key, loaded)
    except Exception as error:  # noqa: BLE001 - as in `call`
        outcome = _name_of(error)
    ended = time.monotonic()
    op = "load" if loaded or outcome != DONE else "hit"
    number = number_of(key, result)
    lane.who.history.calls.append(Call(lane.who.process, lane.number, op, key, number, began, ended, outcome, "memory"))


def _register(tag: str, process: str, lane: int, at: int) -> str:
    return f"{tag}register:{process}:{lane}:{at}"


def _name_of(error: Exception) -> str:
    """By what an error is counted: its class, and what the server said where it has no class of its own."""
    name = type(error).__name__
    if type(error) is ServerRefused:
        return f"{name} ({shorten(str(error).rpartition('refused: ')[2], 80, placeholder=' …')})"
    return name if isinstance(error, CacheError) else f"!{name} ({shorten(str(error), 80, placeholder=' …')})"
