"""Members that the others no longer reach, though clients do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cachegrid.testing.loopback import LoopbackGrid

__all__ = ["CUTTABLE", "cut_off", "is_cut_off"]

CUTTABLE = {"enable-debug-command": "yes"}  # settings of a grid whose members can be cut off


@contextmanager
def cut_off(grid: LoopbackGrid, *indexes: int) -> Iterator[None]:
    """Let members hear nothing that others say, for the length of a block; on entry they know that they do not."""
    try:
        for index in indexes:
            _debug(grid, index, -2)  # every kind of packet
        grid.wait_for(lambda: all(is_cut_off(grid, index) for index in indexes))
        yield
    finally:
        for index in indexes:
            _debug(grid, index, -1)


def is_cut_off(grid: LoopbackGrid, index: int) -> bool:
    """Whether a member says that it is cut off."""
    with grid.admin(index) as admin:
        return "cluster_state:fail" in admin.text("CLUSTER", "INFO")


def _debug(grid: LoopbackGrid, index: int, kind: int) -> None:
    with grid.admin(index) as admin:
        admin.run("DEBUG", "DROP-CLUSTER-PACKET-FILTER", kind)
