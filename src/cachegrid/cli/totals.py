"""Sums over a grid's members, and over a cache's entries."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from cachegrid.engines.facts import MemberFacts

if TYPE_CHECKING:
    from cachegrid._sio.cache import SyncCache

__all__ = ["of_cache", "of_members"]


def of_members(members: Sequence[MemberFacts]) -> dict[str, float]:
    """What the members counted since they were started; reads of our own bookkeeping are in the hits and misses."""
    alive = [member for member in members if member.up]
    owners = [member for member in alive if member.role == "owner"]
    hits, misses = sum(member.hits for member in alive), sum(member.misses for member in alive)
    return {
        "members": len(members),
        "dead": len(members) - len(alive),
        "entries": sum(owner.entries for owner in owners),
        "memory_bytes": sum(owner.memory_bytes for owner in owners),
        "memory_of_copies_bytes": sum(member.memory_bytes for member in alive if member not in owners),
        "hits": hits,
        "misses": misses,
        "hit_ratio": round(hits / (hits + misses), 4) if hits + misses else 0.0,
    }


def of_cache(cache: SyncCache, sample: int) -> dict[str, float]:
    """How many entries a cache has; and of `sample` of them, how large they are and how many expire."""
    walk = iter(cache.keys())
    first = list(islice(walk, sample))
    entries = [entry for key in first if (entry := cache.entry(key, value=False))]
    sizes = [entry.size for entry in entries]
    return {
        "entries": len(first) + sum(1 for _ in walk),
        "sampled": len(entries),
        "mean_bytes": round(sum(sizes) / len(sizes), 1) if sizes else 0.0,
        "largest_bytes": max(sizes, default=0),
        "expiring": sum(entry.expires is not None for entry in entries),
    }
