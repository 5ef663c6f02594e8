"""Circuits and budgets: whether to ask a member, and whether to ask it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid._core.circuit import LONG_ENOUGH, STRIKES, Budget, Circuit

EVENTS = st.lists(st.tuples(st.sampled_from(["strike", "pass", "fail", "try"]), st.floats(0, 3)), max_size=60)
FLOOR, SHARE, KEPT = 100.0, 0.1, 2.0


def opened(now: float = 10.0) -> Circuit:
    """One that has just been opened."""
    circuit = Circuit()
    for _ in range(STRIKES):
        circuit.struck(now - LONG_ENOUGH)
    circuit.failed(now - LONG_ENOUGH, now)
    assert circuit.is_open
    return circuit


@given(EVENTS)
def test_a_circuit_is_open_only_while_nobody_is_answered(events: list[tuple[str, float]]) -> None:
    """
    It opens only at a failed call, after strikes enough and long enough without an answer; any answer closes it.
    """
    circuit, now, strikes, since = Circuit(), 0.0, 0, 0.0
    for event, step in events:
        now += step
        was_open = circuit.is_open
        if event == "strike":
            circuit.struck(now)
            since = since if strikes else now
            strikes += 1
        elif event == "pass":
            circuit.passed(now)
            strikes = 0
            assert not circuit.is_open
        elif event == "fail":
            circuit.failed(now - 1, now)
        else:
            assert circuit.may_try(now) or circuit.left(now) > 0
        if circuit.is_open and not was_open:
            assert event == "fail"
            assert strikes >= STRIKES
            assert now - since >= LONG_ENOUGH
        assert ("closed" == circuit.state(now)) is not circuit.is_open


def test_calls_that_fail_with_the_one_that_opened_it_are_no_probes() -> None:
    """
    Many that began before that end at about the same time: the first probe comes as soon as after one.
    """
    circuit = opened(10.0)
    for late in range(50):
        circuit.failed(9.5, 10.0 + late / 1000)
    assert 1.0 == circuit.left(10.0)


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_one_call_a_second_tries_an_open_circuit(steps: list[float]) -> None:
    """
    However many ask, one is let through after a pause, and the next one a pause later.
    """
    circuit, now, tries = opened(), 10.0, list[float]()
    for step in steps:
        now += step
        if circuit.may_try(now):
            tries.append(now)
    for one, other in zip([10.0, *tries], tries, strict=False):
        assert other - one >= 0.999


def test_probes_that_fail_come_less_often_until_one_passes() -> None:
    """
    The pause doubles up to five seconds, and is as short as ever after an answer.
    """
    circuit, now, pauses = opened(), 10.0, list[float]()
    for _ in range(5):
        now += circuit.left(now)
        assert "half-open" == circuit.state(now)
        assert circuit.may_try(now)
        circuit.failed(now, now)
        pauses.append(circuit.left(now))
    assert [2.0, 4.0, 5.0, 5.0, 5.0] == pytest.approx(pauses)
    circuit.passed(now)
    assert 0.0 == circuit.left(now)
    assert 1.0 == pytest.approx(opened(now).left(now))


def test_a_call_that_failed_alone_opens_nothing() -> None:
    """
    While others of the same member are answered, it is not the member that is away.
    """
    circuit = Circuit()
    for _ in range(10):
        circuit.struck(1.0)
    circuit.passed(3.0)
    for _ in range(10):
        circuit.struck(3.5)
    circuit.failed(1.0, 6.0)
    assert not circuit.is_open


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 500), st.integers(1, 300)), max_size=40))
def test_retries_are_a_share_of_the_calls_and_some(rounds: list[tuple[float, int, int]]) -> None:
    """
    In any time no more are allowed than may come at once, a hundred a second, and a tenth of the calls.
    """
    budget, now, calls, allowed = Budget(), 0.0, 0, 0
    for step, more, asked in rounds:
        now, calls = now + step, calls + more
        allowed += sum(budget.may_retry(now, calls) for _ in range(asked))
        assert allowed <= KEPT * FLOOR + FLOOR * now + SHARE * calls + 1


def test_a_member_that_serves_retries_gets_more_of_them() -> None:
    """
    Each that is answered lets two more go out, so that all who waited for it are served in a few rounds.
    """
    budget, waiting, rounds = Budget(), 5_000, 0
    while waiting and rounds < 20:
        served = sum(budget.may_retry(0.0, 0) for _ in range(waiting))
        for _ in range(served):
            budget.helped()
        waiting, rounds = waiting - served, rounds + 1
    assert 0 == waiting


def test_what_is_denied_is_counted() -> None:
    """
    And comes later.
    """
    budget = Budget()
    allowed = sum(budget.may_retry(0.0, 0) for _ in range(150))
    assert (100, 50) == (allowed, budget.denied)
    assert budget.may_retry(0.1, 0)
