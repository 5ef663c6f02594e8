"""What engines tell about their members: plain values, the same in both colours."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MemberFacts", "PathFacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFacts:
    """One server process of a grid, as it describes itself; `up` is False for one that does not answer."""

    host: str
    port: int
    role: str  # "owner" or "replica"
    up: bool = True
    id: str = ""  # the member's id in its cluster, if it has one
    owner_id: str = ""  # of a replica: whom it follows
    pid: int = 0
    version: str = ""
    slots: int = 0
    entries: int = 0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0  # 0: none
    lag_bytes: int = 0  # of a replica: how far behind its owner
    link_up: bool = True  # of a replica: it follows its owner right now
    hits: int = 0
    misses: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFacts:
    """How this process gets on with one owner, counted since it connected."""

    host: str
    port: int
    circuit: str = "closed"  # or "open": not asked for now; or "half-open": the next call tries
    opened: int = 0  # how often the circuit was opened
    requests: int = 0  # that were sent
    denied_retries: int = 0  # that had to wait for others' first
    waiting: int = 0  # requests under way; in sync code, connections in use
    is_quiet: bool = False  # it was asked something, and has not answered so far
