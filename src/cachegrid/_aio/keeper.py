"""Leases that are held here: taken, renewed for as long as they are held, and given back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import NamedTuple

from cachegrid.engines._aio.protocol import AsyncLeases
from cachegrid.errors import EngineError
from cachegrid.waits._aio import AsyncTasks, AsyncWork

__all__ = ["AsyncKeeper", "give_back", "take"]


class _Hold(NamedTuple):
    """A lease that is held here."""

    engine: AsyncLeases
    name: bytes
    lease: int  # ms
    is_left: Callable[[], bool]  # whether its holder has gone, and was interrupted before it could say so


def _is_not_left() -> bool:
    return False


class AsyncKeeper:
    """Renews leases in the background. It works only while some are held, and apart for leases of each length."""

    def __init__(self) -> None:
        self._tasks = AsyncTasks()  # its own: nobody who waits for other work to be done waits for the next renewal
        self._held: dict[bytes, _Hold] = {}  # by token: another holder may have the name by now
        self._workers: dict[int, AsyncWork | None] = {}  # by the length of the leases they renew

    def __len__(self) -> int:
        return len(self._held)

    def hold(
        self,
        engine: AsyncLeases,
        name: bytes,
        token: bytes,
        lease: int,
        is_left: Callable[[], bool] = _is_not_left,
    ) -> None:
        """Renew a lease of `lease` ms from now on; no longer, and give it back, once `is_left()`."""
        self._held[token] = _Hold(engine, name, lease, is_left)
        self._see_to(lease)

    def let_go(self, token: bytes) -> None:
        """Renew it no longer."""
        self._held.pop(token, None)

    async def aclose(self) -> None:
        """Renew nothing any longer; what is held ends with its lease."""
        await self._tasks.aclose()
        self._held, self._workers = {}, {}

    def forget(self) -> None:
        """In a forked child: the leases are the parent's."""
        self._tasks.forget()
        self._held, self._workers = {}, {}

    def _see_to(self, lease: int) -> None:
        worker = self._workers.get(lease)
        if worker is None or not worker.is_alive:
            self._workers[lease] = self._tasks.spawn(self._work, lease)

    async def _work(self, lease: int) -> None:
        try:
            # Three tries in the time of a lease.
            while await self._tasks.pause(lease / 3000):
                held = self._of_length(lease)
                if not held:
                    break
                for token, hold in held.items():
                    if hold.is_left():
                        self.let_go(token)
                        await give_back(hold.engine, hold.name, token)
                    elif token in self._held:
                        await self._renew(token, hold)
        finally:
            self._workers.pop(lease, None)
        # Looked again after signing off: whoever takes a lease from here on begins work anew, and what was taken
        # before is seen.
        if self._of_length(lease):
            self._see_to(lease)

    def _of_length(self, lease: int) -> dict[bytes, _Hold]:
        return {token: hold for token, hold in self._held.copy().items() if hold.lease == lease}

    async def _renew(self, token: bytes, hold: _Hold) -> None:
        try:
            kept = await hold.engine.renew(hold.name, token, hold.lease)
        except EngineError:
            return  # the next round tries again; the holder learns of a lost lease when it asks
        if not kept:
            self.let_go(token)


async def take(engine: AsyncLeases, name: bytes, token: bytes, lease: int) -> int | None:
    """Ask for a lease: its fencing number, or None. Whoever is interrupted while asking does not have it."""
    try:
        return await engine.acquire(name, token, lease)
    except EngineError:
        raise
    except BaseException:
        # Cancelled: it may have been given nevertheless, and everybody would wait for its end.
        await give_back(engine, name, token)
        raise


async def give_back(engine: AsyncLeases, name: bytes, token: bytes) -> None:
    """Give a lease back. If that fails it ends by itself, and what was done under it stands."""
    with contextlib.suppress(EngineError):
        await engine.release(name, token)
