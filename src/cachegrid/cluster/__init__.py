"""Grids of real members on this host: started, found, described and ended."""

from __future__ import annotations

from cachegrid.cluster.find import find, running
from cachegrid.cluster.look import members
from cachegrid.cluster.plan import Shape, TlsFiles
from cachegrid.cluster.start import embedded, start
from cachegrid.cluster.state import GridState, MemberState
from cachegrid.cluster.stop import kill, stop

__all__ = [
    "GridState",
    "MemberState",
    "Shape",
    "TlsFiles",
    "embedded",
    "find",
    "kill",
    "members",
    "running",
    "start",
    "stop",
]
