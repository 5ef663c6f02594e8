"""What the grid is told around a commit, so that nobody is handed rows from before it, and nobody keeps such rows."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from cachegrid import AsyncCache, SyncCache
from cachegrid.errors import CacheError, EngineError, LoadFailed, OutcomeUnknown

__all__ = ["ALL", "Drops", "RefusedCommit", "Wait", "Written", "marks_in", "with_effects"]

ALL: Final = "*"  # among tables: any of them

Wait = Callable[[Any], Any]  # gives what a call of a grid returns, once it is there
MarkKey = tuple[str, str, int]

_MOST_MARKS: Final = 3  # of one commit; one that writes to more tables marks the whole database instead
_BUSY: Final = 0.1  # seconds for which it is remembered here that a table was being written to


def marks_in(grid: Any, name: str) -> Any:
    """The cache of a grid where marks are: its owners alone know what is there, no near copy does, nor a replica."""
    return grid.cache(name, near=False, stale_reads="never")


def with_effects(tables: Iterable[str], effects: Mapping[str, Iterable[str]]) -> set[str]:
    """These tables, and those that change along with them, as somebody said."""
    found = todo = set(tables)
    while todo:
        todo = {more for table in todo for more in effects.get(table, ())} - found
        found = found | todo
    return found


class RefusedCommit(Exception):
    """The grid could not be told of a commit, which has not begun."""

    def __init__(self, trouble: CacheError) -> None:
        super().__init__(str(trouble))
        self.trouble = trouble


class Written(Exception):
    """A loader refuses to load what may not be kept, as a commit of it may be under way: read it past the cache."""

    SAID: Final = "a commit of its tables may be under way"

    def __init__(self) -> None:
        super().__init__(self.SAID)

    @classmethod
    def is_told_by(cls, failure: LoadFailed) -> bool:
        """Whether somebody else's loader refused, where that is remembered."""
        return cls.SAID in str(failure)


class Drops:
    """
    Drops what is kept of the tables that a transaction wrote to, so that no crash can leave any of it.

    Before COMMIT a mark is put on the tables, and then their tags are raised; after it the tags are raised again, and
    the mark is removed. A reader that finds a mark keeps nothing. It looks for one after it has noted the tags' epochs,
    and before its statement runs. So what it read before a commit was marked is dead by the time of that commit, what
    it would read while that is under way is not kept, and what it reads afterwards is new. All that needs nothing to
    be done after COMMIT: a process that dies there leaves a mark, which ends by itself, and nothing else.

    A mark is a counter for each table and each span of `within` seconds; readers look at this span, the one before
    and the next. So a COMMIT may take that long, and hosts' clocks may differ by as much. The second raise is for
    those that take longer, and for marks that were lost with their owner.
    """

    def __init__(
        self,
        wait: Wait,
        marks: SyncCache | AsyncCache,
        caches: Sequence[SyncCache | AsyncCache],
        database: str,
        within: float,
    ) -> None:
        self._wait, self._marks, self._caches = wait, marks, caches
        self._database, self._within = database, within
        self._goes_on = any(cache.policy.on_outage == "load" for cache in caches)
        self._busy: dict[str, float] = {}

    def tag(self, table: str) -> str:
        """The tag of all that was read from a table."""
        return f"{self._database}:{table}"

    @contextmanager
    def around(self, tables: Iterable[str], is_undone: Callable[[BaseException], bool]) -> Iterator[None]:
        """
        Around the COMMIT of a transaction that wrote to `tables`.

        Raises RefusedCommit before it where the grid cannot be told, unless the policy of a cache says
        `on_outage="load"`. `is_undone` says of an error of the commit that nothing was committed.
        """
        tables = sorted(tables)
        if not tables:
            yield
            return
        if ALL in tables:
            tables = [ALL]
        told = self._announce(tables)
        try:
            yield
        except BaseException as error:
            if isinstance(error, Exception) and is_undone(error):
                self._conclude(tables, told)
            raise
        self._conclude(tables, told)

    def drop(self, tables: Iterable[str]) -> None:
        """Drop what is kept of these tables, now: what was written to them is committed."""
        tables = sorted(tables)
        if tables:
            self._raise([ALL] if ALL in tables else tables)

    def is_written(self, tables: Iterable[str]) -> bool:
        """Whether a commit of one of these may be under way."""
        now = self._span()
        keys = {(self._database, table, span): table for table in (*tables, ALL) for span in (now - 1, now, now + 1)}
        found = self._wait(self._marks.get_many(keys))
        written = {keys[key] for key, count in found.items() if count}
        self._busy.update(dict.fromkeys(written, time.monotonic() + _BUSY))
        return bool(written)

    def is_busy(self, tables: Iterable[str]) -> bool:
        """Whether one of these was being written to, when somebody here asked a moment ago."""
        now, busy = time.monotonic(), self._busy
        return bool(busy) and any(busy.get(table, now) > now for table in (*tables, ALL))

    def _span(self) -> int:
        # Wall time, and not that of this process: it names spans that all processes know.
        return int(time.time() // self._within)

    def _announce(self, tables: list[str]) -> list[MarkKey]:
        """Mark the tables, and drop what is kept of them; the marks that are to be removed."""
        put: list[MarkKey] = []
        try:
            for table in tables if len(tables) <= _MOST_MARKS else [ALL]:
                self._mark((self._database, table, self._span()), put)
            self._raise(tables)
        except CacheError as error:
            if not self._goes_on:
                self._remove(put)
                raise RefusedCommit(error) from error
            _warn("a commit goes on although what is kept of %s could not be dropped: %s", tables, error)
        return put

    def _mark(self, key: MarkKey, put: list[MarkKey]) -> None:
        try:
            self._count(key, 1)
        except OutcomeUnknown:
            self._count(key, 1)  # one too many holds back for a while, and one too few does not hold
        put.append(key)

    def _conclude(self, tables: list[str], put: list[MarkKey]) -> None:
        try:
            self._raise(tables)
        except CacheError as error:
            # It is committed, and was dropped before; nobody keeps anything of it before the marks end.
            _warn("nothing of %s is kept for up to %g s: %s", tables, 2 * self._within, error)
        else:
            self._remove(put)

    def _remove(self, marks: Iterable[MarkKey]) -> None:
        for key in marks:
            with suppress(EngineError):  # it ends by itself
                self._count(key, -1)

    def _count(self, key: MarkKey, by: int) -> None:
        self._wait(self._marks.incr(key, by, ttl=4 * self._within))

    def _raise(self, tables: Iterable[str]) -> None:
        tags = [self.tag(table) for table in tables]
        for cache in self._caches:
            self._wait(cache.invalidate(tags))


def _warn(text: str, *args: object) -> None:
    logging.getLogger("cachegrid").warning(text, *args)
