# hand-written in both colours
"""One at a time, or a few, and nobody waits for longer than there is time."""

from __future__ import annotations

import threading  # noqa: TID251 - one of the few that wait by themselves
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["SyncTurn"]


class SyncTurn:
    """A lock for threads; `room` may have it at a time."""

    def __init__(self, room: int = 1) -> None:
        self._lock = threading.Semaphore(room)

    @contextmanager
    def taken(self, seconds: float) -> Iterator[bool]:
        """Take it for the length of a block; False if others had it for so many seconds."""
        if not self._lock.acquire(timeout=max(seconds, 0)):
            yield False
            return
        try:
            yield True
        finally:
            self._lock.release()
