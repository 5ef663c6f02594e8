"""
What it costs to drop entries by a tag, and how soon nobody sees them any more.

    python bench/tags.py                       a table; minutes with a million entries, on a grid of its own
    python bench/tags.py --entries 100000      with fewer
    python bench/tags.py --json                the same as one JSON object

Tags with one match, and with half of all entries, are raised in turns, so that both meet the same machine; before each
raise its entries are stored again, and so are alive, and tags that nobody has are raised: what was just stored has the
processors' caches to itself, which makes any call slower, whatever it does.

Then another process reads entries of a tag, near and in the grid, without a pause, while the tag is raised, and notes
when it last saw one that was dead: in ms after `invalidate` had returned here, without those in which the machine let
it do nothing.
"""

from __future__ import annotations

import argparse
import itertools
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

TURNS: Final = 30  # raises of each tag
SEEN: Final = 200  # raises that the other process is asked about
PAGE: Final = 10_000  # entries that are stored at once
WARM: Final = 10  # raises of tags that nobody has, before each
WATCHED: Final = 20  # entries that the other process reads
SETTLED: Final = 0.1  # seconds that it goes on reading after each raise
PAUSE: Final = 0.002  # seconds between two reads, of which more are none of its own


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
        store(cache, range(half, entries), ["all"])
        times: dict[str, list[float]] = {"one": [], "half": []}
        for turn in range(2 * TURNS):
            name, numbers = ("one", range(half, half + 1)) if turn % 2 else ("half", range(half))
            store(cache, numbers, [name, "all"])
            times[name].append(timed(cache, name, numbers))
        told = {
            name: {
                "matches": matches,
                "median_ms": statistics.median(times[name]),
                "p99_ms": statistics.quantiles(times[name], n=100)[98],
            }
            for name, matches in (("one", 1), ("half", half))
        }
        return {"entries": entries, **told, "seen": seen_elsewhere(url, cache)}


def store(cache: Any, numbers: range, tags: list[str]) -> None:
    """Entries with some tags, alive."""
    for first in range(0, len(numbers), PAGE):
        cache.set_many({number: number for number in numbers[first : first + PAGE]}, tags=tags)


def timed(cache: Any, tag: str, numbers: range) -> float:
    """How many ms it takes to drop entries by a tag."""
    some = numbers[:: max(1, len(numbers) // 10)]
    if len(some) != len(cache.get_many(some)):
        raise AssertionError(f"not all of {tag} are alive")
    for number in range(WARM):
        cache.invalidate(f"nobody's {number}")
    began = time.perf_counter()
    cache.invalidate(tag)
    spent = time.perf_counter() - began
    if cache.get_many(some):
        raise AssertionError(f"not all of {tag} are dropped")
    return spent * 1000


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
            latest = max([latest, *[seconds * 1000 for seconds in late]])
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
            moments, dead = list[float](), list[int]()
            for read, moment in enumerate(until_settled()):
                moments.append(moment)
                if cache.get(("watched", read % WATCHED)) is not None:
                    dead.append(read)
            returned = json.loads(sys.stdin.readline())
            late = [awake(moments[: read + 1], returned) for read in dead if moments[read] > returned]
            print(json.dumps([len(moments), cache.stats().near_hits - before.near_hits, late]), flush=True)


def awake(moments: list[float], since: float) -> float:
    """How many seconds of those from one moment to the last of the reads this process could read in."""
    reads = [since, *[moment for moment in moments if moment > since]]
    return sum(min(later - sooner, PAUSE) for sooner, later in itertools.pairwise(reads))


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
