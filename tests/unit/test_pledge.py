"""What is asked of an owner after a write that has to last, and what its answers mean."""

from __future__ import annotations

import pytest
from libvalkey import ReplyError

from cachegrid._core.durability import Durability
from cachegrid.engines.valkey.pledge import Kept, Pledge, has_written, mark, merged, not_durable, read_connected
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.trouble import LinkError
from cachegrid.errors import AccessDenied, EngineError, NotDurable, Unsupported

HERE = Endpoint("10.0.0.1", 7001)
BOTH = Durability(2, disk=True)


def words(request: bytes) -> list[bytes]:
    """The words of requests, one after the other."""
    return [line for line in request.split(b"\r\n") if line and line[:1] not in b"*$"]


@pytest.mark.parametrize(
    ("need", "asked"),
    [
        (Durability(2), [b"WAIT", b"2", b"50"]),
        (Durability(disk=True), [b"WAITAOF", b"1", b"0", b"50"]),
        (BOTH, [b"WAIT", b"2", b"50", b"WAITAOF", b"1", b"0", b"50"]),
    ],
)
def test_what_is_asked(need: Durability, asked: list[bytes]) -> None:
    """
    Each of the two that is needed, in the milliseconds that are said.
    """
    pledge = Pledge(need)
    assert asked == words(pledge.request(50))
    assert pledge.replies == asked.count(b"50")


@pytest.mark.parametrize(
    ("need", "replies", "kept", "is_met"),
    [
        (Durability(2), [1], Kept(1, disk=False), False),
        (Durability(2), [2], Kept(2, disk=False), True),
        (Durability(2), [3], Kept(3, disk=False), True),
        (Durability(disk=True), [[0, 1]], Kept(0, disk=False), False),
        (Durability(disk=True), [[1, 0]], Kept(0, disk=True), True),
        (BOTH, [2, [0, 0]], Kept(2, disk=False), False),
        (BOTH, [1, [1, 0]], Kept(1, disk=True), False),
        (BOTH, [2, [1, 0]], Kept(2, disk=True), True),
    ],
)
def test_how_far_it_has_come(need: Durability, replies: list[object], kept: Kept, is_met: bool) -> None:  # noqa: FBT001
    """
    Enough is enough of both.
    """
    pledge = Pledge(need)
    assert kept == pledge.read(replies, HERE)
    assert is_met is pledge.is_met(kept)


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        ("UNBLOCKED force unblock, instance state changed", LinkError, "is no owner any more"),
        ("ERR WAIT cannot be used with replica instances. Please also note that", LinkError, "is no owner any more"),
        ("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.", Unsupported, "up --persist"),
        ("ERR unknown command 'WAITAOF', with args beginning with: '1'", Unsupported, "Redis 7.2 or newer"),
        ("NOPERM User app has no permissions to run the 'wait' command", AccessDenied, "docs/access.md"),
    ],
)
def test_who_cannot_say_it(reply: str, error: type[Exception], says: str) -> None:
    """
    One that another has taken over from is asked no more, and nobody knows of its writes; the others say what to do.
    """
    for need, replies in ((BOTH, [ReplyError(reply), [1, 0]]), (BOTH, [2, ReplyError(reply)])):
        with pytest.raises(error, match=says) as caught:
            Pledge(need).read(replies, HERE)
        assert "10.0.0.1:7001" in str(caught.value)
        assert not isinstance(caught.value, LinkError) or caught.value.sent


@pytest.mark.parametrize("replies", [[None, [1, 0]], [2, b"1"], [2, []], ["2", [1, 0]]])
def test_an_answer_to_something_else_is_no_yes(replies: list[object]) -> None:
    """
    It is an error that shows it.
    """
    with pytest.raises(EngineError, match="what it was not asked for"):
        Pledge(BOTH).read(replies, HERE)


def test_which_answers_show_a_change() -> None:
    """
    An error, a miss and a zero show none.
    """
    for reply in (1, b"OK", b"0", [1]):
        assert has_written([None, reply, 0])
    assert not has_written([0, None, ReplyError("MOVED 1 10.0.0.2:7001")])


def test_a_mark_leaves_nothing_behind() -> None:
    """
    It is written and removed, in the slot of its tag.
    """
    assert [b"SET", b"cg!mark:{7}", b"UNLINK", b"cg!mark:{7}"] == words(mark(b"7"))


def test_how_many_replicas_follow() -> None:
    """
    As the owner counts them; one that is none, or does not say, counts none.
    """
    assert 2 == read_connected(b"# Replication\r\nrole:master\r\nconnected_slaves:2\r\n")
    assert 0 == read_connected(b"role:master\r\n")
    assert read_connected(b"role:slave\r\nconnected_slaves:2\r\n") is None
    assert read_connected(ReplyError("NOPERM")) is None


def test_what_is_said_of_what_falls_short() -> None:
    """
    Where, how far, and why; of several parts of a batch it is the least that all have.
    """
    pledge = Pledge(BOTH)
    one = not_durable(pledge, Kept(1, disk=True), 1, HERE, 5)
    assert "10.0.0.1:7001 has applied it, and may lose it: after 5 s 1 of the 2 replicas" in str(one)
    assert "and 1 are connected (see `cachegrid status`)" in str(one)
    other = not_durable(pledge, Kept(2, disk=False), None, HERE, 5)
    assert "the owner's disk, which may be slow or full" in str(other)
    assert "replicas" not in str(other)
    assert one is merged([one])
    both = merged([one, other])
    assert isinstance(both, NotDurable)
    assert (1, 2, False) == (both.replicas, both.wanted, both.on_disk)
    assert str(both).startswith(str(one))
    assert "1 more parts of the batch" in str(both)
    assert merged([not_durable(Pledge(Durability(1)), Kept(0, disk=False), 0, HERE, 1)] * 2).on_disk is None
