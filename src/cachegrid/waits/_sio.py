# hand-written in both colours
"""Waiting, for the sync flow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["SyncEvent", "SyncLock", "SyncTasks", "aside", "sleep"]

P = ParamSpec("P")
T = TypeVar("T")

sleep = time.sleep
SyncLock = threading.Lock


def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks: here and now."""
    return work(*args, **kwargs)


class SyncEvent:
    """Something that happens once, and that many may wait for."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Let everyone who waits go on, now and later."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait for it; False if it has not happened after `seconds`."""
        return self._event.wait(max(seconds, 0))


class SyncTasks:
    """Background work with one owner: `close` ends it and waits until it has ended."""

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()
        self._closing = threading.Event()

    def spawn(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Begin `work(*args)` now, in a thread; an exception that it lets out goes to `threading.excepthook`."""

        def run() -> None:
            try:
                work(*args, **kwargs)
            finally:
                self._threads.discard(thread)

        thread = threading.Thread(target=run, name="cachegrid", daemon=True)
        self._threads.add(thread)
        thread.start()

    def pause(self, seconds: float) -> bool:
        """Wait inside background work; False if the work is to end."""
        return not self._closing.wait(seconds)

    def close(self) -> None:
        """End all work, and wait until it has ended."""
        self._closing.set()
        self.settle()

    def settle(self) -> None:
        """Wait until all work has ended by itself."""
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join()

    def forget(self) -> None:
        """Drop all work without waiting: in a forked child it does not exist."""
        self._threads = set()
        self._closing = threading.Event()
