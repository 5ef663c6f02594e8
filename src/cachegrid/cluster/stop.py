"""End a grid, or one member of it."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from cachegrid.cluster.admin import connect_to
from cachegrid.cluster.find import pid_of
from cachegrid.cluster.lock import locked
from cachegrid.cluster.processes import is_running, send_signal
from cachegrid.cluster.state import GridState, MemberState, checked_name, load, machine_name, state_root
from cachegrid.errors import EngineError, GridError, GridNotFound

__all__ = ["end_members", "kill", "stop"]

PAUSE = 0.002
ASKED, TOLD, KILLED = 0.0, 5.0, 15.0  # seconds after which a member is asked to leave, told to, and killed


def stop(name: str = "default", *, purge: bool = False, root: Path | None = None) -> None:
    """
    End every member of a grid and wait until they are gone; every process that uses the grid loses it.

    A grid that is not kept on disk leaves nothing behind. One that is keeps its folder, from which `start` resumes it,
    unless `purge`. Raises `GridNotFound` if there is neither a grid nor a folder of that name.
    """
    root = root or state_root()
    folder = root / checked_name(name)
    if not folder.exists():
        raise GridNotFound(f"there is no grid {name!r} in {root}")
    with locked(root, name):
        state = load(root, name)
        if state is None:  # another process has just removed it, or its start did not get far
            shutil.rmtree(folder, ignore_errors=True)
            return
        if state.machine != machine_name() and not purge:
            raise GridError(f"grid {name!r} was started on host {state.machine!r} and can only be stopped there")
        end_members(state, state.members)
        if purge or not state.persist or not state.ready:
            shutil.rmtree(folder)


def kill(state: GridState, index: int) -> bool:
    """SIGKILL a member by its index, as a crash would; False if it was not running. Returns when the process is gone."""
    member = state.members[index]
    pid = pid_of(member)
    if not send_signal(pid, member.conf, signal.SIGKILL):
        return False
    while is_running(pid, member.conf):
        time.sleep(PAUSE)
    return True


def end_members(state: GridState, members: Iterable[MemberState]) -> None:
    """Let members end, and wait until all are gone; whoever does not listen is told by signal, and then killed."""
    # Replicas first: an owner that left before them would have them elect another.
    order = sorted(members, key=lambda member: member.role == "owner")
    left = {member.index: (member, pid) for member in order if (pid := pid_of(member))}
    for member, pid in left.values():
        send_signal(pid, member.conf, signal.SIGCONT)  # one that was stopped hears nothing
        _ask_to_leave(state, member)
    begun = time.monotonic()
    escalation = [(TOLD, signal.SIGTERM), (KILLED, signal.SIGKILL)]
    while left := {index: (member, pid) for index, (member, pid) in left.items() if is_running(pid, member.conf)}:
        if escalation and time.monotonic() - begun > escalation[0][0]:
            _, number = escalation.pop(0)
            for member, pid in left.values():
                send_signal(pid, member.conf, number)
        time.sleep(PAUSE)


def _ask_to_leave(state: GridState, member: MemberState) -> None:
    # NOW: replicas that lag are not waited for, they are ending too. Without FORCE a server that cannot
    # write its last entries to disk stays, until it is told by signal.
    words = ("SHUTDOWN", "NOW") if state.persist else ("SHUTDOWN", "NOSAVE", "NOW", "FORCE")
    try:
        with connect_to(state, member) as admin:
            admin.send(*words)
    except EngineError:
        send_signal(pid_of(member), member.conf, signal.SIGTERM)
