"""What happened in a run: every write, what was read and when, clears and faults. Times are seconds of one clock."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

__all__ = ["NOTHING", "Clear", "Fault", "History", "Read", "Recorder", "Write", "load", "save"]

NOTHING = 0  # the number of what is not there


class Write(NamedTuple):
    """
    One write of an entry. Each key has one writer, who numbers its writes 1, 2, 3 ... and does one after the other.

    One that is not `done` failed, and may have been applied or not.
    """

    process: str
    key: str
    number: int
    began: float
    ended: float
    drops: bool = False
    done: bool = True


class Read(NamedTuple):
    """One read of an entry; `number` is of the write whose value it gave, or NOTHING."""

    process: str
    key: str
    began: float
    ended: float
    number: int
    near: bool = False


class Clear(NamedTuple):
    """One clear of all entries."""

    process: str
    began: float
    ended: float
    done: bool = True


@dataclass(frozen=True)
class Fault:
    """
    Something that was done to the grid; over when the grid was whole again, replicas included.

    `keys` are those of the owner that it met. `losing` are the times in which this owner may have acknowledged what the
    next owner, or the replica that answers for it, does not have: empty where none of them went away.
    """

    kind: str
    began: float
    ended: float
    keys: frozenset[str] = frozenset()
    losing: tuple[tuple[float, float], ...] = ()


@dataclass
class History:
    """
    All of a run.

    Of reads in a row, in one thread or task, that gave the same, only the first and the last are kept: they prove all
    that those in between could. `counts` says how many there were.
    """

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    clears: list[Clear] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, times: int = 1) -> None:
        """Count something."""
        self.counts[what] = self.counts.get(what, 0) + times

    def add(self, other: Self) -> None:
        """Take in what another process saw."""
        self.writes += other.writes
        self.reads += other.reads
        self.clears += other.clears
        self.faults += other.faults
        for what, times in other.counts.items():
            self.count(what, times)


class Recorder:
    """Records what one thread or task of a process reads."""

    def __init__(self, process: str) -> None:
        self.reads: list[Read] = []
        self.counts = {"reads": 0, "near": 0}
        self._process = process
        self._last: dict[str, Read] = {}

    def read(self, key: str, began: float, ended: float, number: int, *, near: bool) -> None:
        """Record a read."""
        self.counts["reads"] += 1
        self.counts["near"] += near
        read = Read(self._process, key, began, ended, number, near)
        last = self._last.get(key)
        if last is None or last.number != number or last.near != near:
            if last is not None:
                self.reads.append(last)
            self.reads.append(read)
        self._last[key] = read

    def finish(self) -> list[Read]:
        """All that is kept of them."""
        return [*self.reads, *self._last.values()]


def save(history: History, path: Path) -> None:
    """Write what one process saw."""
    told = {"writes": history.writes, "reads": history.reads, "clears": history.clears, "counts": history.counts}
    path.write_text(json.dumps(told))


def load(path: Path) -> History:
    """What one process saw."""
    told = json.loads(path.read_text())
    return History(
        writes=_rows(Write, told["writes"]),
        reads=_rows(Read, told["reads"]),
        clears=_rows(Clear, told["clears"]),
        counts=told["counts"],
    )


def _rows(kind: Any, rows: Iterable[list[Any]]) -> list[Any]:
    return [kind(*row) for row in rows]
