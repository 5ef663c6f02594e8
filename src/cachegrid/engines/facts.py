"""What engines tell about their members: plain values, the same in both colours."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MemberFacts"]


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
