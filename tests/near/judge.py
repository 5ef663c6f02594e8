"""
What a history proves. A pure function: the same history, the same verdict.

The promises, for each key, whose writes are numbered:

*stale*       A read gives nothing older than the newest write that was acknowledged more than `bound` seconds before
              the read began. `bound` is the policy's `max_staleness`, and `hearsay`: how long an owner that was
              replaced may go on answering until it hears of it (nothing, for a copy of an owner that was not).
*own*         For what its own process wrote the bound is 0.
*backwards*   In one process, a read that begins after another one ended gives nothing older than that one did.
*cleared*     A read that begins more than `bound` after a clear ended gives nothing that was written before it began;
              0 in the process that cleared.
*missing*     Nothing is given only where there was nothing at some time since that newest write: it was dropped,
              cleared, or may be lost.
*nowhere*     What is given was written, and not later.

An owner acknowledges before its replica has it. So what it acknowledged right before it went away (`Fault.losing`)
may be lost, and what is read meanwhile, of its replica, may lack it for a while. The first three promises hold for
all other writes, and of these:

*agree*       As soon as the fault is over, and `bound` later, either all see such a write (or a later one), or none:
              a value that was lost does not live on in some copy, and one that was not is missed by none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.near.history import NOTHING, Clear, Fault, History, Read, Write

__all__ = ["Verdict", "Violation", "judge"]

_NEVER = float("inf")


class Violation(NamedTuple):
    """A promise that was broken: by which read, and against which earlier events."""

    promise: str
    read: Read
    against: tuple[Write | Read | Clear, ...]


@dataclass
class Verdict:
    """What was found."""

    violations: list[Violation] = field(default_factory=list)
    worst_near: float = 0.0  # seconds since the newest acknowledged write that a near hit did not know
    worst_grid: float = 0.0  # the same, of answers of the grid
    lossy: int = 0  # writes that may have been lost


def judge(history: History, bound: float) -> Verdict:
    """Whether all promises were kept."""
    verdict = Verdict()
    reads: dict[str, list[Read]] = defaultdict(list)
    writes: dict[str, list[Write]] = defaultdict(list)
    for read in history.reads:
        reads[read.key].append(read)
    for write in history.writes:
        writes[write.key].append(write)
    clears = _Clears(history.clears, history.faults)
    for key in sorted(reads):
        faults = [fault for fault in history.faults if fault.losing and key in fault.keys]
        case = _Case(sorted(writes[key], key=lambda write: write.number), reads[key], clears, faults, bound)
        verdict.violations += case.violations()
        verdict.worst_near = max([verdict.worst_near, *(case.age(read) for read in reads[key] if read.near)])
        verdict.worst_grid = max([verdict.worst_grid, *(case.age(read) for read in reads[key] if not read.near)])
        verdict.lossy += len(case.settled)
    return verdict


class _Clears:
    """The clears of a run; `firm` ones certainly had their effect."""

    def __init__(self, clears: Iterable[Clear], faults: Sequence[Fault]) -> None:
        # One that failed may still come to pass.
        self.all = [clear if clear.done else clear._replace(ended=_NEVER) for clear in clears]
        spans = [span for fault in faults for span in fault.losing]
        self.firm = [clear for clear in self.all if clear.done and not _meets(clear, spans)]

    def explains(self, write: Write, read: Read) -> bool:
        """Whether one may have come between the two."""
        return any(clear.began <= read.ended and clear.ended >= write.began for clear in self.all)


class _Case:
    """The history of one key."""

    def __init__(
        self, writes: list[Write], reads: list[Read], clears: _Clears, faults: list[Fault], bound: float
    ) -> None:
        self._writes, self._reads, self._clears, self._bound = writes, reads, clears, bound
        # From when on there has to be agreement on a write that may be lost, by its number.
        self.settled: dict[int, float] = {}
        for fault in faults:
            for write in writes:
                if _meets(write, fault.losing):
                    over = max(fault.ended, write.ended) + bound
                    self.settled[write.number] = max(over, self.settled.get(write.number, over))
        self._firm = [write for write in writes if write.done and write.number not in self.settled]
        self._firm_ends = [write.ended for write in self._firm]
        self._firm_numbers = [write.number for write in self._firm]

    def violations(self) -> Iterator[Violation]:
        """All of them."""
        for read in self._reads:
            yield from self._look_at(read)
        by_process: dict[str, list[Read]] = defaultdict(list)
        for read in self._reads:
            by_process[read.process].append(read)
        for reads in by_process.values():
            yield from self._backwards(reads)
        yield from self._disagreements()

    def age(self, read: Read) -> float:
        """How long before the read the oldest write was acknowledged that it did not know, in seconds."""
        if read.number == NOTHING:
            return 0.0
        at = bisect_left(self._firm_numbers, read.number + 1)
        return max(0.0, read.began - self._firm_ends[at]) if at < len(self._firm) else 0.0

    def _look_at(self, read: Read) -> Iterator[Violation]:
        if read.number != NOTHING:
            written = self._written(read.number)
            if written is None or written.drops or written.began > read.ended:
                yield Violation("nowhere", read, () if written is None else (written,))
                return
            yield from self._cleared(read, written)
        for promise, newest in self._newest(read):
            if read.number == NOTHING:
                if not newest.drops and not self._may_be_gone(newest, read):
                    yield Violation("missing", read, (newest,))
            elif read.number < newest.number:
                yield Violation(promise, read, (newest,))

    def _newest(self, read: Read) -> Iterator[tuple[str, Write]]:
        """The newest writes that a read has to know, by what promise."""
        for promise, bound in (("stale", self._bound), ("own", 0.0)):
            at = bisect_left(self._firm_ends, read.began - bound) - 1
            if at >= 0 and (promise == "stale" or self._firm[at].process == read.process):
                yield promise, self._firm[at]

    def _may_be_gone(self, write: Write, read: Read) -> bool:
        """Whether there may have been nothing at some time after a write and before the end of a read."""
        later = self._writes[write.number :]
        if any(one.drops and one.began <= read.ended for one in later):
            return True
        return self._clears.explains(write, read)

    def _cleared(self, read: Read, written: Write) -> Iterator[Violation]:
        for clear in self._clears.firm:
            bound = 0.0 if clear.process == read.process else self._bound
            if written.ended < clear.began and read.began > clear.ended + bound:
                yield Violation("cleared", read, (written, clear))
                return

    def _backwards(self, reads: list[Read]) -> Iterator[Violation]:
        ended = sorted((read for read in reads if read.number != NOTHING), key=lambda read: read.ended)
        newest, at = None, 0
        for read in sorted(ended, key=lambda read: read.began):
            while at < len(ended) and ended[at].ended < read.began:
                if newest is None or ended[at].number > newest.number:
                    newest = ended[at]
                at += 1
            if newest is not None and read.number < newest.number:
                between = range(read.number + 1, newest.number + 1)
                if not all(number in self.settled for number in between):
                    yield Violation("backwards", read, (newest,))

    def _disagreements(self) -> Iterator[Violation]:
        for number, settled in self.settled.items():
            after = [read for read in self._reads if read.began > settled]
            seen = next((read for read in after if read.number == number), None)
            missed = next((read for read in after if seen is not None and self._misses(read, number)), None)
            if seen is not None and missed is not None:
                last = max(seen, missed, key=lambda read: read.began)
                yield Violation("agree", last, (self._writes[number - 1], seen, missed))

    def _misses(self, read: Read, number: int) -> bool:
        """Whether a read can only mean that a write was lost."""
        if read.number == NOTHING:
            return not self._may_be_gone(self._writes[number - 1], read)
        return read.number < number

    def _written(self, number: int) -> Write | None:
        return self._writes[number - 1] if number <= len(self._writes) else None


def _meets(event: Write | Clear, spans: Iterable[tuple[float, float]]) -> bool:
    return any(event.began <= until and event.ended >= since for since, until in spans)
