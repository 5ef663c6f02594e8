"""
Changes that wait to be written: of each key the newest, the oldest key first, and no more than there is room for.

Threads share it. Nothing here waits: whoever finds no room comes again.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cachegrid._core.address import Key
from cachegrid._core.miss import MISS

__all__ = ["Backlog", "Change", "ThroughStats", "told"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughStats:
    """What this process counted of what it writes through a cache, since it was opened; a forked child begins at 0."""

    pending: int  # changes that wait to be written, or are just being written
    written: int  # changes that the writer has taken
    merged: int  # changes that were never written, since a newer one of their key came first
    failed: int  # changes that were given up: their callers got the error, or the log has it where they wrote behind
    retried: int  # calls of the writer that failed, and were made again
    oldest: float  # seconds that the oldest of the pending ones has waited


class Change(NamedTuple):
    """A value, or NOTHING for a delete; when its key began to wait, and how often the writer failed on it."""

    value: Any
    since: float
    failures: int = 0


class Backlog:
    """The changes of one process. What is taken stays visible until it is written, given back or given up."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.written = self.merged = self.failed = self.retried = 0
        self.lock = threading.Lock()
        self._waiting: dict[Key, Change] = {}
        self._leaving: dict[Key, Change] = {}
        self._reserved: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._leaving)

    def reserve(self, keys: Collection[Key]) -> bool:
        """Keep room for changes of these keys, until `offer` or `cancel`; whether there is enough."""
        with self.lock:
            new = [key for key in keys if key not in self._waiting and key not in self._reserved]
            # More than there is room for at all is taken when nothing else is there.
            if len(self) + len(self._reserved) + len(new) > self.room and (len(self) or self._reserved):
                return False
            for key in keys:
                self._reserved[key] = self._reserved.get(key, 0) + 1
            return True

    def cancel(self, keys: Iterable[Key]) -> None:
        """Give room back."""
        with self.lock:
            self._unreserve(keys)

    def offer(self, changes: Mapping[Key, Any], now: float) -> None:
        """Let changes wait, for which room was reserved."""
        with self.lock:
            self._unreserve(changes)
            for key, value in changes.items():
                older = self._waiting.get(key)
                self.merged += older is not None
                self._waiting[key] = Change(value, now if older is None else older.since)

    def take(self, count: int) -> dict[Key, Change]:
        """The oldest changes, to be written now. One taker at a time: so those of one key keep their order."""
        with self.lock:
            for key in list(self._waiting)[:count]:
                self._leaving[key] = self._waiting.pop(key)
            return dict(self._leaving)

    def done(self, keys: Iterable[Key], *, is_written: bool = True) -> None:
        """What was taken is written, or given up."""
        with self.lock:
            for key in keys:
                self._leaving.pop(key)
                self.written += is_written
                self.failed += not is_written

    def give_back(self) -> None:
        """What was taken and is not done waits again, before all others, unless a newer change of its key does."""
        with self.lock:
            back = {key: it._replace(failures=it.failures + 1) for key, it in self._leaving.items()}
            self.merged += sum(key in self._waiting for key in back)
            back |= {
                key: it if key not in back else it._replace(since=back[key].since) for key, it in self._waiting.items()
            }
            self._waiting, self._leaving = back, {}

    def value(self, key: Key) -> Any:
        """The newest change of a key, or MISS."""
        with self.lock:
            change = self._waiting.get(key) or self._leaving.get(key)
            return MISS if change is None else change.value

    def left(self) -> dict[Key, Any]:
        """All that is not written."""
        with self.lock:
            return {key: change.value for key, change in (self._leaving | self._waiting).items()}

    def stats(self, now: float) -> ThroughStats:
        """The counters as they are now."""
        with self.lock:
            since = [change.since for some in (self._leaving, self._waiting) for change in list(some.values())[:1]]
            return ThroughStats(
                pending=len(self),
                written=self.written,
                merged=self.merged,
                failed=self.failed,
                retried=self.retried,
                oldest=max(0.0, now - min(since, default=now)),
            )

    def forget(self) -> None:
        """In a forked child: what waits is the parent's to write."""
        self.lock = threading.Lock()
        self.written = self.merged = self.failed = self.retried = 0
        self._waiting, self._leaving, self._reserved = {}, {}, {}

    def drop_all(self) -> None:
        """Let nothing wait any longer."""
        with self.lock:
            self._waiting, self._leaving = {}, {}

    def _unreserve(self, keys: Iterable[Key]) -> None:
        for key in keys:
            left = self._reserved.pop(key, 1) - 1
            if left > 0:
                self._reserved[key] = left


def told(count: int) -> str:
    """
    So many changes, for people.

    >>> told(1), told(2000)
    ('1 change', '2,000 changes')
    """
    return f"{count:,} {'change' if count == 1 else 'changes'}"
