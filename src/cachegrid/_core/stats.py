"""What a cache counts in this process."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CacheStats", "Counters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """A cache's counters in this process, since it was opened here."""

    hits: int
    misses: int
    near_hits: int  # those of the hits that were answered in this process
    near_misses: int  # those of the misses that were, where absence is kept near
    near_refusals: int  # how often a member refused to tell what changes: nothing of what it owns is kept near
    stores: int
    drops: int
    loads: int
    load_failures: int
    load_waits: int  # callers who waited for somebody else's load
    store_failures: int  # loads whose callers got the value, though the grid could not store it
    damaged: int  # reads that met bytes which are no frame of ours; each is a miss too

    @property
    def hit_ratio(self) -> float:
        """Hits among the reads; 0 before the first read."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0


class Counters:
    """The counters themselves, raised in place."""

    __slots__ = (
        "damaged",
        "drops",
        "hits",
        "load_failures",
        "load_waits",
        "loads",
        "misses",
        "near_hits",
        "near_misses",
        "near_refusals",
        "store_failures",
        "stores",
    )

    def __init__(self) -> None:
        self.hits = self.misses = self.stores = self.drops = 0
        self.near_hits = self.near_misses = 0  # not counted among hits and misses until someone asks
        self.near_refusals = 0
        self.loads = self.load_failures = self.load_waits = self.store_failures = self.damaged = 0

    def snapshot(self) -> CacheStats:
        """The counters as they are now."""
        counts = {name: getattr(self, name) for name in self.__slots__}
        counts["misses"] += counts["near_misses"]
        counts["hits"] += counts["near_hits"]
        return CacheStats(**counts)
