"""Histories made by hand: the good ones are found good, and in each bad one the promise that it breaks is named."""

from __future__ import annotations

from typing import TypeVar

import pytest

from tests.near.history import NOTHING, Clear, Event, Fault, History, Load, Read, Recorder, Write
from tests.near.judge import judge

E = TypeVar("E", Write, Load, Read)
BOUND = 1.0
KEYS = frozenset({"k"})


def write(
    number: int, began: float, *, process: str = "w", drops: bool = False, done: bool = True, ttl: float = 0
) -> Write:
    """A write that takes a tenth of a second."""
    return Write(process, "k", number, began, began + 0.1, drops, done, ttl)


def load(number: int, began: float, *, process: str = "l", took: float = 0.2, ttl: float = 0) -> Load:
    """A load by a call that had begun a tenth of a second before."""
    return Load(process, "k", number, began - 0.1, began, began + took, ttl=ttl)


def read(number: int, began: float, *, process: str = "r", took: float = 0.01, near: bool = True) -> Read:
    """A read, of a copy if nothing else is said."""
    return Read(process, "k", began, began + took, number, near)


KILLED = Fault("kill", 10, 12, KEYS, ((9.9, 10.05),))
FIRST = write(1, 0)
DROP = write(2, 5, drops=True)
COUNTS = (write(1, 0, process="v"), write(2, 1))
RAISED = Clear("w", 5, 5.1, tag="tag2")
RAISED_AWAY = Fault("kill", 10, 12, frozenset(), ((9.9, 10.05),))


def of_tag(event: E) -> E:
    """The same, of a key that has the tag."""
    return event._replace(key="{7}w.tagged")


GOOD: dict[str, list[Event]] = {
    "nothing happened": [],
    "what was there before the first write": [FIRST, read(NOTHING, 0.05), read(NOTHING, 1)],
    "a value that is not acknowledged yet": [FIRST, read(1, 0.05)],
    "an older value within the bound": [FIRST, write(2, 5), read(1, 6.09)],
    "an older value, while the newer one is written": [FIRST, write(2, 5), read(1, 5.05)],
    "the newer value, and the older one in another process": [
        FIRST,
        write(2, 5),
        read(2, 5.2),
        read(1, 5.3, process="s"),
    ],
    "reads at once may end in any order": [FIRST, write(2, 5), read(2, 5.2, took=0.1), read(1, 5.25, took=0.2)],
    "a failed write is not seen": [FIRST, write(2, 5, done=False), read(1, 9)],
    "a failed write is seen": [FIRST, write(2, 5, done=False), read(2, 9)],
    "nothing after a drop": [FIRST, write(2, 5, drops=True), read(NOTHING, 9)],
    "nothing while a drop fails": [FIRST, write(2, 5, drops=True, done=False), read(NOTHING, 9)],
    "nothing after a clear": [FIRST, Clear("w", 5, 5.1), read(NOTHING, 9)],
    "a cleared value within the bound": [FIRST, Clear("w", 5, 5.1), read(1, 6.05)],
    "a value written while a clear goes on": [FIRST, write(2, 5), Clear("w", 5.05, 5.2), read(2, 9)],
    "nothing after a clear that failed": [FIRST, Clear("w", 5, 5.1, done=False), read(1, 8), read(NOTHING, 9)],
    "what was lost with its owner is missed": [FIRST, write(2, 9.85), KILLED, read(2, 9.97), read(1, 11)],
    "what may have been lost was not": [FIRST, write(2, 9.85), KILLED, read(1, 11), read(2, 13), read(2, 20)],
    "what was lost is replaced": [
        FIRST,
        write(2, 9.85),
        KILLED,
        read(2, 9.97),
        write(3, 14),
        read(1, 13.5),
        read(3, 16),
    ],
    "a lost value within the bound after the fault": [FIRST, write(2, 9.85), KILLED, read(1, 11), read(2, 12.9)],
    "a clear that may have been lost": [FIRST, Clear("w", 9.9, 9.95), KILLED, read(1, 20)],
    "a value within its time": [write(1, 0, ttl=3), read(1, 3.05)],
    "a value within the slack after its time": [write(1, 0, ttl=3), read(1, 3.19)],
    "nothing after its time": [write(1, 0, ttl=3), read(NOTHING, 3.0)],
    "nothing after the time of a value that may have been stored": [
        FIRST,
        write(2, 5, ttl=1, done=False),
        read(NOTHING, 9),
    ],
    "a value that was written anew lives on": [write(1, 0, ttl=3), write(2, 2, ttl=3), read(2, 5.05)],
    "a write that an owner may have applied again lives on": [write(1, 9, ttl=1), KILLED, read(1, 10.5)],
    "nothing after a tag was invalidated": [of_tag(FIRST), RAISED, of_tag(read(NOTHING, 9))],
    "a value of another tag": [of_tag(FIRST), RAISED._replace(tag="tag3"), of_tag(read(1, 9))],
    "a value that has no tag": [FIRST, RAISED, read(1, 9)],
    "a dead value within the bound": [of_tag(FIRST), RAISED, of_tag(read(1, 6.05))],
    "a raise that may have been lost": [
        of_tag(FIRST),
        RAISED._replace(began=9.9, ended=9.95),
        RAISED_AWAY,
        of_tag(read(1, 20)),
    ],
    "what came after a raise that was lost dies when it is raised again": [
        of_tag(FIRST),
        RAISED._replace(began=9.9, ended=9.95),
        of_tag(write(2, 9.97)),
        RAISED_AWAY,
        of_tag(read(NOTHING, 20)),
    ],
    "a value within its grace": [load(-1, 0, ttl=3)._replace(grace=2), read(-1, 5.29)._replace(graced=True)],
    "what was loaded before all writes": [load(-1, 0), read(-1, 0.3), FIRST, read(1, 2)],
    "what was loaded after a drop": [FIRST, DROP, load(-1, 6), read(-1, 9)],
    "what was loaded after its time": [write(1, 0, ttl=3), load(-1, 4), read(-1, 9)],
    "what was loaded after a clear": [FIRST, Clear("w", 5, 5.1), load(-1, 6), read(-1, 9)],
    "what was loaded and written over, within the bound": [FIRST, DROP, load(-1, 6), write(3, 7), read(-1, 8.05)],
    "a load that goes on while it is written": [FIRST, DROP, write(3, 5.95), load(-1, 6), read(3, 7), read(-1, 7.5)],
    "two loads after the same drop, in any order": [FIRST, DROP, load(-1, 6), load(-2, 6), read(-2, 7), read(-1, 8)],
    "what was loaded may be lost": [
        FIRST,
        write(2, 9.85, drops=True),
        load(-1, 10),
        KILLED,
        read(-1, 10.2),
        read(1, 20),
    ],
    "two who add hear of it in another order": [
        Write("v", "k", 1, 0, 0.5),
        Write("w", "k", 2, 0.1, 0.2),
        read(2, 0.3),
        read(2, 9),
    ],
    "a count whose number nobody was told": [*COUNTS, Write("w", "k", NOTHING, 6, 6.1, done=False), read(3, 7)],
    "a count begins anew after a clear": [*COUNTS, Clear("w", 5, 5.1), write(70, 6), read(2, 4), read(70, 7)],
    "a count before a clear that was counted anew after it": [
        *COUNTS,
        Write("w", "k", 70, 4.9, 5.2),
        read(3, 4.95),
        Clear("w", 5, 5.1),
        read(70, 7),
    ],
    "a count that began anew while a clear went on": [
        *COUNTS,
        write(90, 5),
        Clear("w", 5.2, 5.6),
        Write("v", "k", 80, 4.9, 5.7),
        read(90, 5.15),
        read(80, 7),
    ],
    "a count that goes on from one that began anew while a clear went on": [
        *COUNTS,
        write(90, 5),
        Clear("w", 5.2, 5.6),
        Write("v", "k", 80, 4.9, 5.7),
        write(81, 6.5),
        read(81, 9),
    ],
    "counts that were lost are counted again": [
        *COUNTS,
        write(3, 9.9),
        write(3, 12, process="v"),
        KILLED,
        read(3, 9.98),
        read(2, 11),
        read(3, 13),
    ],
    "a count that nobody was told of may be lost": [
        *COUNTS,
        Write("w", "k", NOTHING, 9.9, 10, done=False),
        KILLED,
        read(3, 9.98),
        read(2, 11),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_is_found_good(name: str) -> None:
    """
    Whatever may happen without a broken promise.
    """
    assert [] == judge(history(GOOD[name]), BOUND).violations


OWN = write(2, 5, process="r")
BAD: dict[str, tuple[str, list[Event]]] = {
    "a value whose tag was invalidated, after the bound": ("cleared", [of_tag(FIRST), RAISED, of_tag(read(1, 6.11))]),
    "a value whose tag this process invalidated": (
        "cleared",
        [of_tag(FIRST), RAISED._replace(process="r"), of_tag(read(1, 5.11))],
    ),
    "what was loaded while its tag was invalidated": (
        "cleared",
        [of_tag(load(-1, 4.95)), RAISED, of_tag(read(-1, 6.2))],
    ),
    "nothing, though another tag was invalidated": (
        "missing",
        [of_tag(FIRST), RAISED._replace(tag="tag3"), of_tag(read(NOTHING, 9))],
    ),
    "a value after its grace": (
        "late",
        [load(-1, 0, ttl=3)._replace(grace=2), read(-1, 5.31)._replace(graced=True)],
    ),
    "a value past its end, to who loads nothing": ("late", [load(-1, 0, ttl=3)._replace(grace=2), read(-1, 3.31)]),
    "an older value after the bound": ("stale", [FIRST, write(2, 5), read(1, 6.11)]),
    "an older value than a drop, after the bound": ("stale", [FIRST, write(2, 5, drops=True), read(1, 6.11)]),
    "an older value of the grid": ("stale", [FIRST, write(2, 5), read(1, 6.11, near=False)]),
    "an older value than the own one": ("own", [FIRST, OWN, read(1, 5.11)]),
    "nothing, after the own write": ("missing", [FIRST, OWN, read(NOTHING, 5.11)]),
    "an older value after a newer one": ("backwards", [FIRST, write(2, 5), read(2, 5.2), read(1, 5.3)]),
    "nothing without a reason": ("missing", [FIRST, read(NOTHING, 1.2)]),
    "nothing, though it was written after the drop": (
        "missing",
        [write(1, 0, drops=True), write(2, 1), read(NOTHING, 3)],
    ),
    "nothing, though it was written after the clear": ("missing", [Clear("w", 0, 0.1), write(1, 1), read(NOTHING, 3)]),
    "a cleared value after the bound": ("cleared", [FIRST, Clear("w", 5, 5.1), read(1, 6.11)]),
    "a value that the own clear has cleared": ("cleared", [FIRST, Clear("r", 5, 5.1), read(1, 5.11)]),
    "a value that nobody has written": ("nowhere", [FIRST, read(2, 5)]),
    "a value before it was written": ("nowhere", [FIRST, read(1, -1)]),
    "a value of a drop": ("nowhere", [write(1, 0, drops=True), read(1, 5)]),
    "what was certainly not lost is missed": ("stale", [FIRST, write(2, 9), KILLED, read(1, 11)]),
    "back beyond what may have been lost": (
        "backwards",
        [FIRST, write(2, 9), write(3, 9.85), KILLED, read(3, 9.97), read(1, 10)],
    ),
    "a fault of other keys is no reason": (
        "stale",
        [FIRST, write(2, 9.85), Fault("kill", 10, 12, frozenset({"other"}), KILLED.losing), read(1, 20)],
    ),
    "a lost value lives on": ("agree", [FIRST, write(2, 9.85), KILLED, read(1, 13.2), read(2, 13.5, process="s")]),
    "what was not lost is missed for ever": (
        "agree",
        [FIRST, write(2, 9.85), KILLED, read(2, 13.2), read(1, 13.5, process="s")],
    ),
    "what was not lost is nowhere": (
        "agree",
        [FIRST, write(2, 9.85), KILLED, read(2, 13.2), read(NOTHING, 13.5, process="s")],
    ),
    "a value after its time": ("late", [write(1, 0, ttl=3), read(1, 3.21)]),
    "a value after its time, of the grid": ("late", [write(1, 0, ttl=3), read(1, 3.21, near=False)]),
    "a value that was loaded, after its time": ("late", [load(-1, 0, ttl=3), read(-1, 3.31)]),
    "nothing before its time": ("missing", [write(1, 0, ttl=3), read(NOTHING, 2.9)]),
    "nothing, though what was there ended before it was written": (
        "missing",
        [write(1, 0, ttl=3), write(2, 4), read(NOTHING, 6)],
    ),
    "a value that nobody has loaded": ("nowhere", [load(-1, 0), read(-2, 5)]),
    "a value before it was loaded": ("nowhere", [load(-1, 5), read(-1, 4)]),
    "what was loaded lives on after a write": ("stale", [FIRST, DROP, load(-1, 6), write(3, 7), read(-1, 8.11)]),
    "what was loaded is stored over a write": ("stale", [FIRST, DROP, load(-1, 6), write(3, 6.05), read(-1, 7.2)]),
    "what was loaded is stored though it was dropped": (
        "stale",
        [FIRST, DROP, load(-1, 6), write(3, 6.05, drops=True), read(-1, 7.2)],
    ),
    "what was loaded, after the own write": (
        "own",
        [FIRST, DROP, load(-1, 6), write(3, 6.05, process="r"), read(-1, 6.2)],
    ),
    "what was loaded is stored though it was cleared": ("cleared", [load(-1, 6), Clear("w", 6.05, 6.1), read(-1, 7.2)]),
    "what was loaded before it was written, after that": (
        "backwards",
        [FIRST, DROP, load(-1, 6), write(3, 7), read(3, 7.2), read(-1, 7.3)],
    ),
    "what was gone when it was loaded, after that": (
        "backwards",
        [FIRST, DROP, load(-1, 5.3), read(-1, 5.4), read(1, 5.5)],
    ),
    "what had ended when it was loaded, after that": (
        "backwards",
        [write(1, 0, ttl=3), load(-1, 3.12), read(-1, 3.14), read(1, 3.17)],
    ),
    "an older load after a newer one": (
        "backwards",
        [FIRST, DROP, load(-1, 5.3), write(3, 5.6, drops=True), load(-2, 5.9), read(-2, 6), read(-1, 6.1)],
    ),
    "an older count, after the bound": ("stale", [*COUNTS, read(1, 2.2)]),
    "an older count than the own one, though another one is newer": (
        "own",
        [*COUNTS, write(3, 5, process="r"), write(4, 5.2), read(2, 5.3)],
    ),
    "an older count than the one that came before it, though it was told later": (
        "stale",
        [Write("v", "k", 1, 0, 0.5), Write("w", "k", 2, 0.1, 0.2), read(1, 1.6)],
    ),
    "an older count after a newer one": ("backwards", [*COUNTS, write(3, 5), read(3, 5.2), read(2, 5.3)]),
    "a count that nobody can have made": (
        "nowhere",
        [*COUNTS, Write("w", "k", NOTHING, 6, 6.1, done=False), read(3, 5.9)],
    ),
    "a count that was not lost is missed": ("stale", [*COUNTS, write(3, 8.5), KILLED, read(2, 11)]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_found_bad(name: str) -> None:
    """
    With the promise that is broken, and by the last read.
    """
    promise, events = BAD[name]
    violations = judge(history(events), BOUND).violations
    assert promise in [violation.promise for violation in violations]
    assert {events[-1]} == {violation.read for violation in violations}


def test_the_worst_staleness_is_measured() -> None:
    """
    Since the oldest write that was not known, apart for copies and for answers of the grid.
    """
    events: list[Event] = [
        FIRST,
        write(2, 5),
        write(3, 5.5),
        read(1, 5.7),
        read(2, 5.8, near=False),
    ]
    verdict = judge(history(events), BOUND)
    assert (0.6, 0.2) == (round(verdict.worst_near, 6), round(verdict.worst_grid, 6))


def test_of_reads_that_give_the_same_the_first_and_the_last_are_kept() -> None:
    """
    They prove what those in between could, which are counted.
    """
    recorder = Recorder("r")
    for began, number in enumerate([1, 1, 1, 2, 2]):
        recorder.read("k", began, began + 0.5, number, near=number == 2)
    assert [(0, 1), (2, 1), (3, 2), (4, 2)] == [(read.began, read.number) for read in recorder.finish()]
    assert {"reads": 5, "near": 2} == recorder.counts


def history(events: list[Event]) -> History:
    """The history of some events."""
    found = History()
    for event in events:
        match event:
            case Write():
                found.writes.append(event)
            case Load():
                found.loads.append(event)
            case Read():
                found.reads.append(event)
            case Clear():
                found.clears.append(event)
            case Fault():
                found.faults.append(event)
    return found
