# hand-written in both colours
"""One at a time, or a few, and nobody waits for longer than there is time."""

from __future__ import annotations

import asyncio  # noqa: TID251 - one of the few that wait by themselves
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["AsyncTurn"]


class AsyncTurn:
    """A lock for the tasks of whatever loop runs, that `room` may have at a time. Loops do not wait for each other."""

    def __init__(self, room: int = 1) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room, self._lock = room, asyncio.Semaphore(room)

    @asynccontextmanager
    async def taken(self, seconds: float) -> AsyncIterator[bool]:
        """Take it for the length of a block; False if others had it for so many seconds."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._lock = loop, asyncio.Semaphore(self._room)
        lock = self._lock
        try:
            if lock.locked():
                async with asyncio.timeout(seconds):
                    await lock.acquire()
            else:
                await lock.acquire()  # at once, and for a tenth of the price
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
