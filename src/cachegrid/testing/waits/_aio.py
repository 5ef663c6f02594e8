# hand-written in both colours
"""Running work to its end, many at once, and what runs beside it, for async tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

__all__ = ["run", "threads", "together"]

T = TypeVar("T")
PATIENCE: Final = 1.0  # seconds for what has been told to end


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `work` to its end, on a loop of its own; a task that it leaves running is a failure."""

    async def all_of_it() -> None:
        await work()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:  # what was told to end, a walk that was left for one, may need a few turns of the loop
            _, left = await asyncio.wait(left, timeout=PATIENCE)
        if left:
            raise AssertionError(f"closed engines left tasks running: {left}")

    asyncio.run(all_of_it())


async def together(*thunks: Callable[[], Awaitable[T]]) -> list[T]:
    """Run all at once, and give their answers in order; if some fail, the first failure once all have ended."""
    answers = await asyncio.gather(*(thunk() for thunk in thunks), return_exceptions=True)
    good: list[T] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        good.append(answer)
    return good


def threads() -> set[threading.Thread]:
    """Those that run in this process."""
    return set(threading.enumerate())
