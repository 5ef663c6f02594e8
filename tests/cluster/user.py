"""A program that uses a grid without a pause, in a process of its own, and counts what that costs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import cachegrid
from cachegrid.errors import CacheError, OutcomeUnknown

__all__ = ["Report", "User"]

KEYS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a user met."""

    calls: int
    failed: list[str]  # what the first calls said that failed
    lost: list[str]  # entries that are not as they were acknowledged
    longest: float  # seconds that the slowest call took


class User:
    """Uses the grid at `url` for as long as the block lasts; `report` is there after it."""

    report: Report

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> Self:
        words = [sys.executable, "-m", "tests.cluster.user", self._url]
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
        assert self._process.stdout is not None
        assert "begun\n" == self._process.stdout.readline()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        out, _ = self._process.communicate(timeout=60)  # its end is that its input ends
        if error is None:
            self.report = Report(**json.loads(out))


class _Work:
    """Writes, reads and counts in turn; what was acknowledged is what has to be there."""

    def __init__(self, grid: cachegrid.SyncGrid) -> None:
        self._cache = grid.cache(f"used-{os.getpid()}", ttl=None)  # where nobody has counted before
        self._written: dict[str, int] = {}
        self._counted: dict[str, tuple[int, int]] = {}  # the least and the most that may be there
        self.calls, self.failed, self.longest = 0, list[str](), 0.0

    def turn(self, number: int) -> None:
        name = f"key-{number % KEYS}"
        begun = time.monotonic()
        try:
            self._once(name, number)
        except CacheError as error:
            self.failed.append(f"{type(error).__name__}: {error}")
        self.longest = max(self.longest, time.monotonic() - begun)
        self.calls += 3

    def _once(self, name: str, number: int) -> None:
        self._cache.set(name, [number])
        self._written[name] = number
        if self._cache.get(name) != [number]:
            self.failed.append(f"{name} is not what was just written")
        least, most = self._counted.get(name, (0, 0))
        try:
            self._cache.incr(f"sum-{name}")
            self._counted[name] = least + 1, most + 1
        except OutcomeUnknown:
            self._counted[name] = least, most + 1

    def lost(self) -> list[str]:
        missing = [name for name, number in self._written.items() if self._cache.get(name) != [number]]
        sums = {name: self._cache.get(f"sum-{name}") for name in self._counted}
        return missing + [name for name, (least, most) in self._counted.items() if not least <= sums[name] <= most]


def main(url: str) -> None:
    """Use a grid until the input ends; then print what it came to."""
    import threading

    over = threading.Event()

    def read_on() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=read_on, daemon=True).start()
    with cachegrid.connect(url) as grid:
        work, number = _Work(grid), 0
        while not over.is_set() or number < 2 * KEYS:
            work.turn(number)
            number += 1
            if number == KEYS:
                sys.stdout.write("begun\n")
                sys.stdout.flush()
        report = Report(calls=work.calls, failed=work.failed[:5], lost=work.lost()[:5], longest=work.longest)
    sys.stdout.write(json.dumps({name: getattr(report, name) for name in Report.__slots__}))


if __name__ == "__main__":
    main(sys.argv[1])
