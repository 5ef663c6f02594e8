"""Ctrl-C and its kin: noted at once, and obeyed where nothing that was begun is cut in half."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

from cachegrid.cluster.interrupts import SIGNALS

__all__ = ["Interrupted", "Interrupts"]


class Interrupted(Exception):
    """The demo was told to stop by signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


class Interrupts:
    """Holds back the signals that ask a program to end, for as long as the `with` lasts."""

    def __init__(self) -> None:
        self._number = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, Exception):
                # Ctrl-C reaches also what was just being started, and had no session of its own yet.
                self.look()
        finally:
            self._restore()

    def look(self) -> None:
        """Raise Interrupted if there was a signal."""
        if self._number:
            raise Interrupted(self._number)

    def _restore(self) -> None:
        # One that came while Python replaces its handler would find none to run, and Python would tell of that on
        # stderr. None comes: the kernel keeps it until there is another, and forgets what is then ignored.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            for number, handler in self._before.items():
                # After a signal the program is about to end: whoever signals again does not cut that in half.
                signal.signal(number, signal.SIG_IGN if self._number else handler)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._number = number
