# hand-written in both colours
"""Waiting, for the async flow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

__all__ = ["AsyncEvent", "AsyncLock", "AsyncTasks", "aside", "sleep"]

P = ParamSpec("P")
T = TypeVar("T")

sleep = asyncio.sleep
AsyncLock = asyncio.Lock


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks without holding up the loop: in a thread."""
    return await asyncio.to_thread(work, *args, **kwargs)


class AsyncEvent:
    """Something that happens once, and that many may wait for."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Let everyone who waits go on, now and later."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for it; False if it has not happened after `seconds`."""
        if self._event.is_set():
            return True
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


class AsyncTasks:
    """Background work with one owner: `aclose` ends it and waits until it has ended."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
        """Begin `work(*args)` now; an exception that it lets out goes to the loop's exception handler."""

        async def run() -> None:
            await work(*args, **kwargs)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def pause(self, seconds: float) -> bool:
        """Wait inside background work; False if the work is to end."""
        await asyncio.sleep(seconds)
        return True

    async def aclose(self) -> None:
        """End all work, and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self) -> None:
        """Wait until all work has ended by itself."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def forget(self) -> None:
        """Drop all work without waiting: in a forked child it does not exist."""
        self._tasks = set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "cachegrid background work failed", "exception": error})
