"""Writing behind: changes wait, the newest of each key, and are written in batches, again where that fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, TypeVar

from cachegrid._core.address import Key
from cachegrid.errors import BacklogFull, ChangesLost, EngineError
from cachegrid.use.backlog import Backlog, Change, told
from cachegrid.waits._aio import AsyncEvent, AsyncTasks, AsyncWork

__all__ = ["AsyncBehind"]

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.1  # seconds after a failure; doubled after each that follows
_LONGEST_PAUSE: Final = 30.0
_GLANCE: Final = 0.1  # seconds between two looks at whether there is something to do
_TOGETHER: Final = 2  # failures of a batch after which its changes are written one by one


class AsyncBehind:
    """
    Writes what waits in a backlog, for as long as something does: one batch at a time, so that keys keep their order.

    `written` is told of what the writer has taken, `given_up` of what it never will.
    """

    def __init__(
        self,
        write: Callable[[dict[Key, Any]], Awaitable[None]],
        written: Callable[[Mapping[Key, Any]], Awaitable[None]],
        given_up: Callable[[Key], Awaitable[None]],
        *,
        name: str,
        delay: float,
        batch: int,
        room: int,
        retries: int | None,
        timeout: float,
    ) -> None:
        self.backlog = Backlog(room)
        self._write, self._written, self._given_up = write, written, given_up
        self._name, self._delay, self._batch, self._retries, self._timeout = name, delay, batch, retries, timeout
        self._tasks = AsyncTasks(is_to_be_done=True)
        self._worker: AsyncWork | None = None
        self._hurry: AsyncEvent | None = None  # lets the worker rest no longer
        self._progress: AsyncEvent | None = None  # lets those look again who wait for changes to be written
        self._pressing: set[object] = set()  # those who want changes to be written now

    async def reserve(self, keys: Collection[Key]) -> None:
        """Wait for room for changes of these keys, which are then put, or cancelled. Raises BacklogFull."""
        if not self.backlog.reserve(keys) and not await self._press(self._timeout, lambda: self.backlog.reserve(keys)):
            message = (
                f"cache {self._name!r} has {told(len(self.backlog))} waiting to be written, and there was no room "
                f"for {len(keys)} more within {self._timeout:g} s; nothing was changed"
            )
            raise BacklogFull(message)

    def put(self, changes: Mapping[Key, Any]) -> None:
        """Let changes wait, for which room was reserved."""
        self.backlog.offer(changes, time.monotonic())
        self._see_to()
        if len(self.backlog) >= self._batch:
            self._hurry_up()

    async def drain(self, seconds: float) -> bool:
        """Write all now; whether that was done in so many seconds."""
        return not len(self.backlog) or await self._press(seconds, lambda: not len(self.backlog))

    async def aclose(self) -> None:
        """Write what is left, as long as `timeout` at most. Raises ChangesLost for what is not written then."""
        if len(self.backlog):
            self._pressing.add(self)
            self._see_to()
            self._hurry_up()
        await self._tasks.part(self._timeout)
        left = self.backlog.left()
        if left:
            self.backlog.drop_all()
            raise ChangesLost(self._name, left)

    def forget(self) -> None:
        """In a forked child: what waits is the parent's to write."""
        self._tasks.forget()
        self.backlog.forget()
        self._worker = self._hurry = self._progress = None
        self._pressing = set()

    # Inside.

    async def _press(self, seconds: float, is_enough: Callable[[], bool]) -> bool:
        """Let changes be written now, until it is enough; whether that was so in so many seconds."""
        deadline, pressing = time.monotonic() + seconds, object()
        self._pressing.add(pressing)  # first: a worker that is about to rest sees it, and one that rests is woken
        try:
            while True:
                self._see_to()
                self._hurry_up()
                progress = self._progress  # before the look: what is written from here on is seen
                if is_enough():
                    return True
                left = deadline - time.monotonic()
                if left <= 0 or progress is None:
                    return False
                await progress.wait(min(left, _GLANCE))
        finally:
            self._pressing.discard(pressing)

    def _see_to(self) -> None:
        with self.backlog.lock:
            if self._worker is None or not self._worker.is_alive:
                self._hurry = AsyncEvent()
                self._progressed()
                self._worker = self._tasks.spawn(self._work)

    def _hurry_up(self) -> None:
        hurry = self._hurry
        if hurry is not None:
            hurry.set()

    async def _work(self) -> None:
        try:
            await self._write_all()
        except BaseException:  # the event loop ends, and all that is under way in it
            self._tell_left()
            raise
        finally:
            with self.backlog.lock:
                self._worker = None
        # Looked again after signing off: whoever puts something from here on begins work anew, and what was put
        # before is seen.
        if not len(self.backlog):
            return
        if await self._tasks.pause(0):
            self._see_to()
        else:
            self._tell_left()

    def _tell_left(self) -> None:
        """Log what is not written, where the program has ended before the grid was closed: nobody else would tell."""
        left = len(self.backlog)
        if left and not self._tasks.is_closing:
            logging.getLogger("cachegrid").warning(
                "cache %r: what it was used in has ended with %s that its source has not, lost with this process; "
                "close the grid before",
                self._name,
                told(left),
            )

    async def _write_all(self) -> None:
        pause = _FIRST_PAUSE
        while len(self.backlog):
            goes_on = await self._rest()
            if await self._write_some():
                pause = _FIRST_PAUSE
            elif not goes_on or not await self._tasks.pause(pause):
                return  # it was closed here, or the program has ended
            else:
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _rest(self) -> bool:
        """Wait until the oldest change is due, or all are, as when a program ends; False if there is no other time."""
        # Made anew before the look: who wants something from here on is seen, or wakes this one.
        self._hurry = hurry = AsyncEvent()
        while not self._pressing and not self._tasks.is_parting and len(self.backlog) < self._batch:
            left = self._delay - self.backlog.stats(time.monotonic()).oldest
            if left <= 0 or await hurry.wait(min(left, _GLANCE)):
                break
            if not await self._tasks.pause(0):
                return False
        return True

    async def _write_some(self) -> bool:
        """Write the oldest changes; whether some of them are done with."""
        taken = self.backlog.take(self._batch)
        error = await self._try(taken)
        if error is None:
            return True
        self.backlog.retried += 1
        failed = dict.fromkeys(taken, error)
        failures = max(change.failures for change in taken.values())
        if not failures:
            self._log(f"{told(len(taken))} could not be written: trying again", error)
        if len(taken) > 1:
            if failures < (_TOGETHER if self._retries is None else min(self._retries, _TOGETHER)):
                self.backlog.give_back()
                return False
            failed = await self._try_alone(taken)
        lost = [key for key in failed if self._retries is not None and taken[key].failures >= self._retries]
        for key in lost:
            await self._give_up(key, failed[key])
        self.backlog.give_back()
        return bool(lost) or len(failed) < len(taken)

    async def _try_alone(self, taken: Mapping[Key, Change]) -> dict[Key, Exception]:
        """Write one change at a time, for one that can never be written shall not hold up the others; what failed."""
        failed = {}
        for key, change in taken.items():
            error = await self._try({key: change})
            if error is not None:
                failed[key] = error
        return failed

    async def _try(self, changes: Mapping[Key, Change]) -> Exception | None:
        """Write changes, and see to what follows; the error if that failed."""
        values = {key: change.value for key, change in changes.items()}
        try:
            await self._write(values)
        except Exception as error:  # noqa: BLE001 - the writer's own, and nobody waits for it
            return error
        await self._see_to_cache(self._written, values)  # reads still find it in the backlog
        self.backlog.done(values)
        self._progressed()
        return None

    async def _give_up(self, key: Key, error: Exception) -> None:
        self._log(f"the change of {key!r} could not be written, and is given up", error)
        await self._see_to_cache(self._given_up, key)
        self.backlog.done([key], is_written=False)
        self._progressed()

    async def _see_to_cache(self, see_to: Callable[[T], Awaitable[None]], what: T) -> None:
        try:
            await see_to(what)
        except EngineError as error:
            self._log("what it has of changes that are done with may be older, since the grid did not answer", error)

    def _log(self, what: str, error: Exception) -> None:
        logging.getLogger("cachegrid").warning("cache %r: %s (%s: %s)", self._name, what, type(error).__name__, error)

    def _progressed(self) -> None:
        """Let those look again who wait, and wait for what comes next."""
        progress, self._progress = self._progress, AsyncEvent()
        if progress is not None and not progress.is_lost:
            progress.set()
