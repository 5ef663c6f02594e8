# Generated from src/cachegrid/_aio/sharing.py by tools/colour.py. Edit that file, then run `make colour`.
"""
What this process counts, put where others find it, and what all have put there.

Nothing here is on the way of a request: the counters are read now and then, and written to the grid whole. What is
there, and why nothing is lost or counted twice, `cachegrid._core.sharing` tells.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Final

from cachegrid._core.sharing import (
    Book,
    Counts,
    SharedStats,
    Sheet,
    added,
    claimed,
    closed,
    counts_of,
    is_missing_long,
    is_over,
    lasting,
    less,
    opened,
    renewed,
    together,
)
from cachegrid._core.stats import GridStats
from cachegrid._core.units import seconds_of
from cachegrid._sio.cache import SyncCache
from cachegrid._sio.hub import SyncHub
from cachegrid.config import CachePolicy
from cachegrid.errors import CacheError, EntryNotFound, OutcomeUnknown
from cachegrid.waits._sio import Mutex, SyncLock, SyncTasks, SyncWork, at_exit, sleep

__all__ = ["SyncLedger", "SyncSharing"]

_PLACE: Final = "cg!stats1"  # beside the entries of caches, where neither walks nor backups see it; 1 is the form
_BOOK: Final = "book"
# Owners alone are asked: one sheet that a replica does not know yet would be taken for lost.
_POLICY: Final = CachePolicy(ttl="30d", stale_reads="never")
_AFTERWARDS: Final = {True: "1h", False: "7d"}  # how long a closed sheet stays: by whether its process has closed it
_PAUSE: Final = 0.05  # seconds between tries to write the last word
_draw = random.Random().random  # noqa: S311 - of our own: chance that others seed shall not choose who looks when

_all: weakref.WeakSet[SyncSharing] = weakref.WeakSet()  # for what has to be done when the program ends
_sheets: dict[tuple[str, str], str] = {}  # the first that this process has had in a grid, and a namespace


class SyncLedger:
    """The book and the sheets of a grid's namespace."""

    def __init__(self, hub: SyncHub) -> None:
        self._cache = SyncCache(hub, f"!{hub.settings.namespace}", _POLICY, namespace=_PLACE)

    def read(self) -> SharedStats:
        """What all have told. In this order: what is closed meanwhile is still there."""
        book = self._book()
        sheets = {} if book is None else self._cache.get_many(book["open"])
        return together(book, sheets.values(), time.time())

    def has(self, name: str) -> bool:
        """Whether there is a sheet."""
        return self._cache.has(name)

    def write(self, name: str, sheet: Sheet) -> Sheet:
        """Write a sheet; what is there then, which is an older one if another process is closing that."""
        return self._cache.update(name, partial(renewed, sheet=sheet), default=None)

    def open(self, name: str, began: float) -> int:
        """Have the name of a sheet in the book; how many there are."""
        book = self._book()
        if book is None or name not in book["open"]:
            now: Book = self._cache.update(_BOOK, partial(opened, name=name, began=began), default=None)
            book = now
        return len(book["open"])

    def close(self, name: str, sheet: Sheet | None) -> None:
        """Add a sheet that nobody writes any more to the sum of the book; it may be asked again."""
        self._cache.update(_BOOK, partial(closed, name=name, sheet=sheet))
        if sheet is not None:
            # Not at once: who has read the book a moment ago looks for it, and so does its process, if that is late.
            self._cache.touch(name, _AFTERWARDS[sheet["ended"]])

    def look_after(self) -> None:
        """Close the sheets of processes that have ended without closing them."""
        book, now = self._book(), time.time()
        if book is None:
            return
        sheets = self._cache.get_many(book["open"])
        for name in book["open"]:
            sheet = sheets.get(name)
            if is_over(sheet, now):
                self.close(name, sheet)
            elif sheet is not None and claimed(sheet, now) is not sheet:
                with contextlib.suppress(EntryNotFound):
                    self._cache.update(name, partial(claimed, now=now))

    def _book(self) -> Book | None:
        book: Book | None = self._cache.get(_BOOK)
        return book


class SyncSharing:
    """Tells the grid what is counted here: by a task or thread of its own from the first use on, and at the end."""

    def __init__(self, hub: SyncHub, every: float, stats: Callable[[], GridStats]) -> None:
        self._hub, self._every, self._stats = hub, every, stats
        self._ledger = SyncLedger(hub)
        self._tasks = SyncTasks()
        self._is_closed = False
        self._begin_anew()
        hub.on_use = self._see_to
        hub.attach(self)  # the first to be attached is the last to be closed
        _all.add(self)

    def _begin_anew(self) -> None:
        self._work: SyncWork | None = None
        self._mutex, self._lock = Mutex(), SyncLock()
        self._began = time.time()
        self._name: str | None = None  # of the sheet, once there is something to tell
        self._last: Sheet | None = None  # the one with the last word, once that is written
        self._trouble: CacheError | None = None  # why nothing could be told a moment ago
        self._base: Counts = {}  # what is on sheets that others have closed
        self._tried: Counts = {}  # what was on this one when it was written last, or may have been
        self._told: float | None = None  # when it was

    def read(self) -> SharedStats:
        """What all have told, and this process now."""
        if not self._is_closed:
            self._tell_or_warn()
        return self._ledger.read()

    def close(self) -> None:
        """Write the last word, and add it to the book. An outage is warned of, and not raised."""
        if self._is_closed:
            return
        self._is_closed = True
        timeout = seconds_of("timeout", self._hub.settings.timeout)
        deadline = time.monotonic() + timeout
        self._tasks.close()
        if self._hub.opened is None:
            return
        # What works behind counts, too.
        self._hub.tasks.settle(timeout)
        self._hub.reloads.close()
        if self._trouble is not None and time.monotonic() > deadline:
            self._warn(self._trouble, is_last=True)
        else:
            self._tell_or_warn(deadline)

    def forget(self) -> None:
        """In a forked child: it counts from 0, on a sheet of its own, which it begins when it uses the grid."""
        self._tasks.forget()
        _sheets.clear()
        self._begin_anew()

    def _see_to(self) -> None:
        """Go on telling, in each process and event loop anew."""
        work = self._work
        if self._is_closed or (work is not None and work.is_alive):
            return
        with self._mutex:
            if self._work is None or not self._work.is_alive:
                self._work = self._tasks.spawn(self._go_on)

    def _go_on(self) -> None:
        rest = self._every * _draw()  # processes that start together do not tell together
        while self._tasks.pause(rest):
            self._tell_or_warn()
            rest = self._every

    def _tell_or_warn(self, last: float | None = None) -> None:
        """Tell what is counted; for the last time if there is a deadline. Trouble is warned of once while it lasts."""
        try:
            self._tell_surely(last)
            self._trouble = None
        except CacheError as trouble:
            if self._trouble is None or last is not None:
                self._warn(trouble, is_last=last is not None)
            self._trouble = trouble

    def _tell_surely(self, last: float | None) -> None:
        with self._lock:
            while True:
                try:
                    open_now = self._tell(is_last=last is not None)
                    break
                except OutcomeUnknown:  # to do it again does no harm, and for the last word there is no later
                    if last is None or time.monotonic() > last:
                        raise
                sleep(_PAUSE)
        if open_now and open_now * _draw() < 1:  # so that of all processes about one looks each time
            self._ledger.look_after()

    def _warn(self, trouble: CacheError, *, is_last: bool) -> None:
        what = "is lost" if is_last else "is told later"
        logging.getLogger("cachegrid").warning(
            "what this process has counted since it told the grid last %s (share_stats): %s", what, trouble
        )

    def _tell(self, *, is_last: bool) -> int:
        """Write the sheet, and see that the book has it, or has its counts; how many sheets are open besides."""
        if self._last is None:
            sheet = self._write(is_last=is_last)
            if sheet is None or self._name is None:
                return 0
            count = self._ledger.open(self._name, self._began)
            if not is_last:
                return count
            # From here on it may be in the book's sum, whatever the answer is: its name must not come back.
            self._last = sheet
        if self._name is not None:
            self._ledger.close(self._name, self._last)
        return 0

    def _write(self, *, is_last: bool) -> Sheet | None:
        """Write the sheet; None if there is nothing to tell."""
        now = time.time()
        if self._name is not None and is_missing_long(self._told, now) and not self._ledger.has(self._name):
            self._part_with(self._tried)  # others have closed it, as far as anybody knows
        while True:
            counts = less(counts_of(self._stats()), self._base)
            if self._name is None:
                if not counts:
                    return None
                self._name = os.urandom(8).hex()
            self._tried = counts
            sheet = self._sheet(self._name, counts, now, is_last=is_last)
            there = self._ledger.write(self._name, sheet)
            if there["claimed"] is None:
                self._told = now
                return sheet
            self._part_with(there["counts"])

    def _sheet(self, name: str, counts: Counts, now: float, *, is_last: bool) -> Sheet:
        grid = self._hub.opened.url if self._hub.opened else "", self._hub.settings.namespace
        process = _sheets.setdefault(grid, name)  # of two threads one is first
        return {
            "counts": counts,
            "began": self._began,
            "told": now,
            "every": self._every,
            "process": process,
            "first": process == name,
            "ended": is_last,
            "claimed": None,
        }

    def _part_with(self, counts: Counts) -> None:
        """Leave the sheet to who has closed it, with these counts; what comes is on another one."""
        self._base = added([self._base, lasting(counts)])
        self._name = self._told = None


def _tell_all() -> None:
    for sharing in list(_all):
        sharing.close()


at_exit(_tell_all)
