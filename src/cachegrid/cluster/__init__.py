"""
Grids of real members on this host: started, found, described and ended.

>>> from cachegrid.cluster import find
>>> find("no-such-grid") is None
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cachegrid.cluster.doctor.checks import findings
    from cachegrid.cluster.doctor.look import examine
    from cachegrid.cluster.growth import add
    from cachegrid.cluster.hosts.joining import Part, join
    from cachegrid.cluster.hosts.leaving import leave
    from cachegrid.cluster.hosts.tokens import issue
    from cachegrid.cluster.keeping.backup import backup
    from cachegrid.cluster.keeping.restore import restore
    from cachegrid.cluster.mending import heal, lost_slots
    from cachegrid.cluster.operation import Operation, Way
    from cachegrid.cluster.plan import MemberTls, Shape
    from cachegrid.cluster.presence import find, running
    from cachegrid.cluster.replacing import replace
    from cachegrid.cluster.rolling import restart
    from cachegrid.cluster.shrinking import remove
    from cachegrid.cluster.shutdown import kill, stop
    from cachegrid.cluster.startup import embedded, start
    from cachegrid.cluster.state import GridState, MemberState
    from cachegrid.cluster.takeover import failover
    from cachegrid.cluster.view import members

__all__ = [
    "GridState",
    "MemberState",
    "MemberTls",
    "Operation",
    "Part",
    "Shape",
    "Way",
    "add",
    "backup",
    "embedded",
    "examine",
    "failover",
    "find",
    "findings",
    "heal",
    "issue",
    "join",
    "kill",
    "leave",
    "lost_slots",
    "members",
    "remove",
    "replace",
    "restart",
    "restore",
    "running",
    "start",
    "stop",
]

# Where each name is; loaded when it is asked for, so that who only finds a grid need not load what starts one.
_HOMES = {
    "GridState": "state",
    "MemberState": "state",
    "Shape": "plan",
    "MemberTls": "plan",
    "Operation": "operation",
    "Part": "hosts.joining",
    "Way": "operation",
    "add": "growth",
    "backup": "keeping.backup",
    "embedded": "startup",
    "examine": "doctor.look",
    "failover": "takeover",
    "find": "presence",
    "findings": "doctor.checks",
    "heal": "mending",
    "issue": "hosts.tokens",
    "join": "hosts.joining",
    "kill": "shutdown",
    "leave": "hosts.leaving",
    "lost_slots": "mending",
    "members": "view",
    "remove": "shrinking",
    "replace": "replacing",
    "restart": "rolling",
    "restore": "keeping.restore",
    "running": "presence",
    "start": "startup",
    "stop": "shutdown",
}


if not TYPE_CHECKING:  # a checker would believe that every name is here

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'cachegrid.cluster' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"cachegrid.cluster.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
