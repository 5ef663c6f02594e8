"""
What a history proves. A pure function: the same history, the same verdict.

The promises, for each key, whose writes are numbered:

*stale*       A read gives nothing older than the newest write that was acknowledged more than `bound` seconds before
              the read began. `bound` is the policy's `max_staleness`, and `hearsay`: how long an owner that was
              replaced may go on answering until it hears of it (nothing, for a copy of an owner that was not).
*own*         For what its own process wrote the bound is 0.
*backwards*   In one process, a read that begins after another one ended gives nothing older than that one did.
*cleared*     A read that begins more than `bound` after a clear ended gives nothing that was written before it began;
              0 in the process that cleared. So it is with the entries of a tag, when it was invalidated.
*late*        A read that begins after the time to live of what it gives, counted from the end of its write, and
              `SLACK`, gives it no longer: no staleness is allowed there. Where there is a grace, a read that loads
              may give it so much longer. Not judged while a fault may have let an owner that was replaced apply a
              write again.
*missing*     Nothing is given only where there was nothing at some time since that newest write: it was dropped,
              cleared, has ended, or may be lost.
*nowhere*     What is given was written or loaded, and not later.

What a loader gives is no write's number: a loader that asked the writers would be right by its own doing, whatever
the cache does. It marks its value as its own, and two things are known of it. Its call found nothing, which is a read
like any other, and judged as one (*missing*). And it stands between two writes: it is newer than all that were over
when its call began, since those had gone; and older than all that began after the loader did, since what is set then
stays, and what is dropped then is not stored. What is loaded behind the backs of all stands there, too, though it found
what it takes the place of. So *stale*, *own*, *backwards*, *cleared* and *late* hold for it as for
the writes that it stands between. Where two loads stand between the same writes, nothing is known of their order.

Where several add to a number, it is its own proof, as long as it grows: a count begins anew, after a clear, at the
time. An addition that failed may have been done, by a number that nobody was told. An addition that was under way
during a clear may have begun anew at an earlier time than one that came before it: it is in no order with others, nor
are those that go on from it. It may have been done before the clear, too, by the next number, which nobody was told.

An owner acknowledges before its replica has it. So what it acknowledged right before it went away (`Fault.losing`)
may be lost, and what is read meanwhile, of its replica, may lack it for a while. The promises above hold for all other
writes, and of these, where they have one writer:

*agree*       As soon as the fault is over, and `bound` later, either all see such a write (or a later one), or none:
              a value that was lost does not live on in some copy, and one that was not is missed by none.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple, TypeVar

from tests.near.history import NOTHING, Clear, Fault, History, Load, Read, Write
from tests.near.keys import tag_of

__all__ = ["SLACK", "Verdict", "Violation", "judge"]

E = TypeVar("E", Write, Load, Read)
SLACK: Final = 0.1  # seconds after its end in which a value may be given: all have one clock, and wait for processors
_EARLY: Final = 0.005  # seconds that a value may end before its time, which is counted in whole milliseconds
_NEVER: Final = float("inf")


class Violation(NamedTuple):
    """A promise that was broken: by which read, and against which earlier events."""

    promise: str
    read: Read
    against: tuple[Write | Load | Read | Clear, ...]


@dataclass
class Verdict:
    """What was found."""

    violations: list[Violation] = field(default_factory=list)
    worst_near: float = 0.0  # seconds since the newest acknowledged write that a near hit did not know
    worst_grid: float = 0.0  # the same, of answers of the grid
    worst_late: float = 0.0  # seconds for which something was given after its end
    lossy: int = 0  # writes that may have been lost


def judge(history: History, bound: float) -> Verdict:
    """Whether all promises were kept."""
    verdict = Verdict()
    reads, writes, loads = _by_key(history.reads), _by_key(history.writes), _by_key(history.loads)
    clears: dict[str, Clears] = {}
    for key in sorted(reads):
        tag = tag_of(key)
        if tag not in clears:
            of_tag = [clear for clear in history.clears if clear.tag in ("", tag)]
            clears[tag] = Clears(of_tag, history.faults, bound)
        faults = [fault for fault in history.faults if fault.losing and key in fault.keys]
        case = _Case(writes[key], loads[key], reads[key], clears[tag], faults, bound)
        verdict.violations += case.violations()
        verdict.worst_near = max([verdict.worst_near, *(case.age(read) for read in reads[key] if read.near)])
        verdict.worst_grid = max([verdict.worst_grid, *(case.age(read) for read in reads[key] if not read.near)])
        verdict.worst_late = max(verdict.worst_late, case.worst_late)
        verdict.lossy += len(case.settled)
    return verdict


def _by_key(events: Iterable[E]) -> dict[str, list[E]]:
    found: dict[str, list[E]] = defaultdict(list)
    for event in events:
        found[event.key].append(event)
    return found


class Clears:
    """The clears that meet an entry; `firm` ones certainly had their effect, and that before they ended."""

    def __init__(self, clears: Iterable[Clear], faults: Sequence[Fault], bound: float) -> None:
        self.all: list[Clear] = []
        self.firm: list[Clear] = []
        for clear in clears:
            lost = [fault.ended + bound for fault in faults if _meets(clear, fault.losing)]
            if not clear.done:  # it may still come to pass
                self.all.append(clear._replace(ended=_NEVER))
            elif lost:  # who knows of it does it again, and takes along what was written since
                self.all.append(clear._replace(ended=max(clear.ended, *lost)))
            else:
                self.all.append(clear)
                self.firm.append(clear)

    def explains(self, write: Write, read: Read) -> bool:
        """Whether one may have come between the two."""
        return any(clear.began <= read.ended and clear.ended >= write.began for clear in self.all)

    def meets(self, write: Write) -> bool:
        """Whether one was under way at the same time."""
        return any(clear.began <= write.ended and clear.ended >= write.began for clear in self.all)


class _Newest:
    """Of writes that certainly had their effect, the newest at a time."""

    def __init__(self, writes: Iterable[Write]) -> None:
        writes = sorted(writes, key=lambda write: write.ended)
        self._ends = [write.ended for write in writes]
        # Several writers may hear of their writes in another order than that in which these were done.
        self._newest = list(accumulate(writes, _newer))

    def before(self, when: float) -> Write | None:
        """The newest of those that were over."""
        at = bisect_left(self._ends, when)
        return self._newest[at - 1] if at else None


class _Case:
    """The history of one key."""

    def __init__(
        self,
        writes: Iterable[Write],
        loads: Iterable[Load],
        reads: list[Read],
        clears: Clears,
        faults: list[Fault],
        bound: float,
    ) -> None:
        self._reads, self._clears, self._bound = reads, clears, bound
        self._writes = sorted((write for write in writes if write.number), key=lambda write: write.number)
        self._numbers = [write.number for write in self._writes]
        self._unknown = [write for write in writes if not write.number]  # may have any number
        self._unordered: set[int] = set()
        for write in self._writes:
            if clears.meets(write) or write.number - 1 in self._unordered:
                self._unordered.add(write.number)
        self._loads = {load.number: load for load in loads}
        self._spans = [span for fault in faults for span in fault.losing]
        self._is_shared = bool(self._unknown) or len({write.process for write in self._writes}) > 1
        self.worst_late = 0.0
        # From when on there has to be agreement on a write that may be lost, by its number.
        self.settled: dict[int, float] = {}
        for fault in faults:
            for write in self._writes:
                if _meets(write, fault.losing):
                    over = max(fault.ended, write.ended) + bound
                    self.settled[write.number] = max(over, self.settled.get(write.number, over))
        firm = [write for write in self._writes if write.done and write.number not in self.settled]
        self._newest = _Newest(firm)
        self._newest_of = {who: _Newest(w for w in firm if w.process == who) for who in {w.process for w in firm}}
        self._firm_numbers = [write.number for write in firm]
        # Of each, the first end among it and those that are newer.
        self._first_ends = list(accumulate((write.ended for write in reversed(firm)), min))[::-1]
        self._doubted = [(since, fault.ended + bound) for fault in faults for since, _ in fault.losing]
        self._ranks = {load.number: self._rank_of(load) for load in self._loads.values()}

    def violations(self) -> Iterator[Violation]:
        """All of them."""
        for read in self._reads:
            yield from self._look_at(read)
        by_process: dict[str, list[Read]] = defaultdict(list)
        for read in self._reads:
            by_process[read.process].append(read)
        for reads in by_process.values():
            yield from self._backwards(reads)
        if not self._is_shared:
            yield from self._disagreements()

    def age(self, read: Read) -> float:
        """How long before the read the oldest write was acknowledged that it did not know, in seconds."""
        if read.number == NOTHING or self._is_out_of_order(read):
            return 0.0
        at = bisect_right(self._firm_numbers, self._rank(read)[1] // 2)
        return max(0.0, read.began - self._first_ends[at]) if at < len(self._first_ends) else 0.0

    # The order of what is given. A write has twice its number, so that there is room for loads in between.

    def _rank(self, read: Read) -> tuple[int, int]:
        """At least and at most how new a value is."""
        return self._ranks.get(read.number, (2 * read.number, 2 * read.number))

    def _rank_of(self, load: Load) -> tuple[int, int]:
        over = [write.number for write in self._writes if write.done and write.ended < load.asked]
        later = [write.number for write in self._writes if write.began > load.began]
        # While a fault may have lost what was there, what it found missing may come back.
        least = 0 if _meets(load, self._doubted) or not over else 2 * max(over) + 1
        return least, 2 * min(later) - 1 if later else 2 * max(self._numbers, default=0) + 1

    def _written(self, number: int) -> list[Write]:
        since = bisect_left(self._numbers, number)
        return self._writes[since : bisect_right(self._numbers, number)]

    def _is_out_of_order(self, read: Read) -> bool:
        """Whether it gives a number that was counted while a clear went on, or that goes on from such a one."""
        if not self._is_shared:
            return False
        if not self._written(read.number) and any(map(self._clears.meets, self._unknown)):
            return True
        return not self._unordered.isdisjoint((read.number, read.number - 1))

    def _is_wiped(self, read: Read) -> bool:
        """Whether it gives what an addition came to before a clear, after which it was done again."""
        again = (write for write in self._writes if write.number > read.number and write.began <= read.ended)
        return bool(self._written(read.number - 1)) and any(map(self._clears.meets, again))

    # The promises.

    def _look_at(self, read: Read) -> Iterator[Violation]:
        if read.number != NOTHING:
            sources = [one for one in self._sources(read) if one.began <= read.ended]
            if not sources and not (any(write.began <= read.ended for write in self._unknown) or self._is_wiped(read)):
                yield Violation("nowhere", read, tuple(self._sources(read)))
                return
            if len(sources) == 1:
                yield from self._cleared(read, sources[0])
                yield from self._late(read, sources[0])
        for promise, newest in self._due(read):
            if read.number == NOTHING:
                if not newest.drops and not self._may_be_gone(newest, read):
                    yield Violation("missing", read, (newest,))
            elif self._rank(read)[1] < 2 * newest.number and not self._is_out_of_order(read):
                yield Violation(promise, read, (newest, *self._loaded(read)))

    def _sources(self, read: Read) -> Sequence[Write | Load]:
        """What gave the number that was read."""
        if read.number < NOTHING:
            return self._loaded(read)
        return [write for write in self._written(read.number) if not write.drops]

    def _loaded(self, read: Read) -> Sequence[Load]:
        return [self._loads[read.number]] if read.number in self._loads else []

    def _due(self, read: Read) -> Iterator[tuple[str, Write]]:
        """The newest writes that a read has to know, by what promise."""
        newest = self._newest.before(read.began - self._bound)
        if newest is not None:
            yield "stale", newest
        own = self._newest_of.get(read.process)
        last = None if own is None else own.before(read.began)
        if last is not None:
            yield "own", last

    def _may_be_gone(self, write: Write, read: Read) -> bool:
        """Whether there may have been nothing at some time after a write and before the end of a read."""
        since = bisect_left(self._numbers, write.number)
        for one in self._writes[since:]:
            if one.began > read.ended and not self._is_shared:
                break
            if one.drops and one.number > write.number and one.began <= read.ended:
                return True
            if one.ttl and one.began + one.ttl - _EARLY <= read.ended:
                return True
        return self._clears.explains(write, read)

    def _cleared(self, read: Read, source: Write | Load) -> Iterator[Violation]:
        # What is loaded when it is cleared is not kept; what is written then may come after the clear.
        over = source.ended if isinstance(source, Write) else source.began
        for clear in self._clears.firm:
            bound = 0.0 if clear.process == read.process else self._bound
            if over < clear.began and read.began > clear.ended + bound:
                yield Violation("cleared", read, (source, clear))
                return

    def _late(self, read: Read, source: Write | Load) -> Iterator[Violation]:
        if not source.ttl or not source.done or _meets_between(source.began, read.ended, self._spans):
            return
        grace = source.grace if read.graced and isinstance(source, Load) else 0
        late = read.began - source.ended - source.ttl - grace
        self.worst_late = max(self.worst_late, late)
        if late > SLACK:
            yield Violation("late", read, (source,))

    def _backwards(self, reads: list[Read]) -> Iterator[Violation]:
        reads = [read for read in reads if read.number != NOTHING and not self._is_out_of_order(read)]
        ended = sorted(reads, key=lambda read: read.ended)
        newest, least, at = None, 0, 0
        for read in sorted(reads, key=lambda read: read.began):
            while at < len(ended) and ended[at].ended < read.began:
                rank = self._rank(ended[at])[0]
                if newest is None or rank > least:
                    newest, least = ended[at], rank
                at += 1
            most = self._rank(read)[1]
            if newest is not None and most < least and not self._may_be_lost(most // 2, least // 2):
                yield Violation("backwards", read, (newest, *self._loaded(newest), *self._loaded(read)))

    def _may_be_lost(self, low: int, high: int) -> bool:
        """Whether all that made the difference between two numbers may be lost."""
        since, until = bisect_right(self._numbers, low), bisect_right(self._numbers, high)
        between = self._writes[since:until]
        if not self._written(high) and not any(_meets(write, self._spans) for write in self._unknown):
            return False
        return bool(between or self._unknown) and all(write.number in self.settled for write in between)

    def _disagreements(self) -> Iterator[Violation]:
        for number, settled in self.settled.items():
            after = [read for read in self._reads if read.began > settled]
            seen = next((read for read in after if read.number == number), None)
            missed = next((read for read in after if seen is not None and self._misses(read, number)), None)
            if seen is not None and missed is not None:
                last = max(seen, missed, key=lambda read: read.began)
                yield Violation("agree", last, (*self._written(number), seen, missed))

    def _misses(self, read: Read, number: int) -> bool:
        """Whether a read can only mean that a write was lost."""
        if read.number == NOTHING:
            return not self._may_be_gone(self._written(number)[0], read)
        return self._rank(read)[1] < 2 * number


def _newer(one: Write, other: Write) -> Write:
    return one if one.number > other.number else other


def _meets(event: Write | Load | Clear, spans: Iterable[tuple[float, float]]) -> bool:
    return _meets_between(event.began, event.ended, spans)


def _meets_between(began: float, ended: float, spans: Iterable[tuple[float, float]]) -> bool:
    return any(began <= until and ended >= since for since, until in spans)
