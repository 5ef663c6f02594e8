# hand-written in both colours
"""Work begun behind a test's back, and gates that hold it where a race is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

from cachegrid.testing.waits._sio import together

__all__ = ["PATIENCE", "SyncGate", "SyncRun", "begin", "listed", "other_colour", "together", "until"]

T = TypeVar("T")
PATIENCE: Final = 10.0  # seconds until a test that waits in vain fails


class SyncGate:
    """Holds whoever comes until it is opened."""

    def __init__(self) -> None:
        self._reached, self._open = threading.Event(), threading.Event()

    def stand(self) -> None:
        """Be held."""
        self._reached.set()
        _must(self._open.wait(PATIENCE), "nobody opened the gate")

    @property
    def is_reached(self) -> bool:
        """Whether somebody stands at the gate, or has."""
        return self._reached.is_set()

    def reached(self) -> None:
        """Wait until somebody stands at the gate."""
        _must(self._reached.wait(PATIENCE), "nobody came to the gate")

    def open(self) -> None:
        """Let everyone through, now and later."""
        self._open.set()


class SyncRun(Generic[T]):
    """Work that has begun."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._future: Future[T] = Future()
        self._work = work
        threading.Thread(target=self._run, name="run of a test", daemon=True).start()

    def result(self) -> T:
        """Wait for what it returns or raises."""
        return self._future.result(PATIENCE)

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._future.done()

    def _run(self) -> None:
        try:
            self._future.set_result(self._work())
        except BaseException as error:  # noqa: BLE001 - whatever it is, whoever asks for the result gets it
            self._future.set_exception(error)


def begin(work: Callable[..., T], *args: object, **kwargs: object) -> SyncRun[T]:
    """Begin `work(*args)` now, in a thread."""
    return SyncRun(lambda: work(*args, **kwargs))


def listed(things: Iterable[T]) -> list[T]:
    """All of them."""
    return list(things)


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        _must(time.monotonic() < deadline, "the condition never held")
        time.sleep(0.001)


def _must(held: bool, otherwise: str) -> None:  # noqa: FBT001 - what was waited for
    if not held:
        raise TimeoutError(otherwise)


def other_colour(value: object) -> Any:
    """A loader as an async cache takes it."""

    async def load() -> object:
        return value

    return load
