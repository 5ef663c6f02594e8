# hand-written in both colours
"""Work begun behind a test's back, and gates that hold it where a race is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

from cachegrid.testing.waits._aio import together

__all__ = ["PATIENCE", "AsyncGate", "AsyncRun", "begin", "listed", "other_colour", "together", "until"]

T = TypeVar("T")
PATIENCE: Final = 10.0  # seconds until a test that waits in vain fails


class AsyncGate:
    """Holds whoever comes until it is opened."""

    def __init__(self) -> None:
        self._reached, self._open = asyncio.Event(), asyncio.Event()

    async def stand(self) -> None:
        """Be held."""
        self._reached.set()
        await _patiently(self._open.wait())

    @property
    def is_reached(self) -> bool:
        """Whether somebody stands at the gate, or has."""
        return self._reached.is_set()

    async def reached(self) -> None:
        """Wait until somebody stands at the gate."""
        await _patiently(self._reached.wait())

    def open(self) -> None:
        """Let everyone through, now and later."""
        self._open.set()


class AsyncRun(Generic[T]):
    """Work that has begun."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._task = asyncio.create_task(work)

    async def result(self) -> T:
        """Wait for what it returns or raises."""
        return await _patiently(self._task)

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._task.done()

    def cancel(self) -> None:
        """Cancel it; only this colour can."""
        self._task.cancel()


def begin(work: Callable[..., Coroutine[Any, Any, T]], *args: object, **kwargs: object) -> AsyncRun[T]:
    """Begin `work(*args)` now."""
    return AsyncRun(work(*args, **kwargs))


async def listed(things: AsyncIterable[T]) -> list[T]:
    """All of them."""
    return [thing async for thing in things]


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until a condition holds."""

    async def look() -> None:
        while not await condition():
            await asyncio.sleep(0.001)

    await _patiently(look())


async def _patiently(work: Awaitable[T]) -> T:
    async with asyncio.timeout(PATIENCE):
        return await work


def other_colour(value: object) -> Any:
    """A loader as a sync cache takes it."""
    return lambda: value
