"""Freeing what tags have killed: it is out of reach, and takes memory until its time to live ends."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from cachegrid._aio.ability import AsyncAbleEngine
from cachegrid._aio.keeper import give_back
from cachegrid._aio.tagbook import AsyncTagBook
from cachegrid._core.frame import version_of
from cachegrid._core.glances import epochs_in
from cachegrid.errors import EngineError
from cachegrid.waits._aio import AsyncTasks

__all__ = ["AsyncTagSweep"]

_HEAD: Final = 256  # bytes of an entry in which its tags are, but for those of very many
_LEASE_MS: Final = 30_000
_SHARE: Final = 20  # times what a sweep took, until the next: it reads a little of every entry
_PACE: Final = 4  # times what a page took, until the next: it has an interpreter in common with the application


class AsyncTagSweep:
    """
    Walks through a cache some time after one of its tags was raised, and drops what is dead.

    One process of the grid does so at a time. What an outage leaves is dropped after the next raise, or ends by itself.
    """

    rest = 30.0  # seconds, at least, before each walk: tags that are raised meanwhile are swept along

    def __init__(self, book: AsyncTagBook) -> None:
        self._book = book
        self._tasks = AsyncTasks()
        self._waiting: set[bytes] = set()  # caches, by what their addresses begin with

    def begin(self, engine: AsyncAbleEngine, parent: bytes) -> None:
        """Sweep a cache in a while, unless somebody here is about to."""
        if parent not in self._waiting:
            self._waiting.add(parent)
            if self._tasks.spawn(self._sweep, engine, parent) is None:  # closed
                self._waiting.discard(parent)

    async def aclose(self) -> None:
        """Sweep no longer."""
        await self._tasks.aclose()

    def forget(self) -> None:
        """In a forked child: the sweeps are the parent's."""
        self._tasks.forget()
        self._waiting = set()

    async def _sweep(self, engine: AsyncAbleEngine, parent: bytes) -> None:
        token, rest = os.urandom(16), self.rest
        try:
            while await self._tasks.pause(rest):
                if await engine.acquire(_lease_of(parent), token, _LEASE_MS) is None:
                    continue  # another process is at it, and may be past what died since
                self._waiting.discard(parent)  # what dies from here on is for the next sweep
                began = time.monotonic()
                await self._walk(engine, parent, token)
                if not await self._tasks.pause(min(_SHARE * (time.monotonic() - began), _LEASE_MS / 2000)):
                    return
                await give_back(engine, _lease_of(parent), token)
                return
        except EngineError:
            return
        finally:
            self._waiting.discard(parent)

    async def _walk(self, engine: AsyncAbleEngine, parent: bytes, token: bytes) -> None:
        began = time.monotonic()
        async for page in engine.walk(parent):
            dead = [found async for found in self._dead_of(engine, parent, page)]
            if dead:
                await engine.drop_versions(dead)
            if not await engine.renew(_lease_of(parent), token, _LEASE_MS):
                return
            if not await self._tasks.rest(_PACE * (time.monotonic() - began)):
                return
            began = time.monotonic()

    async def _dead_of(
        self, engine: AsyncAbleEngine, parent: bytes, page: Sequence[bytes]
    ) -> AsyncIterator[tuple[bytes, bytes]]:
        """The addresses of a page whose entries are dead, and their versions."""
        heads = await engine.heads(page, _HEAD)
        # Tags that do not fit into a head are left to their entry's end.
        tagged = [(where, raw) for where, raw in zip(page, heads, strict=True) if raw is not None and epochs_in(raw)]
        await self._book.learn(engine, parent, [epochs_in(raw) for _, raw in tagged])
        for address, raw in tagged:
            if await self._book.confirmed(engine, parent, epochs_in(raw)) is None:
                yield address, version_of(raw)


def _lease_of(parent: bytes) -> bytes:
    return b"sweep:" + parent
