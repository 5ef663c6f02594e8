# hand-written in both colours
"""Waiting, for the async flow."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, ParamSpec, TypeVar, cast

from cachegrid.errors import EngineError
from cachegrid.waits import LONGEST_REST, LOOK

__all__ = [
    "COLOUR",
    "AsyncEvent",
    "AsyncLock",
    "AsyncTasks",
    "AsyncWake",
    "AsyncWork",
    "Mutex",
    "aside",
    "at_exit",
    "mark_colour",
    "one_loop",
    "sleep",
    "together",
]

P = ParamSpec("P")
T = TypeVar("T")

Mutex = threading.RLock  # held for a moment, and never while something is waited for; handlers may come under it
COLOUR: Final = "async"  # for plug-ins, which are told what kind of engine to make
sleep = asyncio.sleep


def mark_colour(made: Any, function: Callable[..., Any]) -> None:
    """Let an object that is called be known as an async function, to `inspect` and to frameworks that ask it."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(made)
        return
    # Before, `inspect` knows what looks like a function, and asyncio a mark of its own.
    function = inspect.unwrap(function)
    for name in ("__code__", "__defaults__", "__kwdefaults__"):
        if hasattr(function, name):
            setattr(made, name, getattr(function, name))
    made._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined] # noqa: SLF001


def at_exit(work: Callable[[], Awaitable[None]]) -> None:
    """Nothing: when a program ends, its loops have ended, and nothing could be awaited."""


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks without holding up the loop: in a thread."""
    return await asyncio.to_thread(work, *args, **kwargs)


async def together(works: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """
    What pieces of work come to, done at the same time. Raises what the first of them raised, when all are over.

    Whoever cancels it cancels all of them.
    """
    if len(works) == 1:
        return [await works[0]()]
    outcomes = await asyncio.gather(*[work() for work in works], return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return cast("list[T]", outcomes)


def one_loop(home: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop:
    """
    The loop that runs here, for what lives in the loop `home`, or in none yet.

    Raises EngineError where that is another one that runs at this moment: what loops share is not made for threads.
    """
    loop = asyncio.get_running_loop()
    if home is not None and home is not loop and home.is_running():
        raise EngineError(
            "one async grid is used by the event loops of two threads at the same time; "
            "call aconnect() once for each loop, and take its caches from that grid"
        )
    return loop


class AsyncLock:
    """One task at a time. Whoever held it in a loop that has ended holds it no longer. Raises as `one_loop` does."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._moving = threading.Lock()  # of two loops that come at once, one has it

    async def __aenter__(self) -> None:
        with self._moving:
            loop = one_loop(self._loop)
            if self._loop is not loop:
                self._lock, self._loop = asyncio.Lock(), loop
            lock = self._lock
        await lock.acquire()

    async def __aexit__(self, *error: object) -> None:
        self._lock.release()


class AsyncEvent:
    """Something that happens once, and that many may wait for."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @property
    def is_lost(self) -> bool:
        """Whether it will never happen, because the loop has ended in which it would have."""
        return self._loop.is_closed()

    def set(self) -> None:
        """Let everyone who waits go on, now and later."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for it; False if it has not happened after `seconds`. Raises as `one_loop` does."""
        if self._event.is_set():
            return True
        one_loop(self._loop)
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


class AsyncWake:
    """Wakes one task, again and again; made in its loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._is_rung = False

    def ring(self) -> None:
        """Wake it, or let it not fall asleep. Called from any thread."""
        if not self._is_rung:
            self._is_rung = True
            with contextlib.suppress(RuntimeError):  # the loop has ended, and its tasks with it
                self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Sleep until it rings, or has rung since this was called last."""
        await self._event.wait()
        self._event.clear()
        self._is_rung = False


class AsyncWork:
    """Work that was begun in the background."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    @property
    def is_alive(self) -> bool:
        """Whether it goes on; not, if the loop that it was begun in has ended."""
        return not self._task.done() and self._task.get_loop() is asyncio.get_running_loop()


class AsyncTasks:
    """
    Background work with one owner: `aclose` ends it and waits until it has ended.

    What `is_to_be_done` is done by whoever closes: a loop that ends before cancels it.
    """

    is_parting = False  # a loop that ends does so without a word before

    def __init__(self, *, is_to_be_done: bool = False) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._whole: set[asyncio.Task[Any]] = set()  # what is not to be broken off
        self._awaited: set[object] = set()  # those who wait for all work to end
        self._closing = False

    def __len__(self) -> int:
        return sum(not task.done() for task in self._tasks)

    @property
    def is_closing(self) -> bool:
        """Whether its owner ends it, or has ended it."""
        return self._closing

    def spawn(self, work: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> AsyncWork | None:
        """
        Begin `work(*args)` now; None if this was closed.

        An exception that it lets out goes to the loop's exception handler.
        """
        if self._closing:
            return None

        async def run() -> None:
            await work(*args, **kwargs)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return AsyncWork(task)

    async def see_through(self, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Do `work(*args)` to its end, also when who waits for it is cancelled: then `aclose` waits for it.

        What it raises when nobody waits any more is told to nobody.
        """

        async def run() -> T:
            return await work(*args, **kwargs)

        task = asyncio.get_running_loop().create_task(run())
        self._whole.add(task)
        task.add_done_callback(self._whole.discard)
        return await asyncio.shield(task)

    async def pause(self, seconds: float) -> bool:
        """Wait inside background work; False if the work is to end."""
        await asyncio.sleep(seconds)
        return not self._closing

    async def rest(self, seconds: float) -> bool:
        """
        As `pause`, for the good of the application, between two steps of work that may take long.

        Half a second at most, and not while the application waits in `settle`.
        """
        end = time.monotonic() + min(seconds, LONGEST_REST)
        while not self._awaited and (left := end - time.monotonic()) > 0:
            if not await self.pause(min(left, LOOK)):
                return False
        return await self.pause(0)

    async def aclose(self) -> None:
        """End all work, but for what is seen through, and wait until it has ended."""
        self._closing = True
        tasks = self._here()
        for task in tasks:
            if task not in self._whole:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self, seconds: float | None = None) -> None:
        """Wait until all work has ended by itself, and at most so long."""
        loop = asyncio.get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        self._awaited.add(waiter := object())
        try:
            while (tasks := self._here()) and (end is None or loop.time() < end):
                await asyncio.wait(tasks, timeout=None if end is None else end - loop.time())
        finally:
            self._awaited.discard(waiter)

    async def part(self, seconds: float) -> None:
        """Give all work so long to end by itself, then end it."""
        await self.settle(seconds)
        await self.aclose()

    def forget(self) -> None:
        """Drop all work without waiting: in a forked child it does not exist."""
        self._tasks, self._whole, self._awaited = set(), set(), set()

    def _here(self) -> list[asyncio.Task[Any]]:
        """The work of the loop that runs; what an earlier loop left ended with it."""
        loop = asyncio.get_running_loop()
        self._tasks = {task for task in self._tasks if task.get_loop() is loop}
        self._whole = {task for task in self._whole if task.get_loop() is loop}
        tasks = self._tasks | self._whole
        return [task for task in tasks if not task.done() and task is not asyncio.current_task()]

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "cachegrid background work failed", "exception": error})
