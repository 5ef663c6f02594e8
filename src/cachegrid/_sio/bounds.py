# Generated from src/cachegrid/_aio/bounds.py by tools/colour.py. Edit that file, then run `make colour`.
"""
A bound of one cache: it takes so much of the grid, and pushes out itself before it pushes out others.

No owner knows how much of a cache there is. So every process counts what it writes, and tells the grid from time to
time. When a tenth of the bound has been written since the last look, one process walks through the cache and counts
it and, if there is too much, walks once more and drops the oldest entries of the pages that it looks at.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
from typing import Final

from cachegrid._core.bounds import STEP, TURN, Bound, oldest, shares, take_sample
from cachegrid._core.frame import created_of, version_of
from cachegrid._core.stats import Counters
from cachegrid._sio.ability import SyncAbleEngine
from cachegrid._sio.keeper import give_back
from cachegrid.errors import EngineError, FrameError
from cachegrid.waits._sio import SyncTasks

__all__ = ["SyncBound", "SyncBounds"]

_LEASE_MS: Final = 30_000
_HEAD: Final = 24  # bytes of an entry that say when it was made; all digits of an integer
_SAMPLE: Final = 1000  # entries whose sizes stand for those of all
_FETCHED: Final = 50  # of them at a time: some may be large
_draw = random.Random().random  # noqa: S311 - of our own: chance that others seed shall not choose entries


class SyncBound:
    """What this process writes of a cache, and its part in keeping it within its bound."""

    rest = 0.02  # seconds between two times that it tells

    def __init__(self, tasks: SyncTasks, parent: bytes, bound: Bound) -> None:
        self._tasks, self._parent, self._bound = tasks, parent, bound
        self._name = b"cg!written:" + parent  # of the count in the grid: the address of no entry
        self._engine: SyncAbleEngine | None = None
        self._counters = Counters()
        self._entries = self._bytes = 0  # written here, and not told yet
        self._is_telling = self._is_in_trouble = self._has_told = False

    def use(self, engine: SyncAbleEngine, counters: Counters) -> None:
        """Work with this engine, for the cache that counts there."""
        self._engine, self._counters = engine, counters

    def wrote(self, size: int) -> None:
        """Count an entry that is about to be written."""
        self._entries += 1
        self._bytes += size

    def stored(self) -> None:
        """Something was written: tell how much, if that is enough. Who tells sooner counts what is not there yet."""
        if not self._is_telling and self._is_due():
            self._is_telling = True  # first: it may be over before `spawn` is
            if self._tasks.spawn(self._tell) is None:  # closed
                self._is_telling = False

    def close(self) -> None:
        """Tell the rest: programs that write a little and end would else never be counted."""
        if self._entries and self._engine is not None:
            with contextlib.suppress(EngineError):
                self._engine.add(self._name, self._taken(), 0, None)

    def forget(self) -> None:
        """In a forked child: what was written is the parent's to tell."""
        self._entries = self._bytes = 0
        self._is_telling = False

    def _tell(self) -> None:
        engine = self._engine
        try:
            # After a moment, in which what is about to be written comes to be there, and more is.
            while engine is not None and self._tasks.pause(self.rest):
                if not self._is_due():
                    return
                self._has_told = True
                total = engine.add(self._name, self._taken(), 0, None)
                self._is_in_trouble = False
                if total >= TURN:
                    self._look_after(engine, total)
        except EngineError as trouble:  # the next look, after the next writes, counts what is there
            self._warn(trouble)
        finally:
            self._is_telling = False

    def _is_due(self) -> bool:
        """Whether there is enough to tell; at first anything, so that programs that write a little look, too."""
        return not self._has_told or self._bound.thousandths(self._entries, self._bytes) >= STEP

    def _taken(self) -> int:
        """What is to be told, which is told from here on."""
        written = max(1, self._bound.thousandths(self._entries, self._bytes))
        self._entries = self._bytes = 0
        return written

    def _warn(self, trouble: EngineError) -> None:
        """Report, once while it lasts, that the bound is not kept."""
        if not self._is_in_trouble:
            name = self._parent.decode(errors="replace").rstrip(":")
            logging.getLogger("cachegrid").warning("cache %r: its bound cannot be kept for now (%s)", name, trouble)
        self._is_in_trouble = True

    def _look_after(self, engine: SyncAbleEngine, written: int) -> None:
        lease, token = b"bound:" + self._parent, os.urandom(16)
        if engine.acquire(lease, token, _LEASE_MS) is None:
            return  # another process is at it
        try:
            counted = self._count(engine, lease, token)
            if counted is None:
                return
            entries, size = counted
            excess = self._bound.excess(entries, size)
            if excess:
                self._drop_oldest(engine, lease, token, shares(excess, entries))
            engine.add(self._name, -written, 0, None)
        finally:
            give_back(engine, lease, token)

    def _count(self, engine: SyncAbleEngine, lease: bytes, token: bytes) -> tuple[int, float] | None:
        """How many entries there are, and how many bytes each takes, by a sample; None where it was broken off."""
        entries, sample = 0, list[bytes]()
        for page in engine.walk(self._parent):
            take_sample(sample, _SAMPLE, entries, page, _draw)
            entries += len(page)
            if not self._goes_on(engine, lease, token):
                return None
        if self._bound.bytes is None or not sample:
            return entries, 0.0
        total = 0
        for at in range(0, len(sample), _FETCHED):
            some = sample[at : at + _FETCHED]
            total += sum(map(len, some)) + sum([len(raw or b"") for raw in engine.fetch_many(some)])
        return entries, total / len(sample)

    def _drop_oldest(self, engine: SyncAbleEngine, lease: bytes, token: bytes, both: tuple[float, float]) -> None:
        looks, share = both
        for page in engine.walk(self._parent):
            if _draw() < looks:
                found: list[tuple[bytes, bytes, int]] = []
                for address, raw in zip(page, engine.heads(page, _HEAD), strict=True):
                    found += [] if raw is None else _dated(address, raw)
                places = oldest([created for _, _, created in found], share, _draw)
                if places:
                    dropped = engine.drop_versions([found[place][:2] for place in places])
                    self._counters.bound_evictions += dropped
            if not self._goes_on(engine, lease, token):
                return

    def _goes_on(self, engine: SyncAbleEngine, lease: bytes, token: bytes) -> bool:
        return engine.renew(lease, token, _LEASE_MS) and self._tasks.pause(0)


class SyncBounds:
    """Those of all caches of a grid that have one."""

    def __init__(self) -> None:
        self._tasks = SyncTasks()
        self._bounds: dict[bytes, SyncBound] = {}

    def of(self, parent: bytes, bound: Bound) -> SyncBound:
        """The bound of a cache, by what its addresses begin with; the functions that it keeps share it."""
        return self._bounds.setdefault(parent, SyncBound(self._tasks, parent, bound))

    def settle(self) -> None:
        """Wait until all is told and looked after."""
        self._tasks.settle()

    def close(self) -> None:
        """Look after nothing any longer; the next one does who writes."""
        self._tasks.close()
        for bound in list(self._bounds.values()):
            bound.close()

    def forget(self) -> None:
        """In a forked child: what is under way is the parent's."""
        self._tasks.forget()
        for bound in self._bounds.values():
            bound.forget()


def _dated(address: bytes, raw: bytes) -> list[tuple[bytes, bytes, int]]:
    """An entry with its version, and when it was made in ms, 0 where nobody knows; nothing for foreign bytes."""
    try:
        return [(address, version_of(raw), created_of(raw))]
    except FrameError:
        return []
