"""How members that do not answer come to do so again: the last lines of `up` and `status`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.standstill import answers, as_another, way_on
from cachegrid.engines.valkey.slots import SLOTS
from cachegrid.errors import EngineError

if TYPE_CHECKING:
    from cachegrid.cluster.state import GridState, MemberState
    from cachegrid.engines.facts import MemberFacts

__all__ = ["ways_back"]


def ways_back(state: GridState, facts: list[MemberFacts]) -> Iterator[str]:
    """
    What to do, and where, about members of a grid of this host that are not up; those that stand still are not dead.

    Nobody is told to kill one that answers.
    """
    silent = {member.id: member for member in facts if not member.up}
    doctor = f"cachegrid doctor{state.option}"
    for member in state.members:
        if member.id in silent and (pid := pid_of(member)):
            del silent[member.id]
            if answers(state, member):
                cut_off = f"{member.address} answers, though not for the grid: this host may be cut off; see {doctor}"
                yield _stranger(state, member, pid) or cut_off
            else:
                yield f"{member.address} does not answer, and its process is there: {way_on(pid, state.option)}"
    away = sorted({member.host for member in silent.values() if state.spread} - {state.host})
    is_covered = sum(member.slots for member in facts if member.up) == SLOTS
    if away and not is_covered and not any(member.up for member in facts if member.host != state.host):
        yield f"no member on another host answers: this host may be cut off; see {doctor}"
    elif away:
        yield f"{', '.join(away)} may be cut off; start dead members again there with: cachegrid up{state.option}"
    elif silent and any(pid_of(member) for member in state.members):
        yield f"start dead members again with: cachegrid heal{state.option}"
    elif silent:
        yield f"start dead members again with: cachegrid up {state.options}"


def _stranger(state: GridState, member: MemberState, pid: int) -> str:
    """What to do about one that answers as another than it was; empty if it does not."""
    try:
        return as_another(state, member, pid)
    except EngineError:
        return ""
