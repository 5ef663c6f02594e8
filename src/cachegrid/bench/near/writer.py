"""
A process that writes at a steady rate, and says in each value when it was sent.

Started by `news`, which tells on standard input what to do.
"""

from __future__ import annotations

import json
import sys
import time

import cachegrid

__all__ = ["main"]


def main() -> None:
    """Change every key once; print how many seconds that took."""
    told = json.load(sys.stdin)
    with cachegrid.connect(told["url"], config=cachegrid.Settings()) as grid:
        cache = grid.cache(told["cache"])
        cache.get("0")  # connected before the clock runs
        begun = time.monotonic()
        for number in range(told["count"]):
            early = begun + number / told["rate"] - time.monotonic()
            if early > 0:
                time.sleep(early)
            cache.set(str(number), str(time.monotonic_ns()))
        print(time.monotonic() - begun)


if __name__ == "__main__":
    main()
