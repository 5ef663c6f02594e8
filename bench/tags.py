"""
What it costs to drop entries by a tag, and how soon nobody sees them any more.

    python bench/tags.py                       a table; a minute with a million entries, on a grid of its own
    python bench/tags.py --entries 100000      with fewer
    python bench/tags.py --json                the same as one JSON object

Tags with one match, and with half of all entries, are raised in turns, so that both meet the same machine. Meanwhile
another process reads entries of the tag, near and in the grid, without a pause, and notes when it last saw one that
was dead: in seconds after `invalidate` had returned here.
"""

from __future__ import annotations

import argparse
import json
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cachegrid
from cachegrid.bench.facts import own_grid

TURNS: Final = 300  # raises of each tag
SEEN: Final = 200  # raises that the other process is asked about
PAGE: Final = 10_000  # entries that are stored at once
WATCHED: Final = 20  # entries that the other process reads
SETTLED: Final = 0.05  # seconds that it goes on reading after each raise


def main() -> None:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser(description="What it costs to drop entries by a tag.")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--reader", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.reader:
        read_on(said.reader)
        return
    with own_grid() as (state, _):
        figures = measured(state.url, said.entries)
    if said.json:
        print(json.dumps(figures))
        return
    print(f"Among {figures['entries']:,} entries, in ms:")
    for name in ("one", "half"):
        each = figures[name]
        print(f"  {each['matches']:>9,} matches   median {each['median_ms']:.3f}   p99 {each['p99_ms']:.3f}")
    seen = figures["seen"]
    print(
        f"Another process read {seen['reads']:,} times, {seen['near']:,} of them near, in {seen['raises']} raises: "
        f"a dead entry {seen['dead']} times, the last {seen['latest_ms']:.2f} ms after the raise"
    )


def measured(url: str, entries: int) -> dict[str, Any]:
    """The figures of one run."""
    with cachegrid.connect(url, config=cachegrid.Settings()) as grid:
        cache = grid.cache("tags")
        half = entries // 2
        for first in range(0, half, PAGE):
            cache.set_many({number: number for number in range(first, min(first + PAGE, half))}, tags=["half", "all"])
        for first in range(half, entries, PAGE):
            cache.set_many({number: number for number in range(first, min(first + PAGE, entries))}, tags=["all"])
        cache.set("one", 1, tags=["one"])
        times: dict[str, list[float]] = {"one": [], "half": []}
        for turn in range(2 * TURNS):
            name = "one" if turn % 2 else "half"
            times[name].append(timed(cache, name))
        told = {
            name: {
                "matches": matches,
                "median_ms": statistics.median(times[name]),
                "p99_ms": statistics.quantiles(times[name], n=100)[98],
            }
            for name, matches in (("one", 1), ("half", half))
        }
        return {"entries": entries, **told, "seen": seen_elsewhere(url, cache)}


def timed(cache: Any, tag: str) -> float:
    """How many ms it takes to drop by a tag."""
    began = time.perf_counter()
    cache.invalidate(tag)
    return (time.perf_counter() - began) * 1000


def seen_elsewhere(url: str, cache: Any) -> dict[str, Any]:
    """What another process sees of entries while their tag is raised, and after that."""
    command = [sys.executable, str(Path(__file__).resolve()), "--reader", url]
    latest, dead, reads, near = 0.0, 0, 0, 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as reader:
        for turn in range(SEEN):
            cache.set_many({("watched", number): turn for number in range(WATCHED)}, tags=["watched"])
            asked(reader, turn)  # it has seen them all, and keeps them near
            cache.invalidate("watched")
            returned = time.monotonic()  # of the same clock in every process of a host
            count, close, late = asked(reader, returned)
            reads, near, dead = reads + count, near + close, dead + len(late)
            latest = max([latest, *[(moment - returned) * 1000 for moment in late]])
    return {"raises": SEEN, "reads": reads, "near": near, "dead": dead, "latest_ms": latest}


def asked(reader: subprocess.Popen[str], said: float) -> Any:
    """What the other process answers."""
    assert reader.stdin is not None  # noqa: S101 - as it was opened
    assert reader.stdout is not None  # noqa: S101 - the same
    reader.stdin.write(f"{json.dumps(said)}\n")
    return json.loads(reader.stdout.readline())


def read_on(url: str) -> None:
    """Read entries without a pause; for each raise tell how often, how often near, and when a dead one was read."""
    with cachegrid.connect(url, config=cachegrid.Settings()) as grid:
        cache = grid.cache("tags", near=True)
        while turn := sys.stdin.readline():
            until_near(cache, json.loads(turn))
            print("null", flush=True)
            before = cache.stats()
            reads, moments = 0, list[float]()
            for moment in until_settled():
                reads += 1
                if cache.get(("watched", reads % WATCHED)) is not None:
                    moments.append(moment)
            returned = json.loads(sys.stdin.readline())
            late = [moment for moment in moments if moment > returned]
            print(json.dumps([reads, cache.stats().near_hits - before.near_hits, late]), flush=True)


def until_near(cache: Any, turn: int) -> None:
    """Read until every entry is that of this turn, and is answered here."""
    keys = [("watched", number) for number in range(WATCHED)]
    while True:
        before = cache.stats().near_hits
        if all(cache.get(key) == turn for key in keys) and cache.stats().near_hits - before == WATCHED:
            return


def until_settled() -> Iterator[float]:
    """The moments before each read, until some time after it was told that the tag was raised."""
    end = float("inf")
    while (now := time.monotonic()) < end:
        if end == float("inf") and select.select([sys.stdin], [], [], 0)[0]:
            end = now + SETTLED
        yield now


if __name__ == "__main__":
    main()
