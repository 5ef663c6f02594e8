"""Dropping many at once: by an epoch, by tags, or in a walk; and freeing what is out of reach."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from cachegrid._aio.ability import AsyncAbleEngine
from cachegrid._aio.cell import AsyncCell
from cachegrid._core.address import Key, Space, epoch_in
from cachegrid._core.tags import bucket_of
from cachegrid.errors import EngineError, NotDurable
from cachegrid.near.nearby import cleared

__all__ = ["AsyncSweeping"]


class AsyncSweeping(AsyncCell):
    """What lies out of reach, at earlier epochs, still takes memory until it is swept."""

    async def _clear(self) -> None:
        engine, short = self._engine, None
        try:
            await self._writer.raise_epoch(self._epoch_names[-1])
        except NotDurable as error:  # it was raised
            short = error
        finally:  # what failed may have been done
            cleared(self._parent)
        if self._voice.kinds:
            self._tell("invalidated")
        await self._settle()
        self._sweep_soon(engine)
        if short is not None:
            raise short

    async def _raise_tags(self, names: list[bytes]) -> None:
        try:
            await self._writer.raise_tags(names)
        finally:  # what failed may have been done
            cleared(self._parent, [bucket_of(name) for name in names])
        if not {"walks", "leases"} & self._hub.lacking:
            self._hub.tag_sweep.begin(self._home, self._parent)

    async def _drop_walked(self, prefix: str | None, where: Callable[[Key], bool] | None) -> None:
        """Drop the entries whose keys fit, page by page, as far as it goes."""
        try:
            await self._walk(prefix, where)
        except Exception as error:  # noqa: BLE001 - of the grid, or of `where`; and nobody waits for it
            if await self._hub.tasks.pause(0):  # else it was closed here, and that is why
                logging.getLogger("cachegrid").warning(
                    "cache %r: not all was dropped that `invalidate` was to find: %s: %s",
                    self.name,
                    type(error).__name__,
                    error,
                )

    async def _walk(self, prefix: str | None, where: Callable[[Key], bool] | None) -> None:
        space = await self._settle()
        begins = space.prefix if prefix is None else space.address(prefix)
        async for page in self._engine.walk(begins):
            keys = [(address, key) for address in page if (key := space.key(address)) is not None]
            found = [address for address, key in keys if where is None or where(key)]
            if found:
                dropped = await self._writer.drop_many(found)
                self._counters.drops += dropped
            if not await self._hub.tasks.pause(0):
                return

    def _sweep_soon(self, engine: AsyncAbleEngine) -> None:
        # The engine is named, since the cache has none any more while its grid is closed.
        if self._sweeper is None or not self._sweeper.is_alive:
            self._sweeper = self._hub.tasks.spawn(self._sweep, engine)

    async def _sweep(self, engine: AsyncAbleEngine) -> None:
        """Free the memory of what was cleared. What an outage leaves behind is freed after the next clear."""
        swept = None
        try:
            while swept != self._space.epochs:  # raised meanwhile: once more
                swept = self._space.epochs
                await self._sweep_before(self._space, engine)
        except EngineError:
            return
        finally:
            self._sweeper = None
        if swept != self._space.epochs:  # raised between the last look and signing off
            self._sweep_soon(engine)

    async def _sweep_before(self, space: Space, engine: AsyncAbleEngine) -> None:
        parent, current = space.parents[-1], space.epochs[-1]
        began = time.monotonic()
        async for page in engine.walk(parent):
            dead = [address for address in page if (epoch := epoch_in(address, parent)) is not None and epoch < current]
            if dead:
                await engine.drop_many(dead)
            # As long as it took: memory is wanted back soon, and the application has the interpreter in common with it.
            if not await self._hub.tasks.rest(time.monotonic() - began):
                return
            began = time.monotonic()
