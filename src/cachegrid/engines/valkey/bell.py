"""What a bell says: that epochs were raised, of caches or of tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from cachegrid._core.tags import BUCKETS
from cachegrid.engines.valkey.commands import BELL_PREFIX, TAG_BELL_PREFIX

__all__ = ["Bell", "bell_key", "buckets_in"]


class Bell(Protocol):
    """Rings in this process: whoever trusts an epoch has to look again."""

    def __call__(self, keys: object = None) -> None:
        """`keys` are what a member names in its push; None, as for a new connection: any epoch may have been raised."""


def bell_key(place: bytes, buckets: Iterable[int] = ()) -> bytes:
    """The key of a bell: `place` says in which slot, `buckets` of which tags it tells; without any, of caches."""
    told = b".".join([b"%d" % bucket for bucket in buckets])
    return b"%b%b:{%b}" % (TAG_BELL_PREFIX, told, place) if told else b"%b{%b}" % (BELL_PREFIX, place)


def buckets_in(keys: object) -> list[int] | None:
    """The buckets whose tags may have been raised; None if any epoch may have been."""
    if not isinstance(keys, list):
        return None
    found: list[int] = []
    for key in keys:
        if not key.startswith(TAG_BELL_PREFIX):
            return None
        told, _, _ = key[len(TAG_BELL_PREFIX) :].partition(b":")
        try:
            buckets = [int(word) for word in told.split(b".")]
        except ValueError:
            return None
        if not all(0 <= bucket < BUCKETS for bucket in buckets):
            return None
        found += buckets
    return found
