# hand-written in both colours
"""One at a time, and nobody waits for longer than there is time."""

from __future__ import annotations

import asyncio  # noqa: TID251 - one of the few that wait by themselves
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["AsyncTurn"]


class AsyncTurn:
    """A lock for the tasks of whatever loop runs; those of two loops do not wait for each other."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def taken(self, seconds: float) -> AsyncIterator[bool]:
        """Take it for the length of a block; False if others had it for so many seconds."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._lock = loop, asyncio.Lock()
        lock = self._lock
        try:
            async with asyncio.timeout(seconds):
                await lock.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
