"""What follows a write that has to last, on the same connection, and what the answers to it mean: pure decisions."""

from __future__ import annotations

import re
from typing import NamedTuple

from libvalkey import ReplyError

from cachegrid._core.durability import Durability
from cachegrid.engines.valkey.commands import pack
from cachegrid.engines.valkey.facts import read_info, read_rows
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.trouble import LinkError, refusal
from cachegrid.errors import CacheError, EngineError, NotDurable, Unsupported

__all__ = [
    "ASK_FOLLOWERS",
    "Kept",
    "Pledge",
    "has_written",
    "is_copying",
    "mark",
    "merged",
    "not_durable",
    "read_answering",
    "read_connected",
    "read_living",
]

ASK_FOLLOWERS = pack(b"INFO", b"replication") + pack(b"CLUSTER", b"NODES")
_GONE = frozenset({"fail", "noaddr", "handshake"})
_FOLLOWER = re.compile(r"slave\d+")
_LAG = re.compile(r"state=online.*\blag=(\d+)")
_NO_FILE = "appendonly is disabled"


class Kept(NamedTuple):
    """How far what an owner has applied has come."""

    replicas: int
    disk: bool


class Pledge:
    """What is asked of an owner after a write: `replies` answers, each within the milliseconds that it was given."""

    def __init__(self, need: Durability) -> None:
        self.need = need
        self.replies = bool(need.replicas) + need.disk

    def request(self, ms: int) -> bytes:
        """Ask how far it is, and wait at most so long until that is enough."""
        ask = pack(b"WAIT", b"%d" % self.need.replicas, b"%d" % ms) if self.need.replicas else b""
        return ask + (pack(b"WAITAOF", b"1", b"0", b"%d" % ms) if self.need.disk else b"")

    def read(self, replies: list[object], asked: Endpoint) -> Kept:
        """What the answers say. Raises LinkError where the member can no longer say it, and EngineError."""
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise _trouble(reply, asked)
        replicas = replies[0] if self.need.replicas else 0
        on_disk = replies[-1] if self.need.disk else [0]
        match replicas, on_disk:
            case int(count), [int(local), *_]:
                return Kept(count, local > 0)
            case other:
                raise EngineError(f"{asked} answered what it was not asked for: {other!r:.80}", where=str(asked))

    def is_met(self, kept: Kept) -> bool:
        """Whether it has come as far as it shall."""
        return kept.replicas >= self.need.replicas and kept.disk >= self.need.disk


def has_written(replies: list[object]) -> bool:
    """
    Whether one of the answers to some writes shows that its command has changed something.

    >>> has_written([0, None]), has_written([0, 1]), has_written([b"OK"])
    (False, True, True)
    """
    return any(reply and not isinstance(reply, Exception) for reply in replies)


def mark(tag: bytes) -> bytes:
    """
    A write that leaves nothing behind, to an address with this tag.

    A member knows of each connection only how far its own last write has come. One that has changed nothing, such as
    the second `delete` of an entry, says nothing of the first: this goes in between then.
    """
    key = b"cg!mark:{%b}" % tag
    return pack(b"SET", key, b"") + pack(b"UNLINK", key)


def read_connected(reply: object) -> int | None:
    """How many replicas follow an owner, by its INFO; None if it is no owner, or does not say."""
    said = read_info(reply.decode(errors="replace")) if isinstance(reply, bytes) else {}
    if said.get("role") != "master":
        return None
    return int(said.get("connected_slaves", "0"))


def read_answering(reply: object) -> int:
    r"""
    How many of those that follow an owner have told it lately how far they are, by its INFO: they do each second.

    >>> read_answering(b"role:master\r\nslave0:ip=::1,port=1,state=online,offset=7,lag=1\r\nslave1:state=online,lag=4")
    1
    """
    said = read_info(reply.decode(errors="replace")) if isinstance(reply, bytes) else {}
    lags = [_LAG.search(told) for name, told in said.items() if _FOLLOWER.fullmatch(name)]
    return sum(lag is not None and int(lag[1]) <= 1 for lag in lags)


def is_copying(reply: object) -> bool:
    r"""
    Whether somebody is being given all that an owner has, by its INFO: such a one has just come, whoever knows of it.

    >>> is_copying(b"role:master\r\nslave0:ip=::1,port=1,state=wait_bgsave,offset=0,lag=0")
    True
    >>> is_copying(b"role:master\r\nslave0:ip=::1,port=1,state=online,offset=7,lag=4")
    False
    """
    said = read_info(reply.decode(errors="replace")) if isinstance(reply, bytes) else {}
    return any("state=online" not in told for name, told in said.items() if _FOLLOWER.fullmatch(name))


def read_living(reply: object, connected: int | None) -> int | None:
    r"""
    How many members could follow an owner, by its CLUSTER NODES: nobody takes them for dead.

    Where it does not say, those that are connected. Right after a planned failover the old owner counts, too, whom the
    new one knows as one without slots.

    >>> read_living(b"a1 :1@2 myself,master - 0 0 3 connected 0-9\nb2 :3@4 master,fail - 0 0 2 connected", 1)
    0
    >>> read_living(b"a1 :1@2 myself,master - 0 0 3 connected 0-9\nb2 :3@4 slave a1 0 0 2 connected", 0)
    1
    """
    if not isinstance(reply, bytes):
        return connected
    rows = read_rows(reply.decode().splitlines()).values()
    mine = next(row.id for row in rows if "myself" in row.flags)
    able = [row for row in rows if row.owner_id == mine or (row.is_owner and not row.slots)]
    return sum(row.id != mine and row.flags.isdisjoint(_GONE) for row in able)


def not_durable(pledge: Pledge, kept: Kept, connected: int | None, asked: Endpoint, seconds: float) -> NotDurable:
    """The error to raise for a write that was applied, and has not come as far as it shall."""
    need, why = pledge.need, []
    if kept.replicas < need.replicas:
        have = f"{kept.replicas} of the {need.replicas} replicas that were asked for had it"
        if connected is not None and connected < need.replicas:
            have += f", and {connected} are connected (see `cachegrid status`)"
        why.append(have)
    if kept.disk < need.disk:
        why.append("it was not on the owner's disk, which may be slow or full")
    return NotDurable(
        f"{asked} has applied it, and may lose it: after {seconds:.2g} s {'; '.join(why)}",
        where=str(asked),
        replicas=kept.replicas,
        wanted=need.replicas,
        on_disk=kept.disk if need.disk else None,
    )


def merged(shorts: list[NotDurable]) -> NotDurable:
    """One error for all that fell short in one call: the first, since the others say the same of other owners."""
    first, count = shorts[0], len(shorts)
    if count == 1:
        return first
    return NotDurable(
        f"{first} (and so it is with {count - 1} more parts of the batch)",
        where=first.where,
        replicas=min(short.replicas for short in shorts),
        wanted=first.wanted,
        on_disk=None if first.on_disk is None else all(short.on_disk for short in shorts),
    )


def _trouble(reply: ReplyError, asked: Endpoint) -> CacheError | LinkError:
    text = str(reply)
    if text.startswith("UNBLOCKED") or "replica instances" in text:  # another one owns its slots by now
        return LinkError(asked, "is no owner any more", sent=True)
    if _NO_FILE in text:
        return Unsupported(
            f'{asked} keeps no append-only file, and so durability="disk" cannot be had of it; '
            "start the grid with `cachegrid up --persist`, and servers of your own with `appendonly yes`",
            where=str(asked),
        )
    if "unknown command" in text:
        return Unsupported(
            f'{asked} cannot tell what is on its disk, which durability="disk" needs ({text:.60}); '
            "use Valkey, or Redis 7.2 or newer",
            where=str(asked),
        )
    return refusal(reply, asked)
