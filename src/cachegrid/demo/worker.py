"""
One of the demo's worker processes: it answers requests through the cache, as the process of a web application would.

What makes the application fast is the four lines of `nearest`. The rest of this file plays the users, who ask for
large cities more often than for small ones, and measures.
"""

from __future__ import annotations

import json
import os
import random
import select
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cachegrid
from cachegrid.cluster import stop
from cachegrid.demo.places import Neighbours, Places
from cachegrid.errors import CacheError, GridNotFound

if TYPE_CHECKING:
    from cachegrid import SyncCache

__all__ = ["Report", "Task", "work", "zipf"]

EXPONENT: Final = 1.1
REPORT_EVERY: Final = 0.2  # seconds
STOP: Final = b"stop\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a worker is told."""

    grid: str  # its name
    database: str
    cities: list[int]  # that users ask for, the most wanted first
    seed: str


@dataclass(slots=True, kw_only=True)
class Report:
    """What happened since the last one. Latencies are whole microseconds, moments seconds of the monotonic clock."""

    hits: list[int] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)  # answered by the other worker's load
    loads: list[tuple[int, int, float, float]] = field(default_factory=list)  # city, latency, moments of begin and end
    failures: list[str] = field(default_factory=list)
    held_up: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "load": 0.0})  # ms; a load without its scan
    ended: float = 0.0  # the moment of the last answer
    answer: tuple[int, Neighbours] | None = None  # one of the hits, to be checked

    def note(self, kind: str, seconds: float) -> None:
        """Keep how long the grid held up a request, if it was the longest."""
        self.held_up[kind] = max(self.held_up[kind], seconds * 1000)


class Application:
    """Answers the demo's one question; `scans` are the moments at which each full scan began and ended."""

    def __init__(self, cache: SyncCache, places: Places) -> None:
        self.cache, self.scans = cache, list[tuple[float, float]]()

        @cache.cached(ttl="10m")
        def nearest(city: int) -> Neighbours:
            began = time.monotonic()
            found = places.nearest(city)
            self.scans.append((began, time.monotonic()))
            return found

        self.nearest = nearest


def work(application: Application, users: Iterator[int]) -> Report:
    """Answer requests for a short time."""
    report = Report()
    end = time.monotonic() + REPORT_EVERY
    while time.monotonic() < end:
        answer_one(application, next(users), report)
    return report


def answer_one(application: Application, city: int, report: Report) -> None:
    """Answer a request, and note what kind it was and how long it took."""
    scans, waits = len(application.scans), application.cache.stats().load_waits
    began = time.monotonic()
    try:
        answer = application.nearest(city)
    except CacheError as error:
        report.failures.append(f"{type(error).__name__}: {error}")
        answer = None
    ended = time.monotonic()
    latency = round((ended - began) * 1e6)
    if len(application.scans) > scans:
        scan_began, scan_ended = application.scans[-1]
        report.loads.append((city, latency, scan_began, scan_ended))
        report.note("load", ended - began - (scan_ended - scan_began))
    elif application.cache.stats().load_waits > waits:
        report.waits.append(latency)  # not held up by the grid, but by the other worker's scan
    elif answer is not None:
        report.hits.append(latency)
        report.answer = city, answer
        report.note("read", ended - began)
    report.ended = ended


def zipf(cities: Sequence[int], seed: str) -> Iterator[int]:
    """Cities without end: the second is asked for about half as often as the first, the third a third as often ..."""
    weights = list(accumulate(1 / rank**EXPONENT for rank in range(1, len(cities) + 1)))
    chance = random.Random(seed)  # noqa: S311 - the same users in every run of a seed
    while True:
        yield from chance.choices(cities, cum_weights=weights, k=1000)


def main() -> None:
    """Work until told to stop, on the standard input; and end the grid, too, if whoever started this is gone."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as said:  # reads no more than the line
        task = Task(**json.loads(said.readline()))
    places = Places(Path(task.database))
    with cachegrid.connect(name=task.grid) as grid:
        application = Application(grid.cache("demo"), places)
        users = zipf(task.cities, task.seed)
        while not select.select([sys.stdin], [], [], 0)[0]:
            tell(work(application, users))
    places.close()
    if os.read(sys.stdin.fileno(), len(STOP)) != STOP:
        end_orphaned(task.grid)


def tell(report: Report) -> None:
    """Send a report to the parent; it is gone if that fails, which the next look at the standard input shows."""
    try:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def end_orphaned(name: str) -> None:
    """The demo was killed outright: nobody else will end its grid."""
    with suppress(GridNotFound):  # another worker was faster
        stop(name, purge=True)


if __name__ == "__main__":
    main()
