"""How much memory a grid may take when nobody says it: a share of what this host, or this container, has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cachegrid.cluster.plan import LEAST_MEMORY, MIB, Shape

__all__ = ["default_memory", "memory_there"]

SHARE = 4  # the grid may take one part of so many
CONTROL = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def default_memory(shape: Shape, there: int) -> int:
    """
    Bytes for the entries of all owners: a quarter of the memory that is `there`, copies of replicas included.

    >>> default_memory(Shape(owners=1, replicas=0), 8 << 30) >> 20, default_memory(Shape(), 8 << 30) >> 20
    (2048, 1024)
    """
    share = there // SHARE // (1 + shape.replicas)
    return max(share // MIB * MIB, LEAST_MEMORY * shape.owners)


def memory_there(control: Path = CONTROL, own: Path = OWN_GROUP) -> int:
    """Bytes that programs like this one can use: the host's memory, or less where a container has a limit."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_limits(control, own)])


def _limits(control: Path, own: Path) -> Iterator[int]:
    """The limits of the control groups that this process is in; none where there are none."""
    with suppress(OSError):  # no Linux
        lines = own.read_text().splitlines()
        for _, kinds, group in (line.split(":", 2) for line in lines if line.count(":") >= 2):
            if kinds == "":
                yield from _limits_above(control, group, "memory.max")
            elif "memory" in kinds.split(","):
                yield from _limits_above(control / "memory", group, "memory.limit_in_bytes")


def _limits_above(top: Path, group: str, name: str) -> Iterator[int]:
    # A container often sees its own group as the top, under a name from outside.
    place = top / group.strip("/")
    for folder in {place, *place.parents, top}:
        with suppress(OSError, ValueError):  # not there, or "max"
            yield int((folder / name).read_text())
