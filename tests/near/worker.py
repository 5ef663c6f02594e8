"""
A process of the checker: reads and writes at a grid until it is told to stop, and records all of it.

It takes its orders as one line of JSON, says `ready`, begins at the next line, stops at the one after that, and leaves
what it recorded in a file. The lanes, which are tasks or threads, are written once: where calls need not be awaited
`_drive` drives them, since nothing in them ever waits for anything else.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cachegrid
from cachegrid.errors import CacheError
from tests.near import rules
from tests.near.history import NOTHING, Clear, History, Recorder, Write, save

__all__ = ["CACHE", "Orders", "keys_of"]

CACHE: Final = "numbers"
_TURN: Final = 25  # reads before a lane lets the others have their turn
_CLEAR_EVERY: Final = 4.0  # seconds
_PATIENCE: Final = 10.0

_was_near: ContextVar[list[bool]] = ContextVar("_was_near")


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What a process has to do. `tags` is how many keys each process writes; each has the slot of its tag."""

    url: str
    namespace: str
    process: str
    others: tuple[str, ...]  # all processes that write
    file: str
    seed: int
    is_async: bool
    near: dict[str, Any] | None
    lanes: int
    tags: int
    burst_pause: float  # seconds between two bursts of writes
    clears: bool = False
    without: str | None = None
    widen: tuple[str, ...] = ()

    def line(self) -> str:
        """As the process takes them."""
        return json.dumps(asdict(self))


def keys_of(process: str, tags: int) -> list[str]:
    """The keys that a process writes."""
    return [f"{{{tag}}}{process}" for tag in range(tags)]


class _Values:
    """Numbers of writes as values of all kinds: those that may be handed out as they are, and those that may not."""

    @staticmethod
    def of(key: str, number: int) -> Any:
        kind = len(key) + ord(key[1]) + ord(key[2])
        return (number, f"{number}", [number, {"is": key}], ("n", number))[kind % 4]

    @staticmethod
    def number(value: Any) -> int:
        if value is None:
            return NOTHING
        if isinstance(value, list):
            return int(value[0])
        return int(value[1] if isinstance(value, tuple) else value)


class _Worker:
    """The lanes of one process, on one cache."""

    def __init__(self, orders: Orders, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._orders, self._sleep = orders, sleep
        self._cache: Any = None
        self._own = keys_of(orders.process, orders.tags)
        self._all = [key for process in orders.others for key in keys_of(process, orders.tags)]
        self._numbers = dict.fromkeys(self._own, 0)
        self._cycle = itertools.cycle(random.Random(orders.seed).sample(self._own, len(self._own)))
        self._cleared = 0.0
        self.history = History()
        self.recorders: list[Recorder] = []
        self.stopped = threading.Event()

    def use(self, cache: Any) -> None:
        """Read and write this cache; notes which reads were answered by a copy."""
        self._cache = cache
        look = getattr(cache, "_near", None)
        if look is not None:
            unknown = look("not yet")

            def near(key: Any) -> Any:
                value = look(key)
                _was_near.get([]).append(value is not unknown)
                return value

            cache._near = near

    async def lane(self, number: int) -> None:
        """Read, and in the first lane write, until stopped."""
        chance = random.Random(f"{self._orders.seed} {number}")
        recorder = Recorder(self._orders.process)
        self.recorders.append(recorder)
        due = 0.0
        while not self.stopped.is_set():
            if number == 0 and time.monotonic() >= due:
                await self._burst(chance)
                due = time.monotonic() + self._orders.burst_pause * chance.uniform(0.5, 1.5)
            for _ in range(_TURN):
                try:
                    await self._read(chance, recorder)
                except CacheError as error:
                    self.history.count(f"reads that failed: {type(error).__name__}")
            await self._sleep(chance.uniform(0, 0.01))

    # Reading.

    async def _read(self, chance: random.Random, recorder: Recorder) -> None:
        if chance.random() < 0.05:
            keys = chance.sample(self._all, 6)
            was_near = _note()
            began = time.monotonic()
            found = await self._cache.get_many(keys)
            ended = time.monotonic()
            for at, key in enumerate(keys):
                near = bool(was_near) and was_near[at]
                recorder.read(key, began, ended, _Values.number(found.get(key)), near=near)
        else:
            key = chance.choice(self._own if chance.random() < 0.3 else self._all)
            was_near = _note()
            began = time.monotonic()
            value = await self._cache.get(key)
            ended = time.monotonic()
            recorder.read(key, began, ended, _Values.number(value), near=bool(was_near) and was_near[0])

    # Writing.

    async def _burst(self, chance: random.Random) -> None:
        key = next(self._cycle)
        # The first of its keys are written all the time.
        hot = self._own[chance.randrange(2)]
        for _ in range(chance.choice((1, 1, 2, 3))):
            await self._write([hot if chance.random() < 0.2 else key], chance)
            await self._sleep(chance.choice((0, 0.01)))
        if chance.random() < 0.3:
            await self._write(list(dict.fromkeys([hot, key])), chance)
        if self._orders.clears and time.monotonic() > self._cleared + _CLEAR_EVERY:
            self._cleared = time.monotonic()
            await self._clear()

    async def _write(self, keys: list[str], chance: random.Random) -> None:
        for key in keys:
            self._numbers[key] += 1
        values = {key: _Values.of(key, self._numbers[key]) for key in keys}
        drops = len(keys) == 1 and chance.random() < 0.2
        [key, *_] = keys
        done, began = False, time.monotonic()
        try:
            if drops:
                await self._cache.delete(key)
            elif len(keys) > 1:
                await self._cache.set_many(values)
            else:
                await self._cache.set(key, values[key])
            done = True
        except CacheError as error:
            self.history.count(f"writes that failed: {type(error).__name__}")
        ended = time.monotonic()
        for one in keys:
            process = self._orders.process
            self.history.writes.append(Write(process, one, self._numbers[one], began, ended, drops, done))

    async def _clear(self) -> None:
        done, began = False, time.monotonic()
        try:
            await self._cache.clear()
            done = True
        except CacheError as error:
            self.history.count(f"clears that failed: {type(error).__name__}")
        self.history.clears.append(Clear(self._orders.process, began, time.monotonic(), done))

    def finish(self) -> History:
        """All that was recorded."""
        for recorder in self.recorders:
            self.history.reads += recorder.finish()
            for what, times in recorder.counts.items():
                self.history.count(what, times)
        return self.history


def _note() -> list[bool]:
    """Where it is noted of the keys asked for next, in this thread or task, whether they were near."""
    noted: list[bool] = []
    _was_near.set(noted)
    return noted


# The two colours.


async def _run_async(orders: Orders) -> History:
    worker = _Worker(orders, asyncio.sleep)
    async with cachegrid.aconnect(orders.url, config={"namespace": orders.namespace}) as grid:
        cache = grid.cache(CACHE, near=orders.near)
        await _until_near(cache, orders, asyncio.sleep)
        worker.use(cache)
        _begin(worker)
        async with asyncio.TaskGroup() as lanes:
            for number in range(orders.lanes):
                lanes.create_task(worker.lane(number))
    return worker.finish()


def _run_sync(orders: Orders) -> History:
    worker = _Worker(orders, _blocking(time.sleep))
    with cachegrid.connect(orders.url, config={"namespace": orders.namespace}) as grid:
        cache = grid.cache(CACHE, near=orders.near)
        _drive(_until_near(_Awaited(cache), orders, _blocking(time.sleep)))
        worker.use(cache)
        worker._cache = _Awaited(cache)
        _begin(worker)
        lanes = [threading.Thread(target=lambda at=at: _drive(worker.lane(at))) for at in range(orders.lanes)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
    return worker.finish()


class _Awaited:
    """A sync cache whose methods are awaited, and never wait for the loop that is not there."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return _blocking(getattr(self._cache, name))


def _blocking(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def call(*args: Any) -> Any:
        return function(*args)

    return call


def _drive(work: Coroutine[Any, Any, None]) -> None:
    try:
        work.send(None)
    except StopIteration:
        return
    raise RuntimeError("a lane waited for a loop, and there is none")


async def _until_near(cache: Any, orders: Orders, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Wait until what is read is kept: all owners are listened to."""
    deadline = time.monotonic() + _PATIENCE
    key = "is it heard?"
    await cache.set(key, 1)
    await cache.get(key)
    while orders.near is not None and not (await cache.get(key) and await _hits(cache)):
        if time.monotonic() > deadline:
            raise TimeoutError("nothing is kept near")
        await sleep(0.01)


async def _hits(cache: Any) -> int:
    told = cache.stats()
    return int((await told if isinstance(told, Coroutine) else told).near_hits)


def _begin(worker: _Worker) -> None:
    """Say that all is ready, wait for the word to begin, and stop at the next one."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()

    def listen() -> None:
        sys.stdin.readline()
        worker.stopped.set()

    threading.Thread(target=listen, daemon=True).start()


def main() -> None:
    """Take orders, carry them out, and leave the record."""
    told = json.loads(sys.stdin.readline())
    orders = Orders(**{**told, "others": tuple(told["others"]), "widen": tuple(told["widen"])})
    sys.setswitchinterval(0.001)
    rules.prepare(orders.without, orders.widen)
    history = asyncio.run(_run_async(orders)) if orders.is_async else _run_sync(orders)
    save(history, Path(orders.file))


if __name__ == "__main__":
    main()
