"""Members whose process is there, and that answer nobody: whatever changes a grid would wait for them in vain."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from cachegrid.cluster.admin import Loading, connect_to
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.processes import is_stopped
from cachegrid.cluster.state import GridState, MemberState
from cachegrid.errors import EngineError, EngineTimeout, GridError

__all__ = ["answers", "refuse_still", "way_on"]

PATIENCE = 3.0  # seconds: the longest that a server which copies itself, on a busy host, may need for an answer


def refuse_still(state: GridState) -> None:
    """Raise GridError, after 3 seconds, if members of this host stand still: which, why, and what to do."""
    with ThreadPoolExecutor(len(state.members)) as pool:
        pids = pool.map(_pid_if_still, [state] * len(state.members), state.members)
        still = [(member, pid) for member, pid in zip(state.members, pids, strict=True) if pid]
    if still:
        told = (
            f"member {member.address} does not answer, and its process is there: {way_on(pid, state.option)}"
            for member, pid in still
        )
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


def _pid_if_still(state: GridState, member: MemberState) -> int:
    """The id of the process of a member that stands still; else 0."""
    if not (pid := pid_of(member)):
        return 0
    try:
        connect_to(state, member, timeout=PATIENCE).close()
    except EngineTimeout:
        return pid
    except EngineError:  # it starts, or ends, or reads its entries: it is at work
        return 0
    return 0
