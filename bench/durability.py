"""
What it costs to let a write wait for a replica, or for the disk, beside one that waits for neither.

    python bench/durability.py            a table; half a minute, on grids of its own
    python bench/durability.py --json     the same as one JSON object

Each way takes turns with the others for some rounds, and its best round counts: what is wanted is the cost of the
way, and not of what else the machine does meanwhile. Members and program share one machine: between hosts the
trip to the replica comes on top.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import cachegrid
from cachegrid.testing.loopback import LoopbackGrid

ROUNDS: Final = 5
CALLS: Final = 1000
MANY: Final = 1000  # entries of a batch
TASKS: Final = 50
VALUE: Final = "x" * 200


def main() -> None:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser(description="What durability costs a write.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    figures = {**replicated(), **on_disk()}
    if asked.json:
        print(json.dumps(figures))
        return
    print(f"{'microseconds per entry':44}{'memory':>10}{'waits':>10}{'ratio':>8}")
    for name, (memory, waits) in figures.items():
        print(f"{name:44}{memory:10.1f}{waits:10.1f}{waits / memory:8.1f}")


def replicated() -> dict[str, tuple[float, float]]:
    """Three owners with a replica each."""
    with LoopbackGrid() as grid:
        with cachegrid.connect(grid.url) as connected:
            cache = connected.cache("bench")
            pair = cache, cache.with_durability("replicated")
            batch = dict.fromkeys(range(MANY), VALUE)
            found = {
                "one SET, replicated": compared(CALLS, *[_setter(one) for one in pair]),
                f"set_many of {MANY:,}, replicated": compared(
                    MANY, *[lambda one=one: one.set_many(batch) for one in pair]
                ),
            }
        found[f"SET of {TASKS} tasks at once, replicated"] = asyncio.run(_tasks(grid.url))
        return found


def on_disk() -> dict[str, tuple[float, float]]:
    """One owner that writes to disk every second, and one that does so before each answer."""
    found = {}
    for fsync, calls in (("everysec", 5), ("always", CALLS)):
        settings = {"appendfsync": fsync}
        with (
            LoopbackGrid(owners=1, replicas=0, persist=True, settings=settings) as grid,
            cachegrid.connect(grid.url) as connected,
        ):
            cache = connected.cache("bench")
            ways = [_setter(one, calls) for one in (cache, cache.with_durability("disk"))]
            found[f"one SET, disk, appendfsync {fsync}"] = compared(calls, *ways)
    return found


def compared(count: int, memory: Callable[[], object], waits: Callable[[], object]) -> tuple[float, float]:
    """Microseconds per entry of two ways to write `count` entries: the best round of each."""
    best = [float("inf")] * 2
    for _ in range(ROUNDS):
        for place, way in enumerate((memory, waits)):
            began = time.perf_counter()
            way()
            best[place] = min(best[place], (time.perf_counter() - began) / count * 1e6)
    return best[0], best[1]


async def _tasks(url: str) -> tuple[float, float]:
    best = [float("inf")] * 2
    async with cachegrid.aconnect(url) as connected:
        cache = connected.cache("bench")
        for _ in range(ROUNDS):
            for place, one in enumerate((cache, cache.with_durability("replicated"))):
                began = time.perf_counter()
                await asyncio.gather(*[_some(one.set, CALLS // TASKS) for _ in range(TASKS)])
                best[place] = min(best[place], (time.perf_counter() - began) / CALLS * 1e6)
    return best[0], best[1]


async def _some(write: Callable[[Any, Any], Awaitable[None]], count: int) -> None:
    for number in range(count):
        await write(number, VALUE)


def _setter(cache: Any, calls: int = CALLS) -> Callable[[], None]:
    def run() -> None:
        for number in range(calls):
            cache.set(number, VALUE)

    return run


if __name__ == "__main__":
    main()
