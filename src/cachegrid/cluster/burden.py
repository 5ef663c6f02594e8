"""What more members ask of a host, and whether it has that, or fewer of a grid: said before, as a warning."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cachegrid._core.units import size_text
from cachegrid.cluster.memory import memory_there
from cachegrid.cluster.outgoing import at_risk
from cachegrid.cluster.plan import counted

__all__ = ["CROWD", "burdens", "memory_free", "port_burdens", "processors", "vote_lacks"]

CROWD = 8  # members for each processor: beyond that they keep each other waiting
VOTERS = 3  # owners of whom one may be lost, and the others are most of them
EMPTY = 7_500_000  # bytes that a member takes with nothing in it
FREE = Path("/proc/meminfo")


def burdens(new: int, *, there: int = 0, memory: int | None = None, replicas: int = 0) -> list[str]:
    """
    Why so many new members may be too many here, beside those that are `there`; nothing if there is room.

    `memory` is what the entries of the new owners may take, and each of their `replicas` takes the same again.
    """
    found: list[str] = []
    count, total = processors(), new + there
    if new and total > CROWD * count:
        on = counted(count, "processor")
        found.append(f"{total} members are many for {on}: each is a process, and they keep each other waiting")
    asked, has, free = max((memory or 0) * (1 + replicas), new * EMPTY), memory_there(), memory_free()
    if asked > has:
        found.append(
            f"new members may take {size_text(asked)} of memory, copies included, and there is {size_text(has)}"
        )
    elif asked > free:
        found.append(
            f"new members may take {size_text(asked)} of memory, copies included, and {size_text(free)} is free"
        )
    return found


def vote_lacks(owners: int, replicas: int) -> list[str]:
    """
    Why replicas would take over from nobody; nothing where they do, or where there are none.

    >>> vote_lacks(2, 1), vote_lacks(3, 1)
    (['with 2 owners no replica takes over when one is lost: most owners have to agree to that, so it takes three'], [])
    """
    if not replicas or owners >= VOTERS:
        return []
    why = "most owners have to agree to that, so it takes three"
    return [f"with {counted(owners, 'owner')} no replica takes over when one is lost: {why}"]


def port_burdens(ports: Iterable[int]) -> list[str]:
    """Why these ports may be taken when a member is started again."""
    if risky := at_risk(ports):
        named = (
            f"port {risky[0]} is"
            if len(risky) == 1
            else f"ports {', '.join(map(str, risky[:3]))}{' and more' if len(risky) > 3 else ''} are"
        )
        why = "those that this host gives to outgoing connections, and may be taken when a member is started again"
        return [f"{named} among {why}: choose others, or keep them with net.ipv4.ip_local_reserved_ports"]
    return []


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_free(facts: Path = FREE) -> int:
    """Bytes that may be taken without another having less; all that is there where that cannot be known."""
    try:
        lines = dict(line.split(":", 1) for line in facts.read_text().splitlines() if ":" in line)
        return min(int(lines["MemAvailable"].split()[0]) * 1024, memory_there())
    except (OSError, KeyError, ValueError, IndexError):
        return memory_there()
