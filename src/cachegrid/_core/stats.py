"""What a cache counts in this process."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

__all__ = ["CacheStats", "Counters", "GridStats"]

_counted: weakref.WeakSet[Counters] = weakref.WeakSet()  # for what has to be done in a forked child


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """
    What this process counted on a cache since it opened it, and on the functions whose results the cache keeps.

    A read is a key that `[]`, `get`, `get_many`, `has`, `in`, `get_or_load` or a cached function asked for: a hit or a
    miss. `entry`, conditions and counters are none. A forked child begins at 0.
    """

    hits: int  # reads that found an entry, here or in the grid
    misses: int  # reads that found none
    near_hits: int  # those of the hits that were answered in this process
    near_misses: int  # those of the misses that were, where absence is kept near
    near_entries: int  # copies that are here now, those of cached functions included
    near_bytes: int  # that they take
    near_evictions: int  # copies that went since there was no more room
    near_refusals: int  # how often a member refused to tell what changes: nothing of what it owns is kept near
    stores: int  # entries that were written, those of loads included; what an owner adds up (`incr`) is not
    drops: int  # entries that `delete` and `delete_many` found and dropped; what `clear` drops, nobody counts
    bound_evictions: int  # entries that this process dropped to keep the bound (`max_entries`, `max_bytes`); no `drops`
    loads: int  # calls of a loader, or of a cached function itself, in this process
    load_failures: int  # those of the loads that raised
    load_seconds: float  # that loaders took, summed over all of the loads
    load_waits: int  # misses that got what another caller loaded, in this process or another
    wait_seconds: float  # for which those waited, summed
    store_failures: int  # loads whose callers got the value, though the grid could not store it
    stale_hits: int  # values past their end that were served while they are loaded anew (`grace`); misses, too
    outage_loads: int  # those of the loads that ran because the grid could not answer (`on_outage="load"`)
    skips: int  # values that were not stored, and what was there dropped, since a member was full (`on_full="skip"`)
    damaged: int  # how often bytes were met that are no frame of ours; in a read that is a miss, too
    trips: int  # reads and writes, of one entry or of many, that asked the grid and were answered
    trip_seconds: float  # from the question to the answer, summed; of writes, what it takes to encode is in it
    bytes_read: int  # of stored entries that came from the grid
    bytes_written: int  # of entries that were sent to it, whether it took them or not
    events_dropped: int  # that nobody was told of, since too many waited to be told
    event_failures: int  # how often a listener raised

    @property
    def hit_ratio(self) -> float:
        """Hits among the reads; 0 before the first read."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0

    def __add__(self, other: CacheStats) -> CacheStats:
        """Both together."""
        if not isinstance(other, CacheStats):
            return NotImplemented
        return CacheStats(**{name: getattr(self, name) + getattr(other, name) for name in _NAMES})


class GridStats(dict[str, CacheStats]):
    """What this process counted on each cache of a grid object, by name; `total` is the sum of them."""

    @property
    def total(self) -> CacheStats:
        """All caches together."""
        return sum(self.values(), start=Counters().snapshot())


_NAMES: Final = tuple(field.name for field in fields(CacheStats))
_NOW: Final = ("near_entries", "near_bytes", "near_evictions")  # looked up when someone asks, and not counted
_COUNTED: Final = tuple(name for name in _NAMES if name not in _NOW)


class Counters:
    """
    The counters themselves, raised in place.

    Threads lose no count of each other's, and take no lock for it, as long as what is added is at hand: the interpreter
    turns to another thread at calls and at the ends of loops, and not between the reading and the writing of
    `counters.hits += found`. In `counters.hits += len(found)`, or `+= await ...`, it may.
    """

    __slots__ = (*_COUNTED, "__weakref__")

    def __init__(self) -> None:
        self.begin()
        _counted.add(self)

    def begin(self) -> None:
        """Set all to 0."""
        self.hits = self.misses = self.stores = self.drops = 0
        self.near_hits = self.near_misses = 0  # not counted among hits and misses until someone asks
        self.near_refusals = self.bound_evictions = 0
        self.outage_loads = self.skips = self.stale_hits = 0
        self.loads = self.load_failures = self.load_waits = self.store_failures = self.damaged = 0
        self.trips = self.bytes_read = self.bytes_written = 0
        self.load_seconds = self.wait_seconds = self.trip_seconds = 0.0
        self.events_dropped = self.event_failures = 0

    def snapshot(self, near: Mapping[str, int] | None = None) -> CacheStats:
        """The counters as they are now; `near` says what is kept near."""
        counts = {name: getattr(self, name) for name in _COUNTED} | dict.fromkeys(_NOW, 0) | dict(near or {})
        counts["misses"] += counts["near_misses"]
        counts["hits"] += counts["near_hits"]
        return CacheStats(**counts)


def _begin_all() -> None:
    for counters in list(_counted):
        counters.begin()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_begin_all)
