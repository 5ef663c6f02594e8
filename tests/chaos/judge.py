"""
What a fault did to those who used the grid, judged by the record of their calls alone.

failed    A call that raised. What was told to be less durable than asked (`NotDurable`) is counted apart: its owner
          had applied it.
stall     The longest call from the fault on, of those that read, and of those that write, loads included.
lost      A write that was acknowledged, and is not there: a key that is written once is missing in the end; a newer
          value of one that is written over is nowhere to be seen once all slots are served again; or of what is
          counted there is less than was acknowledged.
stale     A read that gave something older than a write that was acknowledged before it began: `away` while a slot had
          no owner, when replicas answer, or a member was back that did not know yet that it was replaced, and `after`
          at all other times.
back      Something counted: a number that is no larger than one that somebody was told before it was asked for.
twice     Something counted, or added, more often than anybody asked for.
two       Two held a lock at once; `unfenced` where a later holder had no larger fence, so that nobody could have known.
made up   A value that nobody wrote under that key.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from tests.chaos.history import ADDED_BEFORE, DONE, NOTHING, READS, Call, Fault, History, Hold

__all__ = ["Verdict", "judge", "whole_after"]

STORES: Final = frozenset({"set", "add", "set_many"})
COUNTS: Final = frozenset({"incr", "change"})
NOT_DURABLE: Final = "NotDurable"
# After these a count is as it was.
REFUSED: Final = frozenset({"Unreachable", "CircuitOpen", "Overloaded", "AccessDenied", "NotANumber"}) | frozenset(
    {"GridFull", "WritesRefused", "ServerRefused"}
)
WARM: Final = 1.0  # seconds at the beginning that are no measure of anything


@dataclass
class Verdict:
    """What was found; times are seconds, and what depends on it is told by durability."""

    calls: int = 0
    seconds: float = 0.0
    failed: Counter[str] = field(default_factory=Counter)  # by error
    not_durable: int = 0
    read_stall: float = 0.0
    write_stall: float = 0.0
    acknowledged: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    stale_away: int = 0
    stale_after: int = 0
    stalest: float = 0.0  # how long before the read the oldest write was acknowledged that it missed
    back: Counter[str] = field(default_factory=Counter)
    twice: int = 0
    held_by_two: Counter[str] = field(default_factory=Counter)
    unfenced: int = 0
    locks_lost: int = 0  # of which their holders were told
    made_up: int = 0
    p99_apart: dict[str, float] = field(default_factory=dict)  # of "read" and "write", before and after
    p99_during: dict[str, float] = field(default_factory=dict)


def judge(history: History) -> Verdict:
    """All that is to be known of a run."""
    verdict = Verdict()
    _count(history, verdict)
    _measure(history, verdict)
    by_key: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        by_key[call.key].append(call)
    away = [(fault.began, fault.served) for fault in history.faults]
    away += [(fault.back_at, fault.whole) for fault in history.faults if fault.back_at is not None]
    for key, calls in by_key.items():
        ops = {call.op for call in calls}
        if ops & COUNTS:
            _judge_counted(calls, history.final.get(key), verdict)
        elif ops & {"load", "hit"}:
            verdict.made_up += sum(call.outcome == DONE and call.number != 1 for call in calls)
        else:
            _judge_stored(calls, history.final.get(key), away, verdict)
    holds: dict[str, list[Hold]] = defaultdict(list)
    for hold in history.holds:
        holds[hold.key].append(hold)
    for each in holds.values():
        _judge_lock(each, verdict)
    return verdict


# What failed, and how long things took.


def _singly(calls: Iterable[Call]) -> Iterator[Call]:
    """Each call once, also those of many keys."""
    seen: set[tuple[str, int, float]] = set()
    for call in calls:
        if call.op in {"get_many", "set_many"}:
            if (name := (call.process, call.lane, call.began)) in seen:
                continue
            seen.add(name)
        yield call


def _count(history: History, verdict: Verdict) -> None:
    outcomes = Counter(call.outcome for call in _singly(history.calls))
    outcomes.update(hold.outcome for hold in history.holds)
    verdict.calls = outcomes.total()
    verdict.not_durable = outcomes.pop(NOT_DURABLE, 0)
    outcomes.pop(DONE, None)
    losses = Counter(hold.loss for hold in history.holds if hold.loss != DONE)
    verdict.locks_lost = losses.pop("LockLost", 0)
    verdict.failed = outcomes + losses
    if history.calls:
        verdict.seconds = max(call.ended for call in history.calls) - min(call.began for call in history.calls)


def _kind(call: Call) -> str:
    return "read" if call.op in READS and call.op != "hit" else "write"


def _measure(history: History, verdict: Verdict) -> None:
    if not history.faults or not history.calls:
        return
    since, until = history.faults[0].began, history.faults[-1].whole
    first = min(call.began for call in history.calls) + WARM
    apart: dict[str, list[float]] = {"read": [], "write": []}
    during: dict[str, list[float]] = {"read": [], "write": []}
    stall = {"read": 0.0, "write": 0.0}
    for call in _singly(history.calls):
        kind, took = _kind(call), call.ended - call.began
        if call.ended >= since:
            stall[kind] = max(stall[kind], took)
        # What waits for the disk waits for its clock, and is no measure of the grid.
        if call.kept == "disk" and kind == "write":
            continue
        if (first <= call.began and call.ended < since) or call.began > until:
            apart[kind].append(took)
        elif since <= call.ended and call.began <= until:
            during[kind].append(took)
    verdict.read_stall, verdict.write_stall = stall["read"], stall["write"]
    verdict.p99_apart = {kind: _p99(took) for kind, took in apart.items()}
    verdict.p99_during = {kind: _p99(took) for kind, took in during.items()}


def _p99(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)] if took else 0.0


# What is stored: one writer for each key.


class _Acknowledged:
    """Writes of one key that were acknowledged."""

    def __init__(self, writes: Sequence[Call]) -> None:
        self._by_end = sorted(writes, key=lambda write: write.ended)
        self._ends = [write.ended for write in self._by_end]
        self._newest = list(accumulate((write.number for write in self._by_end), max))

    def newest(self, when: float) -> int:
        """The newest that was acknowledged before; NOTHING if none was."""
        at = bisect_left(self._ends, when)
        return self._newest[at - 1] if at else NOTHING

    def missed(self, read: Call) -> list[Call]:
        """Those that a read should have known, and did not."""
        return [write for write in self._by_end[: bisect_left(self._ends, read.began)] if write.number > read.number]


def _judge_stored(calls: list[Call], final: int | None, away: list[tuple[float, float]], verdict: Verdict) -> None:
    writes = [call for call in calls if call.op in STORES]
    done = [call for call in writes if call.outcome == DONE and call.number > NOTHING]
    reads = sorted((call for call in calls if call.op in READS and call.outcome == DONE), key=lambda call: call.began)
    verdict.acknowledged.update(write.kept for write in done)
    verdict.twice += sum(write.number == ADDED_BEFORE for write in writes)
    began = {write.number: write.began for write in writes}
    verdict.made_up += sum(
        read.number != NOTHING and began.get(read.number, float("inf")) > read.ended for read in reads
    )
    lost = {write.number: write for write in done if final is not None and write.number > final}
    known = _Acknowledged(done)
    last_seen: dict[int, float] = {} if final is None else {final: float("inf")}
    for read in reads:
        last_seen[read.number] = max(read.began, last_seen.get(read.number, 0.0))
    for read in reads:
        if read.number < NOTHING or read.number >= known.newest(read.began):
            continue
        missed = known.missed(read)
        is_away = any(since <= read.ended and read.began <= until for since, until in away)
        newest = max(missed, key=lambda write: write.number)
        if not is_away and last_seen.get(newest.number, 0.0) <= read.began:
            lost |= {write.number: write for write in missed}  # nobody ever saw it again
            continue
        verdict.stale_away += is_away
        verdict.stale_after += not is_away
        verdict.stalest = max(verdict.stalest, read.began - min(write.ended for write in missed))
    verdict.lost.update(write.kept for write in lost.values())


# What is counted: everybody adds one to it.


def _judge_counted(calls: list[Call], final: int | None, verdict: Verdict) -> None:
    kept = calls[0].kept
    done = [call for call in calls if call.outcome == DONE and call.number > NOTHING]
    perhaps = [call for call in calls if call.outcome != DONE and call.outcome.partition(" ")[0] not in REFUSED]
    verdict.acknowledged[kept] += len(done)
    known, seen = _Acknowledged(done), set[int]()
    for call in sorted(done, key=lambda call: call.ended):
        verdict.back[kept] += call.number <= known.newest(call.began) or call.number in seen
        seen.add(call.number)
    most = max([final or 0, *seen])
    verdict.twice += max(0, most - len(done) - len(perhaps))
    if final is not None:
        verdict.lost[kept] += max(0, len(done) - final)


# Locks.


def _judge_lock(holds: list[Hold], verdict: Verdict) -> None:
    held = sorted((hold for hold in holds if hold.outcome == DONE), key=lambda hold: hold.ended)
    for at, hold in enumerate(held):
        for earlier in held[max(0, at - 8) : at]:
            verdict.held_by_two[hold.kept] += earlier.until > hold.ended
            verdict.unfenced += earlier.until < hold.began and earlier.fence >= hold.fence
    for kept in [kept for kept, times in verdict.held_by_two.items() if not times]:
        del verdict.held_by_two[kept]


def whole_after(faults: Sequence[Fault]) -> tuple[float, float]:
    """The longest times that it took until all slots were served, and until the grid was whole, in seconds."""
    return max(one.served - one.began for one in faults), max(one.whole - one.began for one in faults)
