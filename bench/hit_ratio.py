"""
How often a near cache finds what is asked for, beside LRUs with room for as many.

    python bench/hit_ratio.py    about half a minute; starts nothing

The trace asks for 50,000 keys, the popular ones most (Zipf, exponent 0.9). In one form somebody walks through all
keys once in the middle, as a nightly export does: what an LRU has learned is gone then. In another the popular keys
become others half-way, which a cache that remembers for too long is slow to learn.
"""

from __future__ import annotations

import functools
import itertools
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import cachebox
import cachetools

from cachegrid.near.copies import COPY_OVERHEAD, ENDLESS, Copies, Copy, Fill, Guard

KEYS: Final = 50_000
REQUESTS: Final = 300_000
EXPONENT: Final = 0.9
ROOMS: Final = (0.01, 0.05, 0.1, 0.25)  # of all keys
SIZE: Final = 200

Store: TypeAlias = Callable[[str], bool]  # asks for a key, puts it where it was missing; whether it was there


def main() -> None:
    """Print the share of hits of each store for each trace and room."""
    print(f"{KEYS:,} keys, {REQUESTS:,} requests; hits in per cent, and microseconds for each request")
    for name, trace in traces().items():
        print(f"\n{name:28}" + "".join(f"{room:>16.0%}" for room in ROOMS))
        for store, make in STORES.items():
            cells = []
            for room in ROOMS:
                begun = time.perf_counter()
                hits = ratio(make(int(KEYS * room)), trace)
                us = (time.perf_counter() - begun) / len(trace) * 1e6
                cells.append(f"{hits:>9.1%}{us:>7.2f}")
            print(f"  {store:26}" + "".join(cells))


@functools.cache
def traces(keys: int = KEYS, requests: int = REQUESTS, seed: int = 1) -> dict[str, list[str]]:
    """The keys that are asked for, one after the other."""
    numbers = random.Random(seed)
    names = [f"key:{number}" for number in range(keys)]
    numbers.shuffle(names)
    weights = list(itertools.accumulate(1 / (rank + 1) ** EXPONENT for rank in range(keys)))
    zipf = numbers.choices(names, cum_weights=weights, k=requests)
    others = names[keys // 2 :] + names[: keys // 2]
    half = requests // 2
    return {
        "Zipf": zipf,
        "Zipf, a scan half-way": zipf[:half] + sorted(names) + zipf[half:],
        "Zipf, others half-way": zipf[:half] + numbers.choices(others, cum_weights=weights, k=half),
    }


def ratio(ask: Store, trace: Sequence[str]) -> float:
    """The share of hits."""
    return sum(map(ask, trace)) / len(trace)


def ours(room: int) -> Store:
    """What near copies are kept in."""
    copies = Copies(max_bytes=room * (SIZE + COPY_OVERHEAD), max_entries=room)
    table: dict[Any, Copy] = {}
    guard = Guard()

    def ask(key: str) -> bool:
        copy = table.get(key)
        if copy is not None:
            copy.is_hot = True
            return True
        address = key.encode()
        made = Copy(table, key, key, raw=None, guard=guard, ends=ENDLESS, size=SIZE)
        copies.keep([Fill(made, address, copies.token(address))])
        return False

    return ask


def lru(room: int) -> Store:
    """The shortest LRU there is in Python: a dict keeps its order."""
    kept: dict[str, str] = {}

    def ask(key: str) -> bool:
        if key in kept:
            kept[key] = kept.pop(key)
            return True
        kept[key] = key
        if len(kept) > room:
            del kept[next(iter(kept))]
        return False

    return ask


def of_library(make: Callable[[int], Any]) -> Callable[[int], Store]:
    """A mapping that evicts by itself."""

    def made(room: int) -> Store:
        kept = make(room)

        def ask(key: str) -> bool:
            if kept.get(key) is not None:
                return True
            kept[key] = key
            return False

        return ask

    return made


STORES: Final[dict[str, Callable[[int], Store]]] = {
    "near copies (S3-FIFO)": ours,
    "LRU, a dict": lru,
    "LRU, cachetools": of_library(cachetools.LRUCache),
    "LRU, cachebox": of_library(cachebox.LRUCache),
    "LFU, cachebox": of_library(cachebox.LFUCache),
}


if __name__ == "__main__":
    main()
