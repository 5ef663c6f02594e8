"""Which grids run on this host: read from the state folder, believed only while their processes live."""

from __future__ import annotations

from pathlib import Path

from cachegrid.cluster.processes import is_running
from cachegrid.cluster.state import GridState, MemberState, load, machine_name, names, state_root
from cachegrid.errors import GridError

__all__ = ["find", "has_died", "pid_of", "running"]


def find(name: str = "default", *, root: Path | None = None) -> GridState | None:
    """
    The grid of that name if a member of it runs on this host, else None. Asks no member: about 0.1 ms.

    One that has members on other hosts is there as well while none of it runs here.
    """
    state = load(root or state_root(), name)
    if state is None or not state.ready or state.machine != machine_name():
        return None
    return state if state.peers or any(pid_of(member) for member in state.members) else None


def has_died(name: str = "default", *, root: Path | None = None) -> bool:
    """Whether a grid of that name was started on this host, and neither runs nor was stopped: all its members died."""
    try:
        state = load(root or state_root(), name)
    except GridError:
        return False
    if state is None or not state.ready or state.persist or state.spread or state.machine != machine_name():
        return False
    return not any(pid_of(member) for member in state.members)


def running(*, root: Path | None = None) -> list[GridState]:
    """Every grid of this user that runs on this host, by name; a folder that cannot be read is passed over."""
    found: list[GridState] = []
    for name in names(root or state_root()):
        try:
            state = find(name, root=root)
        except GridError:
            continue
        found += [state] if state else []
    return found


def pid_of(member: MemberState) -> int:
    """The id of a member's process, 0 if it has none; a start that was cut short left it in the pid file only."""
    if is_running(member.pid, member.conf):
        return member.pid
    try:
        noted = int((member.folder / "pid").read_text())
    except (OSError, ValueError):
        return 0
    return noted if noted != member.pid and is_running(noted, member.conf) else 0
