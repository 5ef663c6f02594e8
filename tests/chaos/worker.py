"""A process that uses a grid, sync or async, until it is told to stop, and leaves a record of each call in a file."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cachegrid
from tests.chaos.history import History, save
from tests.chaos.lanes import LEASE, Mix, Who, lanes_of, value_of
from tests.crew.colours import Awaited, begin, blocking, in_threads

__all__ = ["CACHE", "Orders"]

CACHE: Final = "chaos"
WAIT: Final = 10.0  # seconds for a lock that others have


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What a process has to do."""

    url: str
    namespace: str
    process: str
    others: tuple[str, ...]  # all that write
    file: str
    seed: int
    is_async: bool
    rate: float
    kept: tuple[str, ...]
    tag: str = ""  # what all keys begin with; in braces, all are of one slot

    def line(self) -> str:
        """As the process takes them."""
        return json.dumps(asdict(self))


def orders_in(line: str) -> Orders:
    """The orders that a line says."""
    told: dict[str, Any] = json.loads(line)
    return Orders(**{**told, "others": tuple(told["others"]), "kept": tuple(told["kept"])})


def _who(orders: Orders, grid: Any, sleep: Any) -> Who:
    return Who(
        process=orders.process,
        others=orders.others,
        seed=orders.seed,
        mix=Mix(rate=orders.rate, kept=orders.kept, tag=orders.tag),
        grid=grid,
        sleep=sleep,
        history=History(),
        stopped=threading.Event(),
    )


class _AsyncGrid:
    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def cache(self, kept: str) -> Any:
        return self._cache.with_durability(kept)

    def lock(self, kept: str, key: str) -> Any:
        return self.cache(kept).lock(key, lease=LEASE, wait=WAIT)

    def load(self, key: str, loaded: list[str]) -> Awaitable[Any]:
        async def loader() -> str:
            loaded.append(key)
            await asyncio.sleep(0.002)
            return value_of(key, 1)

        work: Awaitable[Any] = self._cache.get_or_load(key, loader)
        return work


class _SyncGrid:
    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self._awaited: dict[str, Any] = {}

    def cache(self, kept: str) -> Any:
        if kept not in self._awaited:
            self._awaited[kept] = Awaited(self._cache.with_durability(kept))
        return self._awaited[kept]

    def lock(self, kept: str, key: str) -> Any:
        return Awaited(self._cache.with_durability(kept).lock(key, lease=LEASE, wait=WAIT))

    def load(self, key: str, loaded: list[str]) -> Awaitable[Any]:
        def loader() -> str:
            loaded.append(key)
            time.sleep(0.002)
            return value_of(key, 1)

        return blocking(self._cache.get_or_load)(key, loader)


async def _run_async(orders: Orders) -> History:
    async with cachegrid.aconnect(orders.url, config={"namespace": orders.namespace}) as grid:
        cache = grid.cache(CACHE)
        who = _who(orders, _AsyncGrid(cache), asyncio.sleep)
        for kept in orders.kept:
            await cache.with_durability(kept).set(f"warm:{orders.process}", "1")
        begin(who.stopped)
        async with asyncio.TaskGroup() as tasks:
            for lane in lanes_of(who):
                tasks.create_task(lane.run())
    return who.history


def _run_sync(orders: Orders) -> History:
    with cachegrid.connect(orders.url, config={"namespace": orders.namespace}) as grid:
        cache = grid.cache(CACHE)
        who = _who(orders, _SyncGrid(cache), blocking(time.sleep))
        for kept in orders.kept:
            cache.with_durability(kept).set(f"warm:{orders.process}", "1")
        begin(who.stopped)
        in_threads((lane.run() for lane in lanes_of(who)), who.stopped)
    return who.history


def main() -> None:
    """Take orders, carry them out, and leave the record."""
    orders = orders_in(sys.stdin.readline())
    sys.setswitchinterval(0.001)
    history = asyncio.run(_run_async(orders)) if orders.is_async else _run_sync(orders)
    save(history, Path(orders.file))


if __name__ == "__main__":
    main()
