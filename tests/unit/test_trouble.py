"""What follows trouble: a decision taken from what went wrong and what the request does."""

from __future__ import annotations

import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libvalkey import ReplyError

from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.trouble import (
    Advice,
    Effect,
    LinkError,
    Refusal,
    Silence,
    Step,
    advise,
    is_strike,
    pause_before,
    reason_of,
    refusal,
)
from cachegrid.errors import (
    AccessDenied,
    CacheError,
    GridFull,
    NotANumber,
    OutcomeUnknown,
    ServerRefused,
    Unreachable,
    Unsupported,
    WritesRefused,
)

ASKED = Endpoint("10.0.0.1", 7001)
EFFECTS = list(Effect)


def advice_for(text: str, effect: Effect = Effect.ONCE) -> Advice:
    return advise(ReplyError(text), effect, ASKED)


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("TRYAGAIN Multiple keys request during rehashing of slot", Step.WAIT),
        ("LOADING Valkey is loading the dataset in memory", Step.WAIT),
        ("BUSY Valkey is busy running a script", Step.WAIT),
        ("CLUSTERDOWN Hash slot not served", Step.LEARN),
        ("CLUSTERDOWN The cluster is down", Step.LEARN),
        ("ERR Can not execute a write command while the cluster is down and in readonly mode script: 1f", Step.LEARN),
        ("READONLY You can't write against a read only replica.", Step.LEARN),
        ("MASTERDOWN Link with MASTER is down", Step.LEARN),
        ("NOREPLICAS Not enough good replicas to write.", Step.LEARN),
        ("NOSCRIPT No matching script.", Step.TEACH),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", Step.STRANGE),
    ],
)
def test_what_a_member_did_not_do_is_tried_again(text: str, step: Step, effect: Effect) -> None:
    """
    A member that answers with one of these has done nothing: any request may be repeated.
    """
    assert Advice(step) == advice_for(text, effect)


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize(
    ("where", "endpoint"),
    [
        ("10.0.0.2:7002", Endpoint("10.0.0.2", 7002)),
        ("member-2.example:7002", Endpoint("member-2.example", 7002)),
        ("fd00::2:7002", Endpoint("fd00::2", 7002)),
        (":7002", Endpoint("10.0.0.1", 7002)),  # no host: that of the member that was asked
    ],
)
def test_a_redirection_is_followed(where: str, endpoint: Endpoint, effect: Effect) -> None:
    """
    MOVED and ASK name another member, and nothing was done yet.
    """
    assert Advice(Step.MOVE, endpoint) == advice_for(f"MOVED 3999 {where}", effect)
    assert Advice(Step.ASK, endpoint) == advice_for(f"ASK 3999 {where}", effect)


@pytest.mark.parametrize("word", ["MOVED", "ASK"])
def test_a_redirection_to_nobody_is_looked_up(word: str) -> None:
    """
    A member that should be known by a name, and has none, is found in the routes.
    """
    assert Advice(Step.LEARN) == advice_for(f"{word} 3999 ?:7002")


@pytest.mark.parametrize("text", ["MOVED", "MOVED 3999", "MOVED 3999 10.0.0.2", "ASK 3999 10.0.0.2:"])
def test_a_redirection_that_cannot_be_read_is_an_error(text: str) -> None:
    """
    A redirection of another form is not guessed at.
    """
    with pytest.raises(Unreachable, match=r"10\.0\.0\.1:7001"):
        advice_for(text)


@pytest.mark.parametrize("effect", EFFECTS)
def test_what_was_not_sent_is_sent_again(effect: Effect) -> None:
    """
    If the member did not see the request, any request may be sent again.
    """
    assert Advice(Step.LEARN) == advise(LinkError(ASKED, "refused", sent=False), effect, ASKED)


@pytest.mark.parametrize("effect", [Effect.READ, Effect.REPEATABLE, Effect.RECEIPT])
def test_what_does_no_harm_is_repeated(effect: Effect) -> None:
    """
    A read, and a write that may be applied twice, or has a receipt, are repeated although they may have been seen.
    """
    assert Advice(Step.LEARN) == advise(LinkError(ASKED, "closed", sent=True), effect, ASKED)


def test_what_must_not_be_repeated_has_an_unknown_outcome() -> None:
    """
    A write that must not be applied twice, and may have been once, is left to the caller.
    """
    advice = advise(LinkError(ASKED, "the member closed the connection", sent=True), Effect.ONCE, ASKED)
    assert Step.FAIL is advice.step
    assert isinstance(advice.error, OutcomeUnknown)
    assert "10.0.0.1:7001" == advice.error.where
    assert not advice.error.retryable
    for word in ("10.0.0.1:7001", "the member closed the connection", "may have been applied", "read the entry"):
        assert word in str(advice.error)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("WRONGPASS invalid username-password pair or user is disabled.", AccessDenied, ("user or password", "URL")),
        ("NOAUTH Authentication required.", AccessDenied, ("asks for a password", "URL")),
        ("NOPERM User app has no permissions to run the 'get' command", AccessDenied, ("'get'", "docs/access.md")),
        (
            "ERR ACL failure in script: User app has no permissions to run the 'set' command",
            AccessDenied,
            ("'set'", "docs/access.md"),
        ),
        ("OOM command not allowed when used memory > 'maxmemory'.", GridFull, ("no memory left", "volatile-lru")),
        ("MISCONF Errors writing to the AOF file: No space left", WritesRefused, ("on disk", "No space left")),
        ("ERR value is not an integer or out of range", NotANumber, ("no integer",)),
        ("ERR increment or decrement would overflow", NotANumber, ("64 bits",)),
        ("ERR unknown command 'UNLINK', with args", Unsupported, ("too old", "Redis 7.0")),
        ("ERR syntax error", Unsupported, ("too old", "Valkey 7.2")),
        ("ERR DB index is out of range", ServerRefused, ("DB index",)),
    ],
)
def test_a_refusal_says_what_and_where_and_what_to_do(
    text: str, error: type[CacheError], words: tuple[str, ...]
) -> None:
    """
    What trying again does not help is raised, and named after what the caller can do.
    """
    advice = advice_for(text)
    assert Step.FAIL is advice.step
    assert error is type(advice.error)
    for word in words:
        assert word in str(advice.error)
    if error is not NotANumber:
        assert "10.0.0.1:7001" in str(advice.error)
        assert "10.0.0.1:7001" == getattr(advice.error, "where", "")


@given(st.text(max_size=80), st.sampled_from(EFFECTS))
def test_any_reply_has_a_next_step(text: str, effect: Effect) -> None:
    """
    Whatever a member answers, there is a step, with an error exactly where it is to fail.
    """
    try:
        advice = advice_for(text, effect)
    except Unreachable:
        assert text.startswith(("MOVED", "ASK"))
        return
    assert (advice.step is Step.FAIL) == (advice.error is not None)
    assert (advice.step in {Step.MOVE, Step.ASK}) == (advice.endpoint is not None)
    assert isinstance(refusal(ReplyError(text), ASKED), CacheError)


def test_what_is_no_trouble_of_the_grid_is_raised() -> None:
    """
    A mistake in our own code does not disappear among the troubles of a grid.
    """
    with pytest.raises(ZeroDivisionError):
        advise(ZeroDivisionError(), Effect.READ, ASKED)


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_pauses_grow_and_end(attempt: int, chance: float) -> None:
    """
    The first repetition follows at once; pauses grow, and none is longer than 0.2 s.
    """
    pause = pause_before(attempt, chance)
    assert 0 <= pause <= 0.2
    assert (pause == 0) == (attempt == 0)
    assert pause_before(attempt + 1, chance) >= pause


def test_one_caller_looks_whether_a_silent_member_answers_again() -> None:
    """
    A member that did not answer is left alone for a while; then one caller tries, and the others need not wait.
    """
    silence = Silence(patience=1.0)
    assert silence.may_try(now=100.0)
    assert not silence.is_on
    silence.note(now=100.0)
    assert silence.is_on
    assert not silence.may_try(now=100.4)
    assert silence.may_try(now=100.6)
    assert not silence.may_try(now=100.7)  # somebody does
    assert not silence.may_try(now=101.5)
    assert silence.may_try(now=101.7)  # whoever did has not come back
    silence.note(now=102.0)
    assert not silence.may_try(now=102.4)
    silence.end()
    assert silence.may_try(now=102.4)
    assert silence.may_try(now=102.4)
    assert not silence.is_on


def test_who_refuses_is_let_be_for_a_moment() -> None:
    """
    Who comes right after is told why, and does not try.
    """
    refused = Refusal()
    assert not refused.reason(now=100.0)
    refused.note("Connection refused", now=100.0)
    assert "Connection refused" == refused.reason(now=100.019)
    assert not refused.reason(now=100.021)


def test_reasons_are_in_words() -> None:
    """
    What the system says about a connection is told without numbers and places, which differ between the colours.
    """
    assert "Connection refused" == reason_of(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"))
    assert "Name or service not known" in reason_of(socket.gaierror(-2, "Name or service not known"))
    assert "WRONG_VERSION_NUMBER" in reason_of(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"))
    assert "the member closed the connection" == reason_of(ConnectionResetError("the member closed the connection"))
    assert "TimeoutError" == reason_of(TimeoutError())


@pytest.mark.parametrize(
    ("trouble", "is_one"),
    [
        (ReplyError("CLUSTERDOWN The cluster is down"), True),
        (ReplyError("CLUSTERDOWN Hash slot not served"), False),
        (ReplyError("LOADING Valkey is loading the dataset in memory"), True),
        (ReplyError("MOVED 1 10.0.0.2:7002"), False),
        (ReplyError("OOM command not allowed"), False),
        (LinkError(ASKED, "no answer in time", sent=True), True),
        (ValueError("ours"), False),
    ],
)
def test_what_speaks_against_a_member(trouble: Exception, *, is_one: bool) -> None:
    """
    That it is away, or cannot serve what it owns; not that nobody owns a slot.
    """
    assert is_one == is_strike(trouble)
