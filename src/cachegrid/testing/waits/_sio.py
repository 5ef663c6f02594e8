# hand-written in both colours
"""Running work to its end, many at once, and what runs beside it, for sync tests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

__all__ = ["run", "threads", "together"]

T = TypeVar("T")
PATIENCE: Final = 1.0  # seconds for what has been told to end


def run(work: Callable[[], None]) -> None:
    """Run `work` to its end; a thread that it leaves running is a failure."""
    before = set(threading.enumerate())
    work()
    left = set(threading.enumerate()) - before
    for thread in left:  # what was told to end may need a moment
        thread.join(PATIENCE)
    left = {thread for thread in left if thread.is_alive()}
    if left:
        raise AssertionError(f"closed engines left threads running: {left}")


def together(*thunks: Callable[[], T]) -> list[T]:
    """Run all at once, each in a thread; give their answers in order, or the first failure once all have ended."""
    start = threading.Barrier(len(thunks))

    def begin(thunk: Callable[[], T]) -> T:
        start.wait()
        return thunk()

    with ThreadPoolExecutor(len(thunks)) as threads:
        running = [threads.submit(begin, thunk) for thunk in thunks]
    return [one.result() for one in running]


def threads() -> set[threading.Thread]:
    """Those that run in this process."""
    return set(threading.enumerate())
