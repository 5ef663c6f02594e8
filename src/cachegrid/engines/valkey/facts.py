"""What a member tells about itself in INFO, as facts."""

from __future__ import annotations

from cachegrid.engines.facts import MemberFacts
from cachegrid.engines.valkey.slots import Endpoint

__all__ = ["read_facts", "read_info"]


def read_info(text: bytes) -> dict[str, str]:
    """The fields of an INFO reply."""
    lines = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def read_facts(endpoint: Endpoint, role: str, slots: int, replies: list[object]) -> MemberFacts:
    """The facts in a member's replies to INFO and DBSIZE."""
    info, entries = replies
    said = read_info(info) if isinstance(info, bytes) else {}

    def number(name: str) -> int:
        value = said.get(name, "0")
        return int(value) if value.lstrip("-").isdigit() else 0

    follows = "master_link_status" in said
    lag = number("master_repl_offset") - number("slave_repl_offset") if follows else 0
    return MemberFacts(
        host=endpoint.host,
        port=endpoint.port,
        role=role,
        id=said.get("run_id", ""),
        pid=number("process_id"),
        version=said.get("valkey_version") or said.get("redis_version", ""),
        slots=slots,
        entries=entries if isinstance(entries, int) else 0,
        memory_bytes=number("used_memory"),
        memory_limit_bytes=number("maxmemory"),
        lag_bytes=max(lag, 0),
        link_up=said.get("master_link_status", "up") == "up",
        hits=number("keyspace_hits"),
        misses=number("keyspace_misses"),
    )
