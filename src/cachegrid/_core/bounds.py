"""How much of a cache there may be: when it is looked after, and which entries go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

__all__ = ["NO_BOUND", "OVERHEAD", "STEP", "TURN", "Bound", "oldest", "shares", "take_sample"]

OVERHEAD: Final = 100  # bytes that an entry takes in the grid besides its address and frame, about
STEP: Final = 10  # written by one process until it tells so: thousandths of the bound
TURN: Final = 100  # written by all until somebody counts: the same
_LOW: Final = 0.9  # of the bound is left where there was more
_ALL: Final = 10_000  # entries of which each is looked at; of more, a share
_SOME: Final = 0.25


class Bound(NamedTuple):
    """The most that a cache may have; None: whatever its grid has room for."""

    entries: int | None = None
    bytes: int | None = None

    def thousandths(self, entries: int, size: int) -> int:
        """How much of the bound so many entries of so many bytes are."""
        return max(
            0 if self.entries is None else 1000 * entries // self.entries,
            0 if self.bytes is None else 1000 * (size + OVERHEAD * entries) // self.bytes,
        )

    def excess(self, entries: int, size: float) -> float:
        """The share of so many entries, of so many bytes each, that has to go; 0 within the bound."""
        room = min(
            entries if self.entries is None else self.entries,
            entries if self.bytes is None else self.bytes / (size + OVERHEAD),
        )
        return 0.0 if entries <= room else 1 - _LOW * room / entries


NO_BOUND: Final = Bound()


def shares(excess: float, entries: int) -> tuple[float, float]:
    """
    Which share of the pages is looked at, and which share of those entries goes.

    >>> shares(0.5, 1000), shares(0.125, 100_000)
    ((1.0, 0.5), (0.25, 0.5))
    """
    looks = 1.0 if entries <= _ALL else min(1.0, max(_SOME, 2 * excess))
    return looks, excess / looks


def oldest(created: Sequence[int], share: float, draw: Callable[[], float]) -> list[int]:
    """
    The places of the oldest share of a page, by when entries were made.

    One of which nobody knows (0) is taken for as old as another one, by chance. Of a share that is no whole number the
    rest is left to chance, too.
    """
    known = [when for when in created if when] or [1]
    ages = [(when or known[int(draw() * len(known))], place) for place, when in enumerate(created)]
    count = int(len(created) * share + draw())
    return [place for _, place in sorted(ages)[:count]]


def take_sample(sample: list[bytes], room: int, seen: int, page: Sequence[bytes], draw: Callable[[], float]) -> None:
    """Let a sample of `room` things, of which `seen` were met before a page, be one of those of the page, too."""
    for number, thing in enumerate(page, seen + 1):
        if len(sample) < room:
            sample.append(thing)
        elif (place := int(draw() * number)) < room:
            sample[place] = thing
