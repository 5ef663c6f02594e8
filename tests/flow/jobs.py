"""What a worker process does when the crew is told to; run as a program, it takes one job a line."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import threading
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
    place = Path(folder)
    grid = grid_of(url, namespace)
    cache = grid.cache("loads", lease=lease)
    me = f"{threading.get_native_id()}-{time.monotonic_ns()}"

    def work() -> str:
        (place / f"load-{me}").touch()
        _wait_for((place / "go").exists)
        return me

    def ask() -> Any:
        return cache.get_or_load("key", work)

    before = cache.stats().misses
    with ThreadPoolExecutor(callers) as threads:
        answers = [threads.submit(ask) for _ in range(callers)]
        _wait_for(lambda: cache.stats().misses - before == callers)
        (place / f"missed-{me}").touch()
        return [answer.result() for answer in answers]


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
