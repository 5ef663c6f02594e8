"""End a grid, or one member of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from pathlib import Path

from cachegrid.cluster.admin import connect_to
from cachegrid.cluster.files import has_entries, sweep
from cachegrid.cluster.identity import forget, remember
from cachegrid.cluster.lock import locked
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.processes import is_gone, send_signal, wait_gone
from cachegrid.cluster.state import (
    GridState,
    MemberState,
    Stage,
    checked_name,
    load,
    machine_name,
    purging,
    state_root,
)
from cachegrid.errors import EngineError, GridError, GridNotFound

__all__ = ["end_members", "kill", "stop"]

ASK_AGAIN = 0.5  # seconds
PATIENCE, PATIENCE_ON_DISK = 5.0, 60.0  # seconds until a member that does not leave is killed


def stop(name: str = "default", *, purge: bool = False, force: bool = False, root: Path | None = None) -> None:
    """
    End every member of a grid and wait until they are gone; every process that uses the grid loses it.

    A grid that is not kept on disk leaves only what programs know it by, its ports and secrets: they go on when one of
    that name is started again. One that is keeps its folder, from which `start` resumes it. `purge` leaves neither. Of
    a grid that is on other hosts, too, only the members of this one end, their owners handing over first, and it stays
    known here. Where an owner has nobody there to hand over to, and its entries would be lost, GridError is raised,
    unless that `force` is said, or no other host answers. Raises `GridNotFound` if there is nothing of that name.
    """
    root = root or state_root()
    folder = root / checked_name(name)
    if not folder.exists() and not (purge and forget(root, name)):
        raise GridNotFound(f"there is no grid {name!r} in {root}")
    with locked(root, name):
        _stop_locked(name, folder, purge=purge, force=force)


def _stop_locked(name: str, folder: Path, *, purge: bool, force: bool) -> None:
    root = folder.parent
    if purge:
        forget(root, name)
    if not folder.exists():
        return  # another process was faster, or it was only remembered
    state = _read(root, name)
    if state is None:
        if has_entries(folder) and not purge:
            raise GridError(f"the state of grid {name!r} in {folder} is damaged, and it has entries: {purging(name)}")
        sweep(folder)
        return
    if state.machine != machine_name() and not purge:
        raise GridError(f"grid {name!r} was started on host {state.machine!r}: stop it there; {purging(name)} here")
    if state.spread and state.ready:
        from cachegrid.cluster.hosts.leaving import hand_over  # what only grids across hosts need

        hand_over(state, is_loss_meant=force or (state.persist and not purge))
    end_members(state, state.members)
    if purge or not (state.persist or state.spread) or state.stage is Stage.STARTING:
        if state.ready and not purge:
            remember(state)
        sweep(folder)


def kill(state: GridState, index: int) -> bool:
    """SIGKILL a member by its index, as a crash would, and wait until it is gone; False if it was not running."""
    member = state.member(index)
    pid = pid_of(member)
    if not send_signal(pid, member.conf, signal.SIGKILL):
        return False
    return wait_gone([(pid, member.conf)])


def end_members(state: GridState, members: Iterable[MemberState]) -> None:
    """Let members end, and wait until all are gone; whoever does not listen is told by signal, and then killed."""
    # Replicas first: an owner that left before them would have them elect another.
    order = sorted(members, key=lambda member: member.role == "owner")
    left = [(member, pid) for member in order if (pid := pid_of(member))]
    begun = time.monotonic()
    while left:
        for member, pid in left:
            send_signal(pid, member.conf, signal.SIGCONT)  # one that was stopped hears nothing
            _ask_to_leave(state, member)
        wait_gone([(pid, member.conf) for member, pid in left], ASK_AGAIN)
        left = [(member, pid) for member, pid in left if not is_gone(pid, member.conf)]
        if time.monotonic() - begun > (PATIENCE_ON_DISK if state.persist else PATIENCE):
            for member, pid in left:
                send_signal(pid, member.conf, signal.SIGKILL)


def _read(root: Path, name: str) -> GridState | None:
    try:
        return load(root, name)
    except GridError:
        return None


def _ask_to_leave(state: GridState, member: MemberState) -> None:
    # NOW: replicas that lag are not waited for, they are ending too. Without FORCE an owner that cannot leave
    # without losing entries stays: while it writes them out for the first time, for one.
    try:
        with connect_to(state, member) as admin:
            role = admin.run("ROLE")
            keeps = state.persist and isinstance(role, list) and role[0] == b"master"
            admin.send("SHUTDOWN", *([] if state.persist else ["NOSAVE"]), "NOW", *([] if keeps else ["FORCE"]))
    except EngineError:
        send_signal(pid_of(member), member.conf, signal.SIGTERM)  # the same, for one that cannot be asked
