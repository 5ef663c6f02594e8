"""
What many processes count, put together.

Each grid object that shares what it counts has a sheet in the grid, which it writes anew, whole, from time to time.
The book has the names of all sheets that are open, and the sum of those that were closed. A sheet is closed in one
step: its name goes, and its counts are added. So each count is in the book or on an open sheet, and never in both;
and what is done twice, since an answer was lost, is as if it was done once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, TypedDict

from cachegrid._core.stats import CacheStats, Counters, GridStats

__all__ = [
    "Book",
    "Counts",
    "SharedStats",
    "Sheet",
    "claimed",
    "closed",
    "counts_of",
    "is_missing_long",
    "is_over",
    "less",
    "opened",
    "renewed",
    "together",
]

Counts: TypeAlias = dict[str, dict[str, float]]  # of each cache, by the name of the counter; without those that are 0

SILENT: Final = 3600.0  # seconds without news, and some intervals, after which another process closes a sheet
WARNED: Final = 60.0  # seconds for which a sheet is claimed before it is closed
_FEW: Final = 3  # intervals without news after which a process is not taken for one that runs
_SOME: Final = 10.0  # seconds that a grid may take to answer besides
_NOW: Final = ("near_entries", "near_bytes")  # what there is, and not what has happened: it ends with the process
_NOTHING: Final = Counters().snapshot()
_NAMES: Final = tuple(field.name for field in fields(CacheStats))


class Sheet(TypedDict):
    """What one grid object counted; times are seconds since 1970 by the clock of its host."""

    counts: Counts
    began: float  # when it began to count
    told: float  # when this was written
    every: float  # seconds until it is written anew
    process: str  # the same on all sheets of a process
    first: bool  # whether the process has no sheet that is older
    ended: bool  # whether it was closed there, so that this is the last word
    claimed: float | None  # when another process began to close it, since there was no news; nothing is written then


class Book(TypedDict):
    """The sum of all sheets that were closed, and the names of those that are open."""

    counts: Counts
    since: float  # when the first of all began to count
    processes: int  # of which the first sheet is closed
    open: list[str]


class SharedStats(GridStats):
    """
    What all processes counted that share it, on each cache, by name; `total` is the sum.

    `processes` is how many they were, `alive` how many of them run and have been heard of lately, and `since` when the
    first of them began; None where there was none.
    """

    def __init__(
        self,
        caches: Mapping[str, CacheStats] | None = None,
        *,
        processes: int = 0,
        alive: int = 0,
        since: datetime | None = None,
    ) -> None:
        super().__init__(caches or {})
        self.processes, self.alive, self.since = processes, alive, since


def counts_of(stats: Mapping[str, CacheStats]) -> Counts:
    """The counters of each cache that are not 0."""
    found = {cache: {name: number for name in _NAMES if (number := getattr(its, name))} for cache, its in stats.items()}
    return {cache: counts for cache, counts in found.items() if counts}


def added(counts: Iterable[Counts]) -> Counts:
    """The sum of several."""
    total: Counts = {}
    for each in counts:
        for cache, numbers in each.items():
            its = total.setdefault(cache, {})
            for name, number in numbers.items():
                its[name] = its.get(name, 0) + number
    return total


def less(counts: Counts, base: Counts) -> Counts:
    """
    What was counted since there was as much as `base`.

    >>> less({"prices": {"hits": 5, "misses": 2}}, {"prices": {"hits": 3, "misses": 2}})
    {'prices': {'hits': 2}}
    """
    rest = {
        cache: {name: left for name, number in its.items() if (left := number - base.get(cache, {}).get(name, 0)) > 0}
        for cache, its in counts.items()
    }
    return {cache: its for cache, its in rest.items() if its}


def lasting(counts: Counts) -> Counts:
    """Without what is only there while the process is."""
    return {cache: {name: it for name, it in its.items() if name not in _NOW} for cache, its in counts.items()}


# Sheets.


def renewed(there: Sheet | None, sheet: Sheet) -> Sheet:
    """What is to be there when a process writes its sheet: the sheet, unless another process is closing that."""
    return sheet if there is None or there["claimed"] is None else there


def claimed(there: Sheet, now: float) -> Sheet:
    """What is to be there when another process has found no news on a sheet: so that its own writes it no more."""
    return {**there, "claimed": now} if _is_silent(there, now) else there


def is_over(sheet: Sheet | None, now: float) -> bool:
    """
    Whether an open sheet may be closed by anybody: it has its last word, or was claimed a while ago, or is lost.

    A claim waits, so that one which a failing owner has forgotten is no claim.
    """
    if sheet is None or sheet["ended"]:
        return True
    return sheet["claimed"] is not None and now - sheet["claimed"] > WARNED


def is_missing_long(told: float | None, now: float) -> bool:
    """Whether others may have closed the sheet of a process that has told nothing for so long."""
    return told is not None and now - told > SILENT / 2


def _is_silent(sheet: Sheet, now: float) -> bool:
    quiet = now - sheet["told"] > SILENT + _FEW * sheet["every"]
    return quiet and sheet["claimed"] is None and not sheet["ended"]


# The book.


def opened(book: Book | None, name: str, began: float) -> Book:
    """The book with the name of a sheet in it."""
    if book is None:
        return {"counts": {}, "since": began, "processes": 0, "open": [name]}
    if name in book["open"]:
        return book
    return {**book, "since": min(book["since"], began), "open": [*book["open"], name]}


def closed(book: Book, name: str, sheet: Sheet | None) -> Book:
    """The book with the counts of a sheet in place of its name; as it is, if that was done before."""
    if name not in book["open"]:
        return book
    names = [it for it in book["open"] if it != name]
    if sheet is None:
        return {**book, "open": names}
    counts = added([book["counts"], lasting(sheet["counts"])])
    return {**book, "counts": counts, "processes": book["processes"] + sheet["first"], "open": names}


def together(book: Book | None, sheets: Iterable[Sheet], now: float) -> SharedStats:
    """What the book and the sheets that are open say together."""
    if book is None:
        return SharedStats()
    sheets = list(sheets)
    alive = [it for it in sheets if not it["ended"] and now - it["told"] < _FEW * it["every"] + _SOME]
    counts = [it["counts"] if it in alive else lasting(it["counts"]) for it in sheets]
    total = added([book["counts"], *counts])
    return SharedStats(
        {cache: _stats(total[cache]) for cache in sorted(total)},
        processes=book["processes"] + sum(it["first"] for it in sheets),
        alive=len({it["process"] for it in alive}),
        since=datetime.fromtimestamp(min([book["since"], *[it["began"] for it in sheets]]), UTC),
    )


def _stats(counts: Mapping[str, float]) -> CacheStats:
    """As counters; those that only a later edition has are left out."""
    known: dict[str, Any] = {name: number for name, number in counts.items() if name in _NAMES}
    return replace(_NOTHING, **known)
