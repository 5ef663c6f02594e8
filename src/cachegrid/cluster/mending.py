"""A grid made whole again: dead members started, lost replicas made anew, and slots without an owner given to one."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cachegrid.cluster.admin import Admin, connect_to
from cachegrid.cluster.agreement import agree, merged, rows_seen, views, wait_until
from cachegrid.cluster.balance import spans
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.growth import bring_in, newcomer, shared_out, thinnest_owner
from cachegrid.cluster.loss import CACHES_TOO, NO_COPY, emptied_slots, share_text
from cachegrid.cluster.operation import Operation, Way, operating
from cachegrid.cluster.ports import next_pairs
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.regaining import begin_anew, known_rows, new_owners, regained, strangers
from cachegrid.cluster.standstill import refuse_still
from cachegrid.cluster.state import GridState, MemberState, Phase, save
from cachegrid.cluster.takeover import with_roles
from cachegrid.cluster.view import node_rows
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.engines.valkey.slots import SLOTS
from cachegrid.errors import EngineTimeout

__all__ = ["claim", "heal", "lost_slots"]

TAKE_OVER = 10.0  # seconds for a replica to take over from an owner that is gone


def heal(
    name: str = "default",
    *,
    assign: bool = False,
    force: bool = False,
    root: Path | None = None,
    way: Way | None = None,
) -> GridState:
    """
    Make a grid of this host whole again: dead members are started, and replicas made anew that owners lack.

    Members whose files are gone are among them. With `assign` slots that have no owner afterwards are given to owners,
    those with fewest first: what was in them is lost, as it is without, and programs can use them again. `lost_slots`
    tells which are left. Across hosts that takes `force` where as many owners as answer may be together elsewhere, and
    go on there. Raises GridNotFound, GridError where it is refused or a member stands still, StartFailed for one that
    cannot be started, or an EngineError.
    """
    way = way or Way()
    with operating(name, root, way) as there:
        refuse_still(there)
        if there.spread:
            from cachegrid.cluster.hosts.mending import mended_here  # what only grids across hosts need

            return mended_here(there, way, assign=assign, force=force)
        if not way.is_rehearsal:
            with suppress(EngineTimeout):  # no replica can: it comes back as an owner, without what it had
                wait_until(lambda: _about_to_take_over(there, rows_seen(there)), min(way.timeout, TAKE_OVER))
        seen = {there.member(index).id: view for index, view in views(there).items()}
        rows = merged(seen)
        known = known_rows(rows, seen)
        whole = regained(there, known, {member.id for member in there.members if pid_of(member)})
        state = _with_gone(there, rows)
        state = _with_missing(state, rows) if whole == there else _either(there, whole, state)
        way.tell(_told(there, state, rows, assign=assign))
        if way.is_rehearsal:
            return there
        begin_anew(there, whole, known)
        state = _with_parts(there, bring_in(there, state, way, is_full=not _lost(there, rows)))
        if new_owners(there, whole):
            state = shared_out(state, way)
        if assign and (lost := lost_slots(state)):
            _assign(state, lost)
        if not lost_slots(state):  # else some take for their owner who says that it is not
            agree(state, way.timeout)
        return state


def _about_to_take_over(state: GridState, rows: Mapping[str, NodeRow]) -> str:
    """
    What has still to happen where an owner is gone with its files, and has a replica: that one is to be copied then.

    It is over when all have heard of it: what the owner had is nobody's but the replica's.
    """
    gone = {member.id for member in state.members if not (member.conf.exists() or pid_of(member))}
    held = {one: {slot for span in rows[one].slots for slot in span} for one in gone if one in rows and rows[one].slots}
    heirs = [
        member.address
        for member in state.members
        if (row := rows.get(member.id)) is not None
        and pid_of(member)
        and (row.owner_id in held or any(span.start in slots for slots in held.values() for span in row.slots))
    ]
    return f"{', '.join(heirs)} has not taken over, or not all know of it" if heirs else ""


def lost_slots(state: GridState) -> list[range]:
    """
    The slots that no member owns, by its own word, or by that of others where it is dead and can be started.

    Of a grid across hosts: those too of owners elsewhere that do not answer, and of which no replica answers.
    """
    if state.spread:
        from cachegrid.cluster.hosts.assigning import slots_away

        return slots_away(Contacts.of_state(state))
    return _lost(state, rows_seen(state))


def _lost(state: GridState, rows: Mapping[str, NodeRow]) -> list[range]:
    there = {member.id for member in state.members if pid_of(member) or (member.folder / "nodes.conf").exists()}
    there |= {row.id for row in strangers(state, rows)}
    held = (row.slots for row in rows.values() if row.id in there and row.is_owner)
    return spans({*range(SLOTS)} - {slot for slots in held for span in slots for slot in span})


def _with_gone(state: GridState, rows: Mapping[str, NodeRow]) -> GridState:
    """
    The grid with members whose files are gone as ones that are about to join as what they were.

    So are owners that own nothing, where as many own all slots as the grid is to have: they follow one of those.
    """
    index_of = {member.id: member.index for member in state.members}
    is_complete = sum(row.is_owner and bool(row.slots) for row in rows.values()) >= state.shape.owners

    def anew(member: MemberState) -> MemberState:
        row, is_running = rows.get(member.id), pid_of(member) > 0
        is_idle = _is_idle(member, row)
        if not (is_idle and is_complete and row) if is_running else member.conf.exists():
            return member
        owner = thinnest_owner(state, rows) if is_idle else row.owner_id if row else ""
        follows = index_of.get(owner, None if row else member.follows)
        return replace(member, phase=Phase.JOINING, follows=follows, role="owner" if follows is None else "replica")

    return replace(state, members=tuple(anew(member) for member in state.members))


def _either(before: GridState, first: GridState, second: GridState) -> GridState:
    """The first, with what the second says of members that are there as before."""
    changed = {member.index: member for member in second.members}
    members = (changed[member.index] if member in before.members else member for member in first.members)
    return replace(first, members=tuple(members))


def _is_idle(member: MemberState, row: NodeRow | None) -> bool:
    """Whether a member, as the others see it, if they do, is the owner of nothing, nor begun to become one."""
    is_owner_of_none = member.role == "replica" if row is None else row.is_owner and not row.slots
    return member.phase is Phase.HERE and is_owner_of_none


def _with_missing(state: GridState, rows: Mapping[str, NodeRow]) -> GridState:
    """The grid with new replicas for owners that have fewer than its shape says."""
    here = [member for member in state.members if member.phase is not Phase.LEAVING]
    owners = [member for member in here if member.id in rows and rows[member.id].is_owner]
    followers = [rows[member.id].owner_id for member in here if member.id in rows]
    lacking = [
        owner for owner in owners for _ in range(state.shape.replicas - followers.count(owner.id)) if owner.id in rows
    ][: max(state.shape.members - len(here), 0)]
    pairs = [(member.port, member.bus_port) for member in state.members]
    ports = next_pairs(pairs, len(lacking), state.members[0].host) if lacking else []
    for owner, pair in zip(lacking, ports, strict=True):
        state = replace(state, members=(*state.members, newcomer(state, pair, owner.index)))
    return state


def _with_parts(before: GridState, state: GridState) -> GridState:
    """The grid with its roles as they are now, and who has come back, or is a replica, is here; written down."""
    back = {member.index for member in before.members if member.phase is Phase.HERE}
    noted = (
        replace(member, phase=Phase.HERE)
        if member.phase is Phase.JOINING and (member.index in back or member.follows is not None)
        else member
        for member in with_roles(state).members
    )
    state = replace(state, members=tuple(noted))
    save(state)
    return state


def _assign(state: GridState, lost: list[range]) -> None:
    rows = rows_seen(state)
    owners = [member for member in state.members if member.id in rows and rows[member.id].is_owner]
    sizes = [(sum(map(len, rows[owner.id].slots)), owner.index) for owner in owners]
    given: dict[int, list[int]] = {}
    heapq.heapify(sizes)
    for slot in (slot for span in lost for slot in span):
        size, index = heapq.heappop(sizes)
        given.setdefault(index, []).append(slot)
        heapq.heappush(sizes, (size + 1, index))
    for index, slots in given.items():
        with connect_to(state, state.member(index), timeout=5.0) as admin:
            claim(admin, slots)


def claim(admin: Admin, slots: Sequence[int]) -> None:
    """Let an owner own these slots, whoever it takes for their owner; the others come to believe it."""
    view = {slot for row in node_rows(admin).values() for span in row.slots for slot in span}
    for span in spans(view & {*slots}):
        admin.run("CLUSTER", "DELSLOTSRANGE", span.start, span[-1])  # whoever it takes for the owner is none
    for span in spans(slots):
        admin.run("CLUSTER", "ADDSLOTSRANGE", span.start, span[-1])
    admin.run("CLUSTER", "BUMPEPOCH")  # so that the others believe it, and not whom they took for the owner


def _told(state: GridState, mended: GridState, rows: Mapping[str, NodeRow], *, assign: bool) -> Operation:
    steps: list[str] = []
    if dead := [member.address for member in state.members if not pid_of(member)]:
        steps.append(f"start members again that do not run: {', '.join(dead)}")
    steps += _new_parts(state, mended)
    unowned = _lost(state, rows)
    lost = sum(map(len, unowned))
    emptied = {slot for span in emptied_slots(state, rows) for slot in span}
    if emptied := emptied - {slot for span in unowned for slot in span}:
        steps.append(f"bring {share_text(spans(emptied))} back empty: {NO_COPY}; {CACHES_TOO}")
    if lost and assign:
        steps.append(f"give {lost:,} slots without an owner to owners; what was in them is lost, and {CACHES_TOO}")
    elif lost:
        steps.append(
            f"leave {lost:,} slots without an owner: `--assign` gives them to owners, without what was in them; "
            + CACHES_TOO
        )
    for other in strangers(state, rows):
        where = f"{other.host}:{other.port}"
        steps.append(
            f"leave {where}, which owns slots and was not started here, as it is; for it to give them to others: "
            f'cachegrid remove {where} --url "$(cachegrid url --show-password{state.option})"'
        )
    return Operation(grid=state.name, steps=tuple(steps), shape=mended.shape)


def _new_parts(state: GridState, mended: GridState) -> Iterator[str]:
    """What becomes of members that are to copy others, or to be owners again, and of those that are new."""
    owners = new_owners(state, mended)
    if owners:
        yield f"let {', '.join(owners)} be an owner again: the grid has fewer than its shape says, {state.shape}"
    for was, member in zip(state.members, mended.members, strict=False):
        if member != was and member.follows is not None and (pid_of(was) or was.conf.exists()):
            yield f"let {member.address} copy {mended.member(member.follows).address}"
    for member in mended.members[len(state.members) :]:
        if member.follows is not None:
            owner = mended.member(member.follows)
            yield f"start {member.address}, which copies {owner.address}: it has fewer replicas than the others"
    if owners:
        yield f"move slots to {'it' if len(owners) == 1 else 'them'}, until every owner has as many as the others"
