"""What happened in a run: every call, every hold of a lock, and the fault. Times are seconds of one clock."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

__all__ = ["ADDED_BEFORE", "DONE", "NOTHING", "READS", "Call", "Fault", "History", "Hold", "load", "save"]

NOTHING = 0  # the number of what is not there, and of a change whose number nobody was told
ADDED_BEFORE = -2  # the number of an `add` of a fresh key that was told that there is one
DONE = "done"  # the outcome of a call that came back without an error
READS = frozenset({"get", "get_many", "hit"})  # what is done; all other calls write


class Call(NamedTuple):
    """
    One call of the cache, of one key; of a batch there is one for each key, with the same process, lane and times.

    `number` is what was written, or found. A key that is stored has one writer, whose numbers are 1, 2, 3, ..., one
    after the other; what is counted (`incr`, `change`) has the number that the grid told. `outcome` is DONE or the
    name of the error. `kept` is the durability of the key.
    """

    process: str
    lane: int
    op: str  # get get_many hit . set set_many add incr change load
    key: str
    number: int
    began: float
    ended: float
    outcome: str = DONE
    kept: str = "memory"


class Hold(NamedTuple):
    """A lock that was asked for: held from `ended`, when that came back, until `until`, when it was given back."""

    process: str
    key: str
    fence: int
    began: float
    ended: float
    until: float
    outcome: str = DONE
    kept: str = "memory"
    released: float = 0.0  # when giving it back came back
    loss: str = DONE  # what giving it back came to


@dataclass(frozen=True, kw_only=True)
class Fault:
    """
    What was done to the grid.

    `served` is when every slot had an owner again that answers, `whole` when all members were there again, with every
    owner followed by its replicas; both as the members say. `over` is when there was nothing more to recover from:
    where a member was paused or cut off, when it had been let go on. `help_at` is when somebody helped (`heal`, `up`).
    """

    name: str
    began: float
    served: float
    whole: float
    help_at: float | None = None
    back_at: float | None = None  # when a member went on that others had replaced: it may not know that until `whole`
    times: int = 1
    notes: tuple[str, ...] = ()


@dataclass
class History:
    """All of a run; `final` is what was there when the grid was whole and nobody wrote any more."""

    calls: list[Call] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    final: dict[str, int] = field(default_factory=dict)

    def add(self, other: Self) -> None:
        """Take in what another process saw."""
        self.calls += other.calls
        self.holds += other.holds


def save(history: History, path: Path) -> None:
    """Write what one process saw."""
    path.write_text(json.dumps({"calls": history.calls, "holds": history.holds, "final": history.final}))


def load(path: Path) -> History:
    """What one process saw."""
    told = json.loads(path.read_text())
    return History(_rows(Call, told["calls"]), _rows(Hold, told["holds"]), final=told["final"])


def _rows(kind: Any, rows: Iterable[list[Any]]) -> list[Any]:
    return [kind(*row) for row in rows]
