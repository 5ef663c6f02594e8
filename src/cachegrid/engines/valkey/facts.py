"""What members tell about themselves in INFO, and about each other in CLUSTER NODES, as facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from cachegrid.engines.facts import MemberFacts
from cachegrid.engines.valkey.slots import Endpoint

__all__ = [
    "Health",
    "Node",
    "NodeRow",
    "count_lag",
    "read_facts",
    "read_health",
    "read_info",
    "read_nodes",
    "read_rows",
    "silent_facts",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """One line of CLUSTER NODES, or of a nodes.conf: a member as another one, or itself, sees it."""

    id: str
    host: str = ""  # empty if the member that tells does not know it
    port: int = 0
    flags: frozenset[str]
    owner_id: str  # empty for an owner
    epoch: int
    slots: tuple[range, ...]

    @property
    def is_owner(self) -> bool:
        """Whether it is seen as an owner."""
        return "master" in self.flags


class Node(NamedTuple):
    """A member as its cluster knows it."""

    endpoint: Endpoint
    id: str = ""
    role: str = "owner"
    owner_id: str = ""
    slots: int = 0
    offset: int = 0  # in the stream of writes that replicas follow


class Health(NamedTuple):
    """What a member says of its cluster."""

    is_well: bool  # it is with the majority: what it says of the others, and of itself, is not out of date
    epoch: int  # of the routes that it knows; 0 where it does not say


def read_health(reply: object) -> Health:
    r"""
    What a reply to CLUSTER INFO tells; a member that may not tell is taken for well.

    >>> read_health(b"cluster_state:fail\r\ncluster_current_epoch:7\r\n")
    Health(is_well=False, epoch=7)
    """
    if isinstance(reply, Exception):
        return Health(is_well=True, epoch=0)
    text = reply.decode() if isinstance(reply, bytes) else str(reply)
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return Health(facts.get("cluster_state") == "ok", int(facts.get("cluster_current_epoch", 0)))


def read_nodes(text: bytes, asked: Endpoint) -> Iterator[Node]:
    """
    The members in a reply to CLUSTER NODES, those too that do not answer at the moment.

    >>> line = b"07c3 10.0.0.1:7001@17001,,shard-id=e1 myself,master - 0 0 2 connected 0-99 200"
    >>> next(read_nodes(line, Endpoint("10.0.0.1", 7001)))
    Node(endpoint=Endpoint(host='10.0.0.1', port=7001), id='07c3', role='owner', owner_id='', slots=101, offset=0)
    """
    for row in read_rows(text.decode().splitlines()).values():
        if row.port == 0 or row.flags & {"noaddr", "handshake"}:
            continue
        role = "replica" if "slave" in row.flags else "owner"
        yield Node(asked.beside(row.host, row.port), row.id, role, row.owner_id, sum(map(len, row.slots)))


def read_rows(lines: Iterable[str]) -> dict[str, NodeRow]:
    """The members that lines of CLUSTER NODES name, by id. ValueError or IndexError for a torn line."""
    rows = [_row(line.split()) for line in lines if line.strip()]
    return {row.id: row for row in rows}


def _row(words: list[str]) -> NodeRow:
    host, _, port = words[1].partition(",")[0].partition("@")[0].rpartition(":")
    return NodeRow(
        id=words[0],
        host=host,
        port=int(port) if port.isdigit() else 0,
        flags=frozenset(words[2].split(",")),
        owner_id="" if words[3] == "-" else words[3],
        epoch=int(words[6]),
        slots=tuple(_span(word) for word in words[8:] if not word.startswith("[")),
    )


def _span(word: str) -> range:
    first, _, last = word.partition("-")
    return range(int(first), int(last or first) + 1)


def count_lag(found: list[tuple[Node, MemberFacts]]) -> list[MemberFacts]:
    """The facts with each replica's lag: how many bytes of its owner's writes it has not seen. Owners come first."""
    offsets = {node.id: node.offset for node, _ in found}
    facts = [
        replace(fact, lag_bytes=max(offsets.get(node.owner_id, node.offset) - node.offset, 0) if fact.up else 0)
        for node, fact in found
    ]
    return sorted(facts, key=lambda fact: (fact.role, fact.host, fact.port))


def read_info(text: str) -> dict[str, str]:
    """The fields of an INFO reply, by name."""
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value for name, colon, value in lines if colon}


def read_facts(node: Node, replies: list[object]) -> tuple[Node, MemberFacts]:
    """The facts in a member's replies to INFO and DBSIZE, and how far it is in the stream of writes."""
    info, keys = replies
    said = read_info(info.decode(errors="replace")) if isinstance(info, bytes) else {}

    def number(name: str) -> int:
        value = said.get(name, "0")
        return int(value) if value.lstrip("-").isdigit() else 0

    facts = MemberFacts(
        host=node.endpoint.host,
        port=node.endpoint.port,
        role=node.role,
        id=node.id,
        owner_id=node.owner_id,
        pid=number("process_id"),
        version=said.get("valkey_version") or said.get("redis_version", ""),
        slots=node.slots,
        entries=min(keys, _expiring(said)) if isinstance(keys, int) else 0,
        memory_bytes=number("used_memory"),
        memory_limit_bytes=number("maxmemory"),
        link_up=said.get("master_link_status", "up") == "up",
        hits=number("keyspace_hits"),
        misses=number("keyspace_misses"),
    )
    offset = number("slave_repl_offset" if "slave_repl_offset" in said else "master_repl_offset")
    return node._replace(offset=offset), facts


def _expiring(said: dict[str, str]) -> int:
    """
    How many keys have an end: all entries, those too that live for ages, and none of what an engine notes beside them.

    >>> _expiring({"db0": "keys=9,expires=6,avg_ttl=0"})
    6
    """
    databases = (value for name, value in said.items() if name.startswith("db") and name[2:].isdigit())
    return sum(int(count) for value in databases for count in re.findall(r"\bexpires=(\d+)", value))


def silent_facts(node: Node) -> tuple[Node, MemberFacts]:
    """The facts of a member that does not answer."""
    host, port = node.endpoint
    return node, MemberFacts(
        host=host,
        port=port,
        role=node.role,
        id=node.id,
        owner_id=node.owner_id,
        slots=node.slots,
        up=False,
        link_up=False,
    )
