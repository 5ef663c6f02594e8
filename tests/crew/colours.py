"""
Work that is written once, as tasks, and done by tasks or by threads.

Where calls need not be awaited `drive` drives the work, since nothing in it ever waits for anything else.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["Awaited", "begin", "blocking", "drive", "in_threads"]


class Awaited:
    """A sync cache, function or lock whose calls are awaited, and never wait for the loop that is not there."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def __getattr__(self, name: str) -> Any:
        return blocking(getattr(self._made, name))

    def __call__(self, *args: Any) -> Awaitable[Any]:
        return blocking(self._made)(*args)


def blocking(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """The function as one that is awaited."""

    async def call(*args: Any, **named: Any) -> Any:
        return function(*args, **named)

    return call


def drive(work: Coroutine[Any, Any, Any]) -> Any:
    """What the work comes to, done in this thread."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a lane waited for a loop, and there is none")


def in_threads(lanes: Iterable[Coroutine[Any, Any, Any]], stopped: threading.Event) -> None:
    """
    Do each lane in a thread of its own, until all are over.

    Raises what a lane raised, and stops the others then: a lane less would prove less, and nobody would know.
    """
    works = list(lanes)
    with ThreadPoolExecutor(len(works)) as threads:
        running = [threads.submit(_drive_or_stop, work, stopped) for work in works]
    for lane in running:
        lane.result()


def _drive_or_stop(work: Coroutine[Any, Any, Any], stopped: threading.Event) -> None:
    try:
        drive(work)
    except BaseException:
        stopped.set()
        raise


def begin(stopped: threading.Event) -> None:
    """Say to the one who started this process that all is ready, wait for the word to begin, and stop at the next."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()

    def listen() -> None:
        sys.stdin.readline()
        stopped.set()

    threading.Thread(target=listen, daemon=True).start()
