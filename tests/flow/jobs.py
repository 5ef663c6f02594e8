"""What a worker process does when the crew is told to; run as a program, it takes one job a line."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cachegrid
from cachegrid import SyncGrid

_grids: dict[tuple[str, str], SyncGrid] = {}


class Kind(enum.Enum):
    SMALL = "small"


@dataclasses.dataclass(frozen=True)
class Item:
    name: str
    kind: Kind


def grid_of(url: str, namespace: str) -> SyncGrid:
    """The worker's grid at a URL, connected once."""
    known = _grids.get((url, namespace))
    if known is None:
        known = _grids[url, namespace] = cachegrid.connect(url, config={"namespace": namespace})
    return known


def count(url: str, namespace: str, times: int, **policy: Any) -> list[int]:
    """Add 1 to one counter, so often; every sum."""
    cache = grid_of(url, namespace).cache("counters", **policy)
    return [cache.incr("key") for _ in range(times)]


def add(url: str, namespace: str, keys: int, value: int) -> list[bool]:
    """Add each of so many keys; whether it was stored."""
    cache = grid_of(url, namespace).cache("added")
    return [cache.add(key, value) for key in range(keys)]


def append(url: str, namespace: str, value: int, times: int) -> None:
    """Append to one list, so often."""
    cache = grid_of(url, namespace).cache("lists")
    for _ in range(times):
        cache.update("key", lambda items: [*items, value], default=[])


def clear_and_look(url: str, namespace: str) -> list[Any]:
    """Clear a cache, and tell what is there."""
    cache = grid_of(url, namespace).cache("cleared")
    cache.clear()
    return [cache.get("key"), len(cache)]


def look(url: str, namespace: str, key: str) -> Any:
    """The value of an entry."""
    return grid_of(url, namespace).cache("cleared").get(key)


def load(url: str, namespace: str, folder: str, callers: int, lease: str) -> list[Any]:
    """
    Ask for one key in so many threads; the values they got.

    Tells by files in `folder` when all have missed, and who loads; a load ends when the file `go` is there.
    """
    origin = _Origin(Path(folder))
    cache = grid_of(url, namespace).cache("loads", lease=lease)

    def work() -> str:
        origin.begin()
        _wait_for(origin.may_end)
        return origin.me

    before = cache.stats().misses
    with ThreadPoolExecutor(callers) as threads:
        answers = [threads.submit(cache.get_or_load, "key", work) for _ in range(callers)]
        _wait_for(lambda: cache.stats().misses - before == callers)
        origin.all_missed()
        return [answer.result() for answer in answers]


def aload(url: str, namespace: str, folder: str, callers: int, lease: str) -> list[Any]:
    """As `load`, in so many tasks of a loop."""
    origin = _Origin(Path(folder))

    async def work() -> str:
        origin.begin()
        await _awaited(origin.may_end)
        return origin.me

    async def ask() -> list[Any]:
        async with cachegrid.aconnect(url, config={"namespace": namespace}) as grid:
            cache = grid.cache("loads", lease=lease)
            answers = [asyncio.create_task(cache.get_or_load("key", work)) for _ in range(callers)]
            await _awaited(lambda: cache.stats().misses == callers)
            origin.all_missed()
            return await asyncio.gather(*answers)

    return asyncio.run(ask())


class _Origin:
    """What is asked by loads of this process; tells by files who asks it, when, and that nobody else is to come."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun = 0
        self.me = f"{os.getpid()}-{time.monotonic_ns()}"

    def begin(self) -> None:
        """Tell that a load begins: by a name of its own, so that a second one in this process is told, too."""
        self._begun += 1
        file = self._folder / f"begins-{self.me}-{self._begun}"
        file.write_text(str(time.monotonic_ns()))
        file.rename(self._folder / f"load-{self.me}{f'-{self._begun}' if self._begun > 1 else ''}")

    def may_end(self) -> bool:
        """Whether loads may end."""
        return (self._folder / "go").exists()

    def all_missed(self) -> None:
        """Tell that all callers of this process have missed."""
        (self._folder / f"missed-{self.me}").touch()


def hold(url: str, namespace: str, folder: str, lease: str) -> int:
    """Take a lock and keep it until the file `go` is there."""
    with grid_of(url, namespace).lock("job", lease=lease) as lock:
        (Path(folder) / "held").touch()
        _wait_for((Path(folder) / "go").exists)
        return lock.fence


def work_alone(url: str, namespace: str, folder: str, times: int) -> list[int]:
    """Raise the number in a file under a lock, so often; the fencing numbers."""
    file, fences = Path(folder) / "number", []
    for _ in range(times):
        with grid_of(url, namespace).lock("job") as lock:
            file.write_text(str(int(file.read_text()) + 1))
            fences.append(lock.fence)
    return fences


def keys(url: str, namespace: str) -> list[str]:
    """The keys that some calls have in this process, whose hashes of text are its own."""

    @grid_of(url, namespace).cache("functions").cached(name="f")
    def function(*args: Any, **kwargs: Any) -> None:
        """Nothing."""

    item = Item("a", Kind.SMALL)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((1, "a"), {}),
        (({"a", "b", "c", "d"}, frozenset("efgh")), {}),
        (({"x": {"y", "z"}, "w": 1},), {"b": 1, "a": [2]}),
        ((item, Kind.SMALL, {item: Item}), {}),
        ((datetime(2026, 1, 2, tzinfo=UTC), 1.5, None, True), {}),
    ]
    return [repr(function.key(*args, **kwargs)) for args, kwargs in calls]


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.001)


async def _awaited(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def _serve() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = {"result": globals()[job["job"]](*job["args"], **job["kwargs"])}
        except Exception:  # noqa: BLE001 - whatever it is, the test is told
            answer = {"error": traceback.format_exc()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for grid in _grids.values():
        grid.close()


if __name__ == "__main__":
    _serve()
