"""The judge of chaos: what it must find in a history that somebody made up, and what it must let pass."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.history import ADDED_BEFORE, DONE, NOTHING, Call, Fault, History, Hold
from tests.chaos.judge import Verdict, judge

FAULT = Fault(name="kill", began=10, served=12, whole=15)


def wrote(number: int, began: float, *, outcome: str = DONE, kept: str = "replicated", op: str = "set") -> Call:
    return Call("w", 1, op, "k", number, began, began + 0.1, outcome, kept)


def read(number: int, began: float, *, took: float = 0.1, outcome: str = DONE) -> Call:
    return Call("r", 2, "get", "k", number, began, began + took, outcome, "replicated")


def counted(number: int, began: float, *, who: str = "a", outcome: str = DONE, took: float = 0.1) -> Call:
    return Call(who, 3, "incr", "n", number, began, began + took, outcome, "replicated")


def held(fence: int, since: float, until: float, *, who: str = "a") -> Hold:
    return Hold(who, "l", fence, since - 0.1, since, until, kept="replicated", released=until + 0.1)


def judged(*events: Call | Hold, final: int | None = None, fault: Fault = FAULT) -> Verdict:
    calls = [event for event in events if isinstance(event, Call)]
    holds = [event for event in events if isinstance(event, Hold)]
    finals = {} if final is None else {call.key: final for call in calls}
    return judge(History(calls, holds, [fault], finals))


GOOD: dict[str, tuple[list[Call | Hold], int | None]] = {
    "what was acknowledged is there": ([wrote(1, 1), wrote(2, 5), read(2, 13)], 2),
    "what was not acknowledged is gone": ([wrote(1, 1), wrote(2, 9.95, outcome="EngineTimeout"), read(1, 13)], 1),
    "what was not acknowledged is there": ([wrote(1, 1), wrote(2, 9.95, outcome="NotDurable"), read(2, 13)], 2),
    "a read under way may know a write or not": ([wrote(1, 1), wrote(2, 5), read(1, 5.05), read(2, 5.06)], 2),
    "a write under way may be known": ([wrote(1, 1), read(1, 1.05, took=0.01)], 1),
    "nothing before the first write": ([read(NOTHING, 0.5), wrote(1, 1)], 1),
    "counts that overlap come back in any order": ([counted(2, 1), counted(1, 1.05), counted(3, 2)], 3),
    "a count that may have been counted": ([counted(1, 1), counted(NOTHING, 2, outcome="OutcomeUnknown")], 2),
    "a count that may not have been counted": ([counted(1, 1), counted(NOTHING, 2, outcome="OutcomeUnknown")], 1),
    "one holds a lock after the other": ([held(5, 1, 2), held(9, 2, 3, who="b")], None),
    "a change that another was quicker with": ([Call("a", 3, "change", "n", NOTHING, 1, 2), counted(1, 3)], 1),
}

BAD: dict[str, tuple[str, Any, list[Call | Hold], int | None]] = {
    "a key that is gone in the end": ("lost", {"replicated": 1}, [wrote(1, 1)], NOTHING),
    "an older value in the end": ("lost", {"replicated": 2}, [wrote(1, 1), wrote(2, 5), wrote(3, 6)], 1),
    "a lost write that was written over": (
        "lost",
        {"replicated": 1},
        [wrote(1, 1), wrote(2, 9), read(1, 13), wrote(3, 14), read(3, 16)],
        3,
    ),
    "fewer than were counted": ("lost", {"replicated": 1}, [counted(1, 1), counted(2, 2)], 1),
    "an older value while the owner is away": (
        "stale_away",
        1,
        [wrote(1, 1), wrote(2, 9), read(1, 11), read(2, 13)],
        2,
    ),
    "an older value afterwards": ("stale_after", 1, [wrote(1, 1), wrote(2, 9), read(1, 13), read(2, 14)], 2),
    "an older value before": ("stale_after", 1, [wrote(1, 1), wrote(2, 3), read(1, 5), read(2, 6)], 2),
    "nothing, though it was written": ("stale_away", 1, [wrote(1, 1), read(NOTHING, 11), read(1, 13)], 1),
    "how stale it was": ("stalest", 1.9, [wrote(1, 1), wrote(2, 9), read(1, 11), read(2, 13)], 2),
    "a value before it was written": ("made_up", 1, [read(1, 0.5), wrote(1, 1)], 1),
    "a value that nobody wrote": ("made_up", 1, [wrote(1, 1), read(7, 2)], 1),
    "the value of another key": ("made_up", 1, [wrote(1, 1), read(-1, 2)], 1),
    "a number that somebody had been told": ("back", {"replicated": 1}, [counted(2, 1), counted(2, 2, who="b")], 2),
    "a smaller number than an earlier one": (
        "back",
        {"replicated": 1},
        [counted(3, 1), counted(1, 2), counted(4, 3)],
        3,
    ),
    "the same number at the same time": ("back", {"replicated": 1}, [counted(1, 1), counted(1, 1.05, who="b")], 1),
    "more than anybody counted": ("twice", 1, [counted(1, 1), counted(3, 2)], 3),
    "more in the end than anybody counted": ("twice", 1, [counted(1, 1), counted(2, 2)], 3),
    "a refused count that was counted": ("twice", 1, [counted(1, 1), counted(0, 2, outcome="Unreachable")], 2),
    "an add that was told of itself": ("twice", 1, [wrote(ADDED_BEFORE, 1, op="add")], 1),
    "two hold a lock": ("held_by_two", {"replicated": 1}, [held(5, 1, 3), held(9, 2, 4, who="b")], None),
    "a fence that is no larger": ("unfenced", 1, [held(9, 1, 2), held(9, 3, 4, who="b")], None),
    "a read that failed": ("failed", {"EngineTimeout": 1}, [read(NOTHING, 11, outcome="EngineTimeout")], None),
    "a write that did not come far enough": ("not_durable", 1, [wrote(1, 11, outcome="NotDurable")], 1),
    "a read that took long": ("read_stall", 0.7, [read(NOTHING, 10.5, took=0.7), read(NOTHING, 2, took=3)], None),
    "a count that took long": ("write_stall", 1.5, [counted(1, 9.5, took=1.5)], 1),
}
NOTHING_WRONG = ("lost", "stale_away", "stale_after", "made_up", "back", "twice", "held_by_two", "unfenced")


@pytest.mark.parametrize("name", GOOD)
def test_what_may_happen_is_let_pass(name: str) -> None:
    """
    Nothing is lost, stale or wrong.
    """
    events, final = GOOD[name]
    verdict = judged(*events, final=final)
    assert [] == [(rule, found) for rule in NOTHING_WRONG if sum_of(found := getattr(verdict, rule))]


@pytest.mark.parametrize("name", BAD)
def test_what_must_not_happen_is_found(name: str) -> None:
    """
    By the rule that it breaks, and as often.
    """
    rule, wanted, events, final = BAD[name]
    found = getattr(judged(*events, final=final), rule)
    assert wanted == (found if isinstance(wanted, dict) else pytest.approx(found))


def test_who_comes_back_may_not_know_that_it_was_replaced() -> None:
    """
    Until the grid is whole again it is told apart from other stale reads.
    """
    paused = Fault(name="pause", began=10, served=12, whole=15, back_at=14)
    events = [wrote(1, 1), wrote(2, 13), read(1, 14.5), read(2, 16)]
    verdict = judged(*events, final=2, fault=paused)
    assert (1, 0) == (verdict.stale_away, verdict.stale_after)


def test_a_call_of_many_keys_is_one_call() -> None:
    """
    Though each of its keys is judged.
    """
    many = [Call("r", 1, "get_many", key, NOTHING, 11, 12, "EngineTimeout") for key in ("a", "b", "c")]
    verdict = judged(*many)
    assert (1, {"EngineTimeout": 1}) == (verdict.calls, verdict.failed)


def test_usual_times_are_told_apart_from_those_during_the_fault() -> None:
    """
    Of all but the first second, in which connections are made.
    """
    quick = [read(NOTHING, at, took=0.001) for at in (0.0, 1.5, 2, 16, 17)]
    verdict = judged(read(NOTHING, 0.1, took=0.9), *quick, read(NOTHING, 10.5, took=0.2), read(NOTHING, 14, took=0.1))
    assert (0.001, 0.2) == pytest.approx((verdict.p99_apart["read"], verdict.p99_during["read"]))


def sum_of(found: Any) -> Any:
    """How much was found, by whatever it is told apart."""
    return sum(found.values()) if isinstance(found, dict) else found
