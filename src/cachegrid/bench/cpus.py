"""
Where processes run while one request follows another.

Client and owner take turns then, and never work at the same time. Left alone, the system sometimes keeps both on one
CPU and sometimes on two, and then each wakes the other from its sleep: 30 microseconds on a virtual machine, the
same for all clients and more than any of them costs. So for these scenarios both are kept on one CPU where that can
be had.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cachegrid.cluster import GridState, members

__all__ = ["can_choose", "side_by_side"]


def can_choose() -> bool:
    """Whether the system lets us say on which of several CPUs a process runs."""
    return hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1


@contextmanager
def side_by_side(state: GridState) -> Iterator[None]:
    """Keep this process and the owners on one CPU, and replicas on the others, where the system lets us."""
    if not can_choose():
        yield
        return
    cpus = os.sched_getaffinity(0)
    chosen = {max(cpus)}  # low ones have more of the system's own work
    facts = members(state)
    owners = [member.pid for member in facts if member.role == "owner"]
    replicas = [member.pid for member in facts if member.role != "owner"]
    try:
        _keep([os.getpid(), *owners], chosen)
        _keep(replicas, cpus - chosen)
        yield
    finally:
        _keep([os.getpid(), *owners, *replicas], cpus)


def _keep(pids: Iterable[int], cpus: set[int]) -> None:
    """Let all threads of some processes run on these CPUs only."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("[0-9]*"):
            with suppress(OSError):  # it has just ended
                os.sched_setaffinity(int(thread.name), cpus)
