"""
A process of the checker: reads and writes at a grid until it is told to stop, and records all of it.

It takes its orders as one line of JSON, says `ready`, begins at the next line, stops at the one after that, and leaves
what it recorded in a file. The lanes, which are tasks or threads, are written once: where calls need not be awaited
`drive` drives them, since nothing in them ever waits for anything else.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cachegrid
from cachegrid.errors import CacheError
from tests.crew.colours import Awaited, begin, blocking, drive, in_threads
from tests.near import rules
from tests.near.calls import Grid, Loader, Reads, Writes, note_near, reloading
from tests.near.history import History, save
from tests.near.keys import TAGGED, TAGS, keys_of

__all__ = ["CACHE", "Orders"]

CACHE: Final = "numbers"
_TURN: Final = 25  # reads before a lane lets the others have their turn
_CLEAR_EVERY: Final = 4.0  # seconds
_PATIENCE: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What a process has to do. `tags` is how many keys are named for each process; each has the slot of its tag."""

    url: str
    namespace: str
    process: str
    others: tuple[str, ...]  # all processes that write
    file: str
    at: int  # which of the others it is
    seed: int
    zero: float  # when all began, in seconds of the monotonic clock
    is_async: bool
    near: dict[str, Any] | None
    lanes: int
    tags: int
    kinds: tuple[str, ...]
    burst_pause: float  # seconds between two bursts of writes
    clears: bool = False
    without: str | None = None
    widen: tuple[str, ...] = ()

    def line(self) -> str:
        """As the process takes them."""
        return json.dumps(asdict(self))


def orders_in(line: str) -> Orders:
    """The orders that a line says."""
    told: dict[str, Any] = json.loads(line)
    return Orders(**{**told, **{name: tuple(said) for name, said in told.items() if isinstance(said, list)}})


class _Worker:
    """The lanes of one process."""

    def __init__(self, orders: Orders, grid: Grid, history: History, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._orders, self._grid, self._history, self._sleep = orders, grid, history, sleep
        self._own = keys_of(orders.process, orders.tags, orders.kinds)
        self._all = [key for process in orders.others for key in keys_of(process, orders.tags, orders.kinds)]
        self._cleared = 0.0
        self._reads: list[Reads] = []
        self._writes = Writes(
            grid,
            self._own,
            self._all,
            process=orders.process,
            zero=orders.zero,
            history=self._history,
            sleep=sleep,
            seed=orders.seed,
        )
        self.stopped = threading.Event()

    async def lane(self, number: int) -> None:
        """Read, and in the first lane write, until stopped."""
        chance = random.Random(f"{self._orders.seed} {number}")
        reads = Reads(self._grid, self._own, self._all, chance, self._orders.process, self._history)
        self._reads.append(reads)
        due = 0.0
        while not self.stopped.is_set():
            if number == 0 and time.monotonic() >= due:
                await self._write()
                due = time.monotonic() + self._orders.burst_pause * chance.uniform(0.5, 1.5)
            for _ in range(_TURN):
                try:
                    await reads.read()
                except CacheError as error:
                    self._history.count(f"reads that failed: {type(error).__name__}")
            await self._sleep(chance.uniform(0, 0.01))

    async def _write(self) -> None:
        await self._writes.burst()
        if self._orders.clears and time.monotonic() > self._cleared + _CLEAR_EVERY:
            self._cleared = time.monotonic()
            await self._writes.clear()

    def finish(self) -> History:
        """All that was recorded."""
        for reads in self._reads:
            self._history.reads += reads.recorder.finish()
            for what, times in reads.recorder.counts.items():
                self._history.count(what, times)
        return self._history


# The two colours.


class _AsyncGrid:
    def __init__(self, cache: Any, loader: Loader, process: str, history: History) -> None:
        async def known(key: str) -> Any:
            return await loader.load(key)

        async def noted(key: str, version: bytes, load: Any, terms: Any) -> None:
            with reloading(history, process, key, terms):
                await reload(key, version, load, terms)

        reload, cache._reload = cache._reload, noted
        self.cache, self._load = cache, loader.load
        self.function = cache.cached(known, name="known", key=str)
        note_near(cache)
        note_near(self.function.cache)

    def loader(self, key: str) -> Callable[[], Any]:
        return lambda: self._load(key)


class _SyncGrid:
    def __init__(self, cache: Any, loader: Loader, process: str, history: History) -> None:
        def known(key: str) -> Any:
            return drive(loader.load(key))

        def noted(key: str, version: bytes, load: Any, terms: Any) -> None:
            with reloading(history, process, key, terms):
                reload(key, version, load, terms)

        reload, cache._reload = cache._reload, noted
        function = cache.cached(known, name="known", key=str)
        self.cache, self._load = Awaited(cache), loader.load
        self.function = Awaited(function)
        note_near(cache)
        note_near(function.cache)

    def loader(self, key: str) -> Callable[[], Any]:
        return lambda: drive(self._load(key))


async def _run_async(orders: Orders) -> History:
    async with cachegrid.aconnect(orders.url, config={"namespace": orders.namespace}) as grid:
        cache = grid.cache(CACHE, near=orders.near)
        await _until_near(cache, orders, asyncio.sleep)
        made = _AsyncGrid(cache, Loader(orders.at, asyncio.sleep), orders.process, history := History())
        worker = _Worker(orders, made, history, asyncio.sleep)
        begin(worker.stopped)
        async with asyncio.TaskGroup() as lanes:
            for number in range(orders.lanes):
                lanes.create_task(worker.lane(number))
    return worker.finish()


def _run_sync(orders: Orders) -> History:
    sleep = blocking(time.sleep)
    with cachegrid.connect(orders.url, config={"namespace": orders.namespace}) as grid:
        cache = grid.cache(CACHE, near=orders.near)
        drive(_until_near(Awaited(cache), orders, sleep))
        made = _SyncGrid(cache, Loader(orders.at, sleep), orders.process, history := History())
        worker = _Worker(orders, made, history, sleep)
        begin(worker.stopped)
        in_threads((worker.lane(at) for at in range(orders.lanes)), worker.stopped)
    return worker.finish()


async def _until_near(cache: Any, orders: Orders, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Wait until what is read is kept: all owners are listened to."""
    deadline = time.monotonic() + _PATIENCE
    key = "is it heard?"
    await cache.set(key, 1)
    if not TAGGED.isdisjoint(orders.kinds):  # before any fault: who loses a tag loses all that has it
        await cache.set("are there tags?", 1, tags=TAGS)
    await cache.get(key)
    while orders.near is not None and not (await cache.get(key) and await _hits(cache)):
        if time.monotonic() > deadline:
            raise TimeoutError("nothing is kept near")
        await sleep(0.01)


async def _hits(cache: Any) -> int:
    told = cache.stats()
    return int((await told if isinstance(told, Coroutine) else told).near_hits)


def main() -> None:
    """Take orders, carry them out, and leave the record."""
    orders = orders_in(sys.stdin.readline())
    sys.setswitchinterval(0.001)
    rules.prepare(orders.without, orders.widen)
    history = asyncio.run(_run_async(orders)) if orders.is_async else _run_sync(orders)
    save(history, Path(orders.file))


if __name__ == "__main__":
    main()
