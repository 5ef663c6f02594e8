"""A program on a host, for tests: `write PREFIX DURABILITY LOG` until killed, or `lost PREFIX NUMBER...`."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import cachegrid
from cachegrid.errors import CacheError

PACE = 0.004  # seconds between two writes: others need the processors, too


def write(prefix: str, durability: str, log: str) -> None:
    """Write numbers under their own names; a line for each, with when it was begun and ended, by everybody's clock."""
    with cachegrid.connect(timeout=3.0) as grid, Path(log).open("w", buffering=1) as said:
        cache = grid.cache("written", durability=durability)
        for number in itertools.count():
            begun = time.monotonic()
            try:
                cache.set(f"{prefix}{number}", number)
                how = "ok"
            except CacheError as error:
                how = type(error).__name__
            said.write(f"{how} {number} {begun} {time.monotonic()}\n")
            time.sleep(PACE)


def lost(prefix: str, *numbers: str) -> None:
    """Print which of these numbers are not there."""
    with cachegrid.connect() as grid:
        found = grid.cache("written").get_many([f"{prefix}{number}" for number in numbers])
    sys.stdout.write(" ".join(number for number in numbers if found.get(f"{prefix}{number}") != int(number)))


if sys.argv[1] == "write":
    write(*sys.argv[2:])
else:
    lost(*sys.argv[2:])
