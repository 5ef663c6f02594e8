"""What the members of a grid are doing: asked of each of them, and of the others about those that do not answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cachegrid.cluster.admin import Admin, connect_to
from cachegrid.cluster.state import GridState, MemberState
from cachegrid.engines.facts import MemberFacts
from cachegrid.errors import EngineError

__all__ = ["NodeRow", "members", "node_rows", "parse_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """One line of `CLUSTER NODES`: a member as another one, or itself, sees it."""

    id: str
    port: int
    flags: frozenset[str]
    owner_id: str  # empty for an owner
    epoch: int
    slots: tuple[range, ...]

    @property
    def is_owner(self) -> bool:
        """Whether it is seen as an owner."""
        return "master" in self.flags


def members(state: GridState, *, timeout: float = 0.5) -> list[MemberFacts]:
    """
    The facts of each member, owners first, replicas in the order of their owners; a dead one has `up=False`.

    A member that does not answer within `timeout` seconds counts as dead. Raises nothing for that.
    """
    asked = [(member, _ask(state, member, timeout)) for member in state.members]
    view = next((rows for _, (facts, rows, _) in asked if facts.up and rows), {})
    found = [_unheard(member, view.get(member.id)) if not facts.up else facts for member, (facts, _, _) in asked]
    offsets = {facts.id: offset for facts, (_, (_, _, offset)) in zip(found, asked, strict=True) if facts.up}
    return _in_order([_with_lag(facts, offsets) for facts in found])


def node_rows(admin: Admin) -> dict[str, NodeRow]:
    """The grid as one member sees it, by member id."""
    return parse_rows(admin.text("CLUSTER", "NODES").splitlines())


def parse_rows(lines: Iterable[str]) -> dict[str, NodeRow]:
    """The members that lines of `CLUSTER NODES` name, by id; a nodes.conf has such lines too."""
    rows = [_row(line.split()) for line in lines if line.strip()]
    return {row.id: row for row in rows}


def _row(words: list[str]) -> NodeRow:
    address = words[1].partition(",")[0].partition("@")[0]
    return NodeRow(
        id=words[0],
        port=int(address.rpartition(":")[2]),
        flags=frozenset(words[2].split(",")),
        owner_id="" if words[3] == "-" else words[3],
        epoch=int(words[6]),
        slots=tuple(_span(word) for word in words[8:] if not word.startswith("[")),
    )


def _span(word: str) -> range:
    start, _, end = word.partition("-")
    return range(int(start), int(end or start) + 1)


def _ask(state: GridState, member: MemberState, timeout: float) -> tuple[MemberFacts, dict[str, NodeRow], int]:
    """Its own facts, its view of the grid, and how far its replication has come (bytes)."""
    try:
        with connect_to(state, member, timeout=timeout) as admin:
            told = admin.facts("server", "memory", "stats", "replication")
            entries = admin.run("DBSIZE")
            rows = node_rows(admin)
    except EngineError:
        return MemberFacts(host=member.host, port=member.port, role=member.role, up=False), {}, 0
    mine = next(row for row in rows.values() if "myself" in row.flags)
    facts = MemberFacts(
        host=member.host,
        port=member.port,
        role="owner" if mine.is_owner else "replica",
        id=mine.id,
        owner_id=mine.owner_id,
        pid=int(told["process_id"]),
        version=told.get("valkey_version") or told["redis_version"],
        slots=sum(map(len, mine.slots)),
        entries=entries if isinstance(entries, int) else 0,
        memory_bytes=int(told["used_memory"]),
        memory_limit_bytes=int(told["maxmemory"]),
        link_up=mine.is_owner or told.get("master_link_status") == "up",
        hits=int(told["keyspace_hits"]),
        misses=int(told["keyspace_misses"]),
    )
    done = told["master_repl_offset"] if mine.is_owner else told.get("slave_repl_offset", "0")
    return facts, rows, int(done)


def _unheard(member: MemberState, seen: NodeRow | None) -> MemberFacts:
    """A member that does not answer, as the others see it."""
    role = member.role if seen is None else ("owner" if seen.is_owner else "replica")
    return MemberFacts(
        host=member.host,
        port=member.port,
        role=role,
        up=False,
        id=member.id,
        owner_id=seen.owner_id if seen else "",
        slots=sum(map(len, seen.slots)) if seen else 0,
        link_up=False,
    )


def _with_lag(facts: MemberFacts, offsets: dict[str, int]) -> MemberFacts:
    if facts.role == "owner" or facts.id not in offsets or facts.owner_id not in offsets:
        return facts
    # The owner was asked a moment before or after: a replica cannot be ahead of it.
    return replace(facts, lag_bytes=max(0, offsets[facts.owner_id] - offsets[facts.id]))


def _in_order(found: list[MemberFacts]) -> list[MemberFacts]:
    owners = [facts for facts in found if facts.role == "owner"]
    rank = {facts.id: index for index, facts in enumerate(owners)}
    replicas = [facts for facts in found if facts.role != "owner"]
    return owners + sorted(replicas, key=lambda facts: rank.get(facts.owner_id, len(found)))
