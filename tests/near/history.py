"""What happened in a run: every write, what was read and when, clears and faults. Times are seconds of one clock."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

__all__ = ["NOTHING", "Clear", "Event", "Fault", "History", "Load", "Read", "Recorder", "Write", "load", "save"]

NOTHING = 0  # the number of what is not there, and of a failed write whose number nobody knows


class Write(NamedTuple):
    """
    One write of an entry, with a number that is larger than those of the writes before it.

    A key that one process writes has 1, 2, 3 ..., one after the other. Where several add to a number, that is it, as
    the grid told the one who added; it grows over a clear, too. One that is not `done` failed, and may have been
    applied or not.
    """

    process: str
    key: str
    number: int
    began: float
    ended: float
    drops: bool = False
    done: bool = True
    ttl: float = 0  # seconds that the entry lives; 0: without end


class Load(NamedTuple):
    """
    A loader was called, which gave a value of its own: `number`, which is negative, and that of no other load.

    `asked` and `ended` are of the call that loaded, or of the work behind the backs of all; it failed if not `done`,
    and its value may have been stored or not. For `grace` after its `ttl` it may be served while it is loaded anew.
    """

    process: str
    key: str
    number: int
    asked: float
    began: float  # when the loader was called
    ended: float
    done: bool = True
    ttl: float = 0
    grace: float = 0


class Read(NamedTuple):
    """
    One read of an entry; `number` is of the write, or of the load, whose value it gave, or NOTHING.

    What is `graced` may be past its end.
    """

    process: str
    key: str
    began: float
    ended: float
    number: int
    near: bool = False
    graced: bool = False


class Clear(NamedTuple):
    """One clear of all entries, or of those that have a tag."""

    process: str
    began: float
    ended: float
    done: bool = True
    tag: str = ""


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


Event = Write | Load | Read | Clear | Fault


@dataclass
class History:
    """
    All of a run.

    Of reads in a row, in one thread or task, that gave the same, only the first and the last are kept: they prove all
    that those in between could. `counts` says how many there were.
    """

    writes: list[Write] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
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
        self.loads += other.loads
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
        self._last: dict[tuple[str, bool], Read] = {}

    def read(self, key: str, began: float, ended: float, number: int, *, near: bool, graced: bool = False) -> None:
        """Record a read."""
        self.counts["reads"] += 1
        self.counts["near"] += near
        read = Read(self._process, key, began, ended, number, near, graced)
        last = self._last.get((key, graced))
        if last is None or last.number != number or last.near != near:
            if last is not None:
                self.reads.append(last)
            self.reads.append(read)
        self._last[key, graced] = read

    def finish(self) -> list[Read]:
        """All that is kept of them."""
        return [*self.reads, *self._last.values()]


def save(history: History, path: Path) -> None:
    """Write what one process saw."""
    told = {name: getattr(history, name) for name in ("writes", "loads", "reads", "clears", "counts")}
    path.write_text(json.dumps(told))


def load(path: Path) -> History:
    """What one process saw."""
    told = json.loads(path.read_text())
    return History(
        writes=_rows(Write, told["writes"]),
        loads=_rows(Load, told["loads"]),
        reads=_rows(Read, told["reads"]),
        clears=_rows(Clear, told["clears"]),
        counts=told["counts"],
    )


def _rows(kind: Any, rows: Iterable[list[Any]]) -> list[Any]:
    return [kind(*row) for row in rows]
