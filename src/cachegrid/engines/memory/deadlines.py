"""When entries end: a heap of promises to look again, at most a few for each entry."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

__all__ = ["NEVER", "Deadlines", "Entry"]

NEVER = 1 << 63  # later than any clock; an int, so that deadlines compare without a case for None

_SLACK = 1024  # stale marks that are never worth a rebuild


class Entry:
    """A frame, when it ends, and the mark that will find it then; times are nanoseconds of the store's clock."""

    __slots__ = ("deadline", "frame", "mark")

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.deadline = NEVER
        self.mark = NEVER


class Deadlines:
    """
    Finds entries that have ended, so that memory does not grow for ever.

    Reads check the entry they meet themselves; this is for those that nobody reads again. An entry whose
    life grows keeps its old mark, which then leads to a new one, so that an idle time started anew on
    each read costs nothing here.
    """

    def __init__(self) -> None:
        self._marks: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._marks)

    def watch(self, address: bytes, entry: Entry) -> None:
        """Make sure that a mark finds `entry` no later than its deadline."""
        if entry.deadline < entry.mark:
            entry.mark = entry.deadline
            heapq.heappush(self._marks, (entry.mark, address))

    def due(self, entries: Mapping[bytes, Entry], now: int) -> Iterator[bytes]:
        """Addresses of entries that ended by `now`; the caller may stop, and removes each before the next."""
        while self._marks and self._marks[0][0] <= now:
            mark, address = heapq.heappop(self._marks)
            entry = entries.get(address)
            if entry is None or entry.mark != mark:
                continue  # dropped, or found by another mark
            if entry.deadline <= now:
                yield address
            else:
                entry.mark = NEVER
                self.watch(address, entry)

    def tidy(self, entries: Mapping[bytes, Entry]) -> None:
        """Forget marks of entries that are gone, once they outnumber the others."""
        if len(self._marks) <= 2 * len(entries) + _SLACK:
            return
        self._marks = [(entry.deadline, address) for address, entry in entries.items() if entry.deadline != NEVER]
        heapq.heapify(self._marks)
        for entry in entries.values():
            entry.mark = entry.deadline

    def clear(self) -> None:
        """Forget all."""
        self._marks.clear()
