"""
What near copies take of this machine's memory, beside what their policy allows them.

    python bench/memory_near.py            a table; about a minute, on a grid of its own
    python bench/memory_near.py --json     the same as one JSON object

For each kind and size of value a fresh process reads twice as many entries as it may keep, so that copies come
and go, and compares what its resident memory has grown by with `max_bytes`. Needs Linux, which tells that of itself.
"""

# ruff: noqa: SLF001 - it looks inside on purpose

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import cachegrid
from cachegrid.bench.facts import own_grid
from cachegrid.cluster import GridState

MB: Final = 1_000_000
ROOM: Final = 32 * MB
SIZES: Final = (200, 5000, 100_000)
TURNOVER: Final = 2  # how often as much is read as may be kept
PAGE: Final = 500_000  # bytes of values that are read at once
MOST: Final = 500  # keys of one read: what the caller is handed is no copy, and of records it takes ten times as much


class Kind(NamedTuple):
    """A kind of value, and what a policy says of its copies."""

    name: str
    share: bool


KINDS: Final = (Kind("text", share=False), Kind("record", share=False), Kind("record, shared", share=True))


def main() -> None:
    """Measure every kind and size, and print what came out."""
    parser = argparse.ArgumentParser(description="What near copies take of memory, beside what they may take.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(grown(json.loads(asked.child))))
        return
    rows = list(measured())
    if asked.json:
        print(json.dumps({"max_bytes": ROOM, "rows": rows}))
        return
    print(f"max_bytes {ROOM / MB:.0f} MB; Python {sys.version.split()[0]}")
    print(f"{'kind of value':16}{'bytes':>9}{'copies':>9}{'counted MB':>12}{'grown MB':>10}{'x max_bytes':>13}")
    for row in rows:
        print(
            f"{row['kind']:16}{row['size']:>9,}{row['copies']:>9,}{row['counted'] / MB:>12.1f}"
            f"{row['grown'] / MB:>10.1f}{row['grown'] / ROOM:>13.2f}"
        )


def measured(kinds: Sequence[Kind] = KINDS, sizes: Sequence[int] = SIZES, room: int = ROOM) -> Iterator[dict[str, Any]]:
    """A row for each kind and size."""
    with own_grid() as (state, _):
        for kind in kinds:
            for size in sizes:
                yield {"kind": kind.name, "size": size, **_in_fresh_process(state, kind, size, room)}


def value_of(kind: Kind, size: int, number: int) -> Any:
    """Another one for each number; of about that many bytes once encoded."""
    noise = random.Random(number)
    if kind.name == "text":
        return noise.randbytes(size // 2).hex()
    return {f"field_{field:02d}": noise.randbytes(max(1, size // 40 - 6)).hex() for field in range(20)}


def _in_fresh_process(state: GridState, kind: Kind, size: int, room: int) -> dict[str, int]:
    count = TURNOVER * room // size
    with cachegrid.connect(state.url, config=cachegrid.Settings()) as grid:
        cache = grid.cache("memory")
        cache.clear()
        grid.settle()
        step = max(1, min(MOST, PAGE // size))
        for at in range(0, count, step):
            cache.set_many({f"key:{number}": value_of(kind, size, number) for number in range(at, at + step)})
    wanted = {"url": state.url, "count": count, "step": step, "share": kind.share, "room": room}
    command = [sys.executable, str(Path(__file__).resolve()), "--child", json.dumps(wanted)]
    told: dict[str, int] = json.loads(subprocess.check_output(command, text=True, timeout=120))
    return told


def grown(wanted: dict[str, Any]) -> dict[str, int]:
    """Read everything in this process: the copies it has then, what they are counted as, what it has grown by."""
    near = {"max_bytes": wanted["room"], "max_entries": wanted["count"], "share": wanted["share"]}
    with cachegrid.connect(wanted["url"], config=cachegrid.Settings()) as grid:
        cache: Any = grid.cache("memory", near=near)
        _until_heard(cache)
        _warm_up(wanted)
        gc.collect()
        before = resident()
        for at in range(0, wanted["count"], wanted["step"]):
            cache.get_many([f"key:{number}" for number in range(at, at + wanted["step"])])
        gc.collect()
        copies = cache._copies
        return {"copies": copies.entries, "counted": copies.size, "grown": resident() - before}


def _until_heard(cache: Any) -> None:
    """Until every owner is listened to: before, nothing is kept."""
    cache.get("nothing")
    while any(cache._mark(cache._space.address(number)).guard is None for number in range(100)):
        time.sleep(0.01)


def _warm_up(wanted: dict[str, Any]) -> None:
    """Take what reading takes besides copies."""
    with cachegrid.connect(wanted["url"], config=cachegrid.Settings()) as grid:
        grid.cache("memory").get_many([f"key:{number}" for number in range(wanted["step"])])


def resident() -> int:
    """The bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
