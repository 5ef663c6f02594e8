# hand-written in both colours
"""Waiting, for the sync flow."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, ParamSpec, TypeVar

from cachegrid.waits import LONGEST_REST, LOOK

__all__ = [
    "COLOUR",
    "Mutex",
    "SyncEvent",
    "SyncLock",
    "SyncTasks",
    "SyncWake",
    "SyncWork",
    "aside",
    "at_exit",
    "mark_colour",
    "sleep",
    "together",
]

P = ParamSpec("P")
T = TypeVar("T")

_PARTING: Final = 5.0  # seconds for which a program that has ended waits for work to be done
Mutex = threading.RLock  # held for a moment, and never while something is waited for; handlers may come under it
COLOUR: Final = "sync"  # for plug-ins, which are told what kind of engine to make
sleep = time.sleep
SyncLock = threading.Lock


def mark_colour(made: object, function: Callable[..., Any]) -> None:
    """A sync function needs no mark."""


def at_exit(work: Callable[[], None]) -> None:
    """Do `work` when the program ends of its own accord, after threads that it waits for."""
    atexit.register(work)


def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks: here and now."""
    return work(*args, **kwargs)


def together(works: Sequence[Callable[[], T]]) -> list[T]:
    """What pieces of work come to, done one after the other; the first that raises is the last."""
    return [work() for work in works]


class SyncEvent:
    """Something that happens once, and that many may wait for."""

    is_lost = False  # a thread that would let it happen lives as long as its process

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Let everyone who waits go on, now and later."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait for it; False if it has not happened after `seconds`."""
        return self._event.wait(max(seconds, 0))


class SyncWake:
    """Wakes one thread, again and again."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        """Wake it, or let it not fall asleep. Called from any thread."""
        if not self._event.is_set():
            self._event.set()

    def wait(self) -> None:
        """Sleep until it rings, or has rung since this was called last."""
        self._event.wait()
        self._event.clear()


class SyncWork:
    """Work that was begun in the background."""

    def __init__(self, tasks: SyncTasks, thread: threading.Thread) -> None:
        self._tasks, self._thread = tasks, thread

    @property
    def is_alive(self) -> bool:
        """Whether it goes on; not, in a forked child."""
        return self._tasks.has(self._thread)


class SyncTasks:
    """
    Background work with one owner: `close` ends it and waits until it has ended.

    A program that ends without closing waits for work that `is_to_be_done`, some seconds at most, and drops other.
    """

    def __init__(self, *, is_to_be_done: bool = False) -> None:
        self._is_to_be_done = is_to_be_done
        self._threads: set[threading.Thread] = set()
        self._awaited: set[object] = set()  # those who wait for all work to end
        self._closing = threading.Event()
        self._last = 0.0  # when work is to end because the program does, in seconds of the monotonic clock

    def __len__(self) -> int:
        return len(self._threads)

    @property
    def is_closing(self) -> bool:
        """Whether its owner ends it, or has ended it."""
        return self._closing.is_set()

    @property
    def is_parting(self) -> bool:
        """Whether the program has ended, and waits for what is to be done."""
        return not threading.main_thread().is_alive()

    def spawn(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> SyncWork | None:
        """
        Begin `work(*args)` now, in a thread; None if this was closed.

        An exception that it lets out goes to `threading.excepthook`.
        """
        if self._closing.is_set():
            return None

        def run() -> None:
            try:
                work(*args, **kwargs)
            finally:
                self._threads.discard(thread)

        thread = threading.Thread(target=run, name="cachegrid", daemon=not self._is_to_be_done)
        # Before it starts: whoever closes from now on waits for it.
        self._threads.add(thread)
        try:
            thread.start()
        except BaseException:
            self._threads.discard(thread)
            raise
        return SyncWork(self, thread)

    def has(self, thread: threading.Thread) -> bool:
        """Whether the work of a thread goes on; the thread itself may live a little longer."""
        return thread in self._threads

    def see_through(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do `work(*args)` to its end: a thread is not cancelled."""
        return work(*args, **kwargs)

    def pause(self, seconds: float) -> bool:
        """Wait inside background work; False if the work is to end."""
        if self.is_parting:
            self._last = self._last or time.monotonic() + _PARTING
            if time.monotonic() > self._last:
                return False
        return not self._closing.wait(seconds)

    def rest(self, seconds: float) -> bool:
        """
        As `pause`, for the good of the application, between two steps of work that may take long.

        Half a second at most, and not while the application waits in `settle`, or has ended.
        """
        end = time.monotonic() + min(seconds, LONGEST_REST)
        while not (self._awaited or self.is_parting) and (left := end - time.monotonic()) > 0:
            if not self.pause(min(left, LOOK)):
                return False
        return self.pause(0)

    def close(self) -> None:
        """End all work, and wait until it has ended."""
        self._closing.set()
        self.settle()

    def settle(self, seconds: float | None = None) -> None:
        """Wait until all work has ended by itself, and at most so long."""
        end = None if seconds is None else time.monotonic() + seconds
        self._awaited.add(waiter := object())
        try:
            while (threads := self._threads - {threading.current_thread()}) and (end is None or time.monotonic() < end):
                for thread in threads:
                    if thread.ident is not None:  # else it is just being started
                        thread.join(None if end is None else max(end - time.monotonic(), 0))
        finally:
            self._awaited.discard(waiter)

    def part(self, seconds: float) -> None:
        """Give all work so long to end by itself, then tell it to; a thread that is still at it is not waited for."""
        self.settle(seconds)
        self._closing.set()

    def forget(self) -> None:
        """Drop all work without waiting: in a forked child it does not exist."""
        self._threads, self._awaited = set(), set()
        closing = threading.Event()
        if self._closing.is_set():
            closing.set()
        self._closing = closing
