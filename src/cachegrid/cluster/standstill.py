"""Members whose process is there, and that answer nobody, or as others: what changes a grid would wait in vain."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from cachegrid.cluster.admin import Loading, connect_to
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.processes import is_stopped
from cachegrid.cluster.state import GridState, MemberState
from cachegrid.cluster.view import is_itself, node_rows
from cachegrid.errors import EngineError, EngineTimeout, GridError

__all__ = ["answers", "as_another", "refuse_still", "way_on"]

PATIENCE = 3.0  # seconds: the longest that a server which copies itself, on a busy host, may need for an answer


def refuse_still(state: GridState) -> None:
    """
    Raise GridError if members of this host stand still, after 3 seconds, or are not who they were.

    It says which, why, and what to do.
    """
    with ThreadPoolExecutor(len(state.members)) as pool:
        if told := [what for what in pool.map(_trouble, [state] * len(state.members), state.members) if what]:
            raise GridError("; ".join(told))


def answers(state: GridState, member: MemberState) -> bool:
    """Whether a member answers when it is asked by itself, though it may say that it is still loading its data."""
    try:
        with connect_to(state, member) as admin:
            admin.run("PING")
    except EngineError as error:
        return isinstance(error, Loading)
    return True


def way_on(pid: int, option: str = "") -> str:
    """
    Why a process that is there does not answer, as far as can be told, and what to do about it.

    `option` says to commands which grid is meant.
    """
    anew = f"`kill -9 {pid}` and then `cachegrid heal{option}` start it anew"
    if is_stopped(pid):
        return f"it was stopped (SIGSTOP), and `kill -CONT {pid}` lets it go on; or {anew}"
    return f"it may wait for memory (is the host swapping?) or for a disk; if it does not come back, {anew}"


def as_another(state: GridState, member: MemberState, pid: int) -> str:
    """
    What to do about a member that answers under another id than it was given, and owns nothing; else nothing.

    `CLUSTER RESET HARD` gives it one. Nobody knows it by that, and it has no entries. Raises an EngineError.
    """
    with connect_to(state, member, timeout=PATIENCE) as admin:
        rows = node_rows(admin)
    if is_itself(member, rows) or any(row.slots for row in rows.values() if "myself" in row.flags):
        return ""
    anew = f"`kill -9 {pid}`, `rm -r {member.folder}` and then `cachegrid heal{state.option}` start it anew"
    return f"{member.address} has another id than it was given (CLUSTER RESET HARD?) and no part in the grid: {anew}"


def _trouble(state: GridState, member: MemberState) -> str:
    """Why the grid cannot be changed while the process of a member is as it is; empty if it can be."""
    if not (pid := pid_of(member)):
        return ""
    try:
        what = as_another(state, member, pid)
        return f"member {what}" if what else ""
    except EngineTimeout:
        return f"member {member.address} does not answer, and its process is there: {way_on(pid, state.option)}"
    except EngineError:  # it starts, or ends, or reads its entries: it is at work
        return ""
