"""What a member tells about itself in INFO, as facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from cachegrid.engines.facts import MemberFacts
from cachegrid.engines.valkey.slots import Endpoint

__all__ = ["Node", "count_lag", "read_facts", "read_nodes", "silent_facts"]


class Node(NamedTuple):
    """A member as its cluster knows it."""

    endpoint: Endpoint
    id: str = ""
    role: str = "owner"
    owner_id: str = ""
    slots: int = 0
    offset: int = 0  # in the stream of writes that replicas follow


def read_nodes(text: bytes, asked: Endpoint) -> Iterator[Node]:
    """
    The members in a reply to CLUSTER NODES, those too that do not answer at the moment.

    >>> line = b"07c3 10.0.0.1:7001@17001,,shard-id=e1 myself,master - 0 0 2 connected 0-99 200"
    >>> next(read_nodes(line, Endpoint("10.0.0.1", 7001)))
    Node(endpoint=Endpoint(host='10.0.0.1', port=7001), id='07c3', role='owner', owner_id='', slots=101, offset=0)
    """
    for line in text.decode().splitlines():
        number, where, flags, owner, _, _, _, _, *ranges = line.split()
        host, _, port = where.partition("@")[0].rpartition(":")
        if "noaddr" in flags or "handshake" in flags or not port.isdigit():
            continue
        yield Node(
            asked.beside(host, int(port)),
            number,
            "replica" if "slave" in flags else "owner",
            "" if owner == "-" else owner,
            sum(_width(span) for span in ranges if not span.startswith("[")),
        )


def count_lag(found: list[tuple[Node, MemberFacts]]) -> list[MemberFacts]:
    """The facts with each replica's lag: how many bytes of its owner's writes it has not seen. Owners come first."""
    offsets = {node.id: node.offset for node, _ in found}
    facts = [
        replace(fact, lag_bytes=max(offsets.get(node.owner_id, node.offset) - node.offset, 0) if fact.up else 0)
        for node, fact in found
    ]
    return sorted(facts, key=lambda fact: (fact.role, fact.host, fact.port))


def _width(span: str) -> int:
    first, _, last = span.partition("-")
    return int(last or first) - int(first) + 1


def _read_info(text: bytes) -> dict[str, str]:
    """The fields of an INFO reply."""
    lines = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def read_facts(node: Node, replies: list[object]) -> tuple[Node, MemberFacts]:
    """The facts in a member's replies to INFO and DBSIZE, and how far it is in the stream of writes."""
    info, entries = replies
    said = _read_info(info) if isinstance(info, bytes) else {}

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
        entries=entries if isinstance(entries, int) else 0,
        memory_bytes=number("used_memory"),
        memory_limit_bytes=number("maxmemory"),
        link_up=said.get("master_link_status", "up") == "up",
        hits=number("keyspace_hits"),
        misses=number("keyspace_misses"),
    )
    offset = number("slave_repl_offset" if "slave_repl_offset" in said else "master_repl_offset")
    return node._replace(offset=offset), facts


def silent_facts(node: Node) -> tuple[Node, MemberFacts]:
    """The facts of a member that does not answer."""
    host, port = node.endpoint
    return node, MemberFacts(
        host=host, port=port, role=node.role, id=node.id, owner_id=node.owner_id, slots=node.slots, up=False
    )
