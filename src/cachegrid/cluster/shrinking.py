"""Members that leave a grid that runs: an owner gives its slots away first, and only then it and its replicas end."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cachegrid._core.units import size_text
from cachegrid.cluster.admin import connect_to
from cachegrid.cluster.agreement import agree, forget_everywhere, rows_seen, views, wait_until
from cachegrid.cluster.balance import moves
from cachegrid.cluster.burden import vote_lacks
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.growth import thinnest_owner
from cachegrid.cluster.loss import revival_steps
from cachegrid.cluster.moving import carry_out
from cachegrid.cluster.moving import settled as half_moved_settled
from cachegrid.cluster.operation import Operation, Way, member_named, memory_text, operating, refuse_spread
from cachegrid.cluster.plan import Shape
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.revival import heal
from cachegrid.cluster.shutdown import end_members
from cachegrid.cluster.standstill import refuse_still
from cachegrid.cluster.state import GridState, MemberState, Phase, save
from cachegrid.cluster.view import members
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.engines.valkey.slots import SLOTS
from cachegrid.errors import GridError

__all__ = ["leaver", "let_go", "remove"]


def remove(
    name: str = "default", member: str = "", *, root: Path | None = None, force: bool = False, way: Way | None = None
) -> GridState:
    """
    Take a member out of a grid of this host while programs use it; `member` is `host:port`, its port, or its id.

    An owner gives its slots to the other owners first; its replicas leave with it, and the grid may take so much less
    memory. A replica leaves alone, and only with `force` where its owner would then have fewer than the grid's shape
    says: `heal` would make it anew. No member ends while it owns a slot. Interrupted, the same call goes on. Raises
    ConfigError, GridNotFound, GridError where the member must stay, or an EngineError.
    """
    way = way or Way()
    with operating(name, root, way) as there:
        refuse_spread(there, f"`cachegrid leave{there.option}` takes all members of one out of it")
        refuse_still(there)
        state, rows = there, rows_seen(there)
        leaving = _leaving(state, member_named(state, member), rows, force=force)
        _refuse_full(state, leaving, rows, force=force)
        way.tell(_told(state, leaving, rows))
        if way.is_rehearsal:
            return state
        state = _noted(state, leaving, rows)
        save(state)  # whoever comes after us knows who is about to go
        if any(not pid_of(one) for one in state.members if one.phase is not Phase.LEAVING) or _owns(leaving, rows):
            state = heal(state, timeout=way.timeout, progress=way.progress)
        agree(state, way.timeout)
        grid = half_moved_settled(Contacts.of_state(state))
        staying = {one.id for one in state.members if one.phase is not Phase.LEAVING}
        into = [owner.id for owner in grid.owners if owner.id in staying]
        if any(owner.slots for owner in grid.owners if owner.id not in staying):
            _keep_roles(state)
            carry_out(grid, moves(grid.owned, into), progress=way.progress, pace=way.pace)
        return let_go(state, way)


def leaver(member: MemberState, is_owner: bool) -> MemberState:  # noqa: FBT001 - a fact, read beside its callers
    """The member with the note that it leaves, as an owner or as a replica."""
    return replace(member, phase=Phase.LEAVING, role="owner" if is_owner else "replica")


def let_go(state: GridState, way: Way) -> GridState:
    """
    End the members that are noted as leaving, let all others forget them, and remove their folders.

    Raises EngineTimeout, and ends nobody, while any of them owns a slot, or a slot has no owner that stays, in the eyes
    of any member.
    """
    leaving = [member for member in state.members if member.phase is Phase.LEAVING]
    staying = tuple(member for member in state.members if member.phase is not Phase.LEAVING)
    wait_until(lambda: _still_needed(state, leaving), way.timeout)
    end_members(state, leaving)
    way.progress("members ended", len(leaving), len(leaving))
    forget_everywhere(state, leaving)
    after = replace(state, members=staying, shape=_shape_without(state, leaving))
    save(after)
    for member in leaving:
        shutil.rmtree(member.folder, ignore_errors=True)
    return after


def _leaving(
    state: GridState, member: MemberState, rows: dict[str, NodeRow], *, force: bool
) -> tuple[MemberState, ...]:
    """The members that go when this one does. Raises GridError where it must stay."""
    begun = tuple(one for one in state.members if one.phase is Phase.LEAVING)
    if begun:
        if member not in begun:
            goes_on = f"cachegrid remove {begun[0].address}{state.option}"
            raise GridError(f"{begun[0].address} is leaving: end that first, with `{goes_on}`")
        return begun
    if not _counts_as_owner(state, member, rows):
        _refuse_thin(state, member, rows, force=force)
        return (member,)
    if sum(one.is_owner for one in rows.values()) < 2:
        raise GridError(
            f"{member.address} is the last owner of grid {state.name!r}: `cachegrid down{state.option}` ends the grid"
        )
    followers = (one for one in state.members if one.id in rows and rows[one.id].owner_id == member.id)
    return (member, *followers)


def _refuse_full(state: GridState, leaving: Sequence[MemberState], rows: dict[str, NodeRow], *, force: bool) -> None:
    """Raise GridError where what is there would not fit into the owners that stay; by force where these evict."""
    refuses = state.shape.when_full == "refuse" and all(one.phase is not Phase.LEAVING for one in leaving)
    if force and not refuses:
        return
    shape = _shape_without(state, [leaver(one, _counts_as_owner(state, one, rows)) for one in leaving])
    taken = sum(facts.memory_bytes for facts in members(state) if facts.role == "owner")
    if shape != state.shape and shape.memory is not None and taken > shape.memory:
        so = "entries would be evicted; `--force` does it all the same"
        if refuses:
            so = "it evicts nothing (--when-full refuse), and so the owner must stay until entries have been dropped"
        fits = f"without that owner it may take {memory_text(shape)}"
        raise GridError(f"grid {state.name!r} takes {size_text(taken)}, and {fits}: {so}")


def _counts_as_owner(state: GridState, member: MemberState, rows: dict[str, NodeRow]) -> bool:
    """
    Whether the grid has an owner less without this member.

    One that died, and whose replica has taken over, is an owner in the others' eyes: of nothing, and one too many.
    """
    row = rows.get(member.id)
    if row is not None and (row.slots or not row.is_owner):
        return row.is_owner
    return sum(one.is_owner and bool(one.slots) for one in rows.values()) < state.shape.owners


def _refuse_thin(state: GridState, member: MemberState, rows: dict[str, NodeRow], *, force: bool) -> None:
    """Raise GridError where an owner would lack a replica; one that is none yet is to follow who has the fewest."""
    row = rows.get(member.id)
    owner = row.owner_id if row and row.owner_id else thinnest_owner(state, rows)
    others = sum(one.owner_id == owner for one in rows.values() if one.id != member.id)
    if others < state.shape.replicas and not force:
        part = "is a replica" if row and row.owner_id else "is to be a replica, since its own has taken over"
        raise GridError(
            f"{member.address} {part}, and its owner would have {others} of the {state.shape.replicas} that each "
            f"has: `cachegrid replace {member.address}{state.option}` puts a fresh one in its place, and `--force` "
            "removes it all the same"
        )


def _noted(state: GridState, leaving: Sequence[MemberState], rows: dict[str, NodeRow]) -> GridState:
    """The grid with a note of who leaves, and as what: an owner that has given all away may be a replica by then."""
    gone = {one.index for one in leaving if one.phase is not Phase.LEAVING}
    noted = (leaver(one, _counts_as_owner(state, one, rows)) if one.index in gone else one for one in state.members)
    return replace(state, members=tuple(noted))


def _keep_roles(state: GridState) -> None:
    """
    Let members that leave stay what they are, though they own nothing in the end.

    An owner would else follow whom it gave its last slots to, and forget on the way that it was giving them.
    """
    for member in (member for member in state.members if member.phase is Phase.LEAVING):
        with connect_to(state, member) as admin:
            admin.run("CONFIG", "SET", "cluster-allow-replica-migration", "no")


def _owns(members: Sequence[MemberState], rows: dict[str, NodeRow]) -> bool:
    return any(member.id in rows and rows[member.id].slots for member in members)


def _still_needed(state: GridState, leaving: Sequence[MemberState]) -> str:
    """Why the members may not go yet: some member, they themselves too, says that they own a slot, or nobody does."""
    gone = {member.id for member in leaving}
    seen = views(state)
    for member in state.members:
        rows = seen.get(member.index)
        if rows is None:
            if pid_of(member) or member not in leaving:
                return f"{member.address} does not answer"
            continue
        if holder := next((row for row in rows.values() if row.id in gone and row.slots), None):
            return f"{member.address} takes {holder.host}:{holder.port} for the owner of slots"
        if member not in leaving and (lost := SLOTS - sum(len(span) for row in rows.values() for span in row.slots)):
            return f"{member.address} knows no owner of {lost:,} slots"
        if member not in leaving and any("myself" in row.flags and row.owner_id in gone for row in rows.values()):
            return f"{member.address} follows one that leaves"
    return ""


def _told(state: GridState, leaving: Sequence[MemberState], rows: dict[str, NodeRow]) -> Operation:
    is_whole = all(pid_of(one) for one in state.members if one not in leaving)
    steps = [] if is_whole and not _owns(leaving, rows) else revival_steps(state)
    owned = sum(len(span) for one in leaving if one.id in rows for span in rows[one.id].slots)
    if owned:
        steps.append(f"move {owned:,} of 16,384 slots to the other owners")
    steps.append(f"end {', '.join(one.address for one in leaving)}, and let all others forget them")
    shape = _shape_without(state, [one for one in _noted(state, leaving, rows).members if one.phase is Phase.LEAVING])
    if shape != state.shape:
        steps.append(f"afterwards the grid may take {memory_text(shape)}; each owner as much as before")
    lacks = [] if shape == state.shape else vote_lacks(shape.owners, shape.replicas)
    return Operation(grid=state.name, steps=tuple(steps), shape=shape, warnings=tuple(lacks))


def _shape_without(state: GridState, leaving: Sequence[MemberState]) -> Shape:
    owners = state.shape.owners - sum(one.role == "owner" for one in leaving)
    return state.shape.with_owners(owners) if owners < state.shape.owners else state.shape
