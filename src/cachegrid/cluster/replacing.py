"""A fresh member in the place of one that is there, which then leaves: its entries are copied before it goes."""

from __future__ import annotations

from dataclasses import replace as changed
from pathlib import Path

from cachegrid.cluster.agreement import rows_seen
from cachegrid.cluster.growth import bring_in, newcomer, thinnest_owner
from cachegrid.cluster.operation import Operation, Way, member_named, operating, refuse_spread
from cachegrid.cluster.ports import next_pairs
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.shrinking import leaver, let_go
from cachegrid.cluster.standstill import refuse_still
from cachegrid.cluster.state import GridState, MemberState, Phase, save
from cachegrid.cluster.takeover import hand_over
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.errors import GridError

__all__ = ["replace"]


def replace(name: str = "default", member: str = "", *, root: Path | None = None, way: Way | None = None) -> GridState:
    """
    Put a fresh member in the place of one of a grid of this host, while programs use it; `member` as for `remove`.

    The fresh one copies what the old one's owner has; in the place of an owner it then takes over, as planned. Only
    then the old one leaves. A dead replica leaves first, as it has nothing to give, and so does a dead owner whose
    replica has taken over. If the fresh one cannot be started the grid is as it was; interrupted later, the same call
    goes on. Raises as `remove`, and GridError for a dead owner whose slots nobody has taken over: `heal` is for that.
    """
    way = way or Way()
    with operating(name, root, way) as there:
        leaves = f"`cachegrid leave{there.option}` takes this one out of it"
        refuse_spread(there, f"{leaves}, and `cachegrid join` brings it in afresh")
        refuse_still(there)
        old, rows = member_named(there, member), rows_seen(there)
        _refuse_others(there, old)
        owner = _copied(there, old, rows)
        fresh = _begun(there, old, owner) or _fresh(there, owner)
        way.tell(_told(there, old, fresh, is_owner=owner == old))
        if way.is_rehearsal:
            return there
        if old.phase is Phase.LEAVING:
            return let_go(there, way)
        if not pid_of(old):
            there = let_go(_noted(there, old), way)  # noqa: PLW2901 - what is there has changed
            return _here(bring_in(there, _with(there, fresh), way), fresh)
        state = bring_in(there, _with(there, fresh), way)
        if rows_seen(state)[old.id].is_owner:
            state = hand_over(state, state.member(fresh.index), way)
        return let_go(_noted(_here(state, fresh), old), way)


def _refuse_others(state: GridState, old: MemberState) -> None:
    """Raise GridError while something else is under way."""
    for other in state.members:
        is_fresh = other.phase is Phase.JOINING and other.follows is not None
        is_old = other == old and other.role == "replica"
        if other.phase is not Phase.HERE and not is_fresh and not is_old:
            ends = "add" if other.phase is Phase.JOINING else f"remove {other.address}"
            raise GridError(f"{other.address} is {other.phase}: end that first, with `cachegrid {ends}{state.option}`")


def _copied(state: GridState, old: MemberState, rows: dict[str, NodeRow]) -> MemberState:
    """The owner that a fresh member in the place of this one is to copy."""
    row = rows.get(old.id)
    owner_id = old.id if row is None or row.is_owner else row.owner_id
    if not pid_of(old) and owner_id == old.id and not (row and row.slots):  # a replica has taken over from it
        owner_id = thinnest_owner(state, rows)
    owner = next((one for one in state.members if one.id == owner_id), None)
    if owner is None or not pid_of(owner):
        whose = "it is an owner that is dead" if owner == old else "its owner is dead"
        raise GridError(f"{old.address} cannot be replaced, as {whose}: `cachegrid heal{state.option}` starts it again")
    return owner


def _begun(state: GridState, old: MemberState, owner: MemberState) -> MemberState | None:
    """The fresh member that an earlier run has started; it may have taken over by now."""
    joining = (one for one in state.members if one.phase is Phase.JOINING)
    return next((one for one in joining if one.follows in {old.index, owner.index}), None)


def _fresh(state: GridState, owner: MemberState) -> MemberState:
    pairs = [(one.port, one.bus_port) for one in state.members]
    (ports,) = next_pairs(pairs, 1, state.members[0].host)
    return newcomer(state, ports, owner.index)


def _with(state: GridState, fresh: MemberState) -> GridState:
    return state if fresh in state.members else changed(state, members=(*state.members, fresh))


def _here(state: GridState, fresh: MemberState) -> GridState:
    """The grid with the fresh member as one like the others, written down."""
    here = (changed(one, phase=Phase.HERE) if one.index == fresh.index else one for one in state.members)
    state = changed(state, members=tuple(here))
    save(state)
    return state


def _noted(state: GridState, old: MemberState) -> GridState:
    """The grid with the note that the old one leaves, as a replica: the shape stays what it is."""
    members = (leaver(one, is_owner=False) if one.index == old.index else one for one in state.members)
    state = changed(state, members=tuple(members))
    save(state)
    return state


def _told(state: GridState, old: MemberState, fresh: MemberState, *, is_owner: bool) -> Operation:
    start = f"start {fresh.address}, which copies {old.address if is_owner else 'the same owner'}"
    end = f"end {old.address}, and let all others forget it"
    if old.phase is Phase.LEAVING:
        steps = [end]
    elif not pid_of(old):
        steps = [end, start]
    else:
        steps = [start, *([f"let it take over from {old.address}"] if is_owner else []), end]
    return Operation(grid=state.name, steps=tuple(steps), shape=state.shape)
