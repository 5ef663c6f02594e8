"""More owners for a grid that runs: members are started, meet the others, and are given their share of the slots."""

from __future__ import annotations

import secrets
import shutil
import signal
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cachegrid.cluster.agreement import agree, forget_everywhere
from cachegrid.cluster.balance import moves
from cachegrid.cluster.burden import burdens, port_burdens
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.files import write_one_more
from cachegrid.cluster.interrupts import held_back
from cachegrid.cluster.loss import revival_steps
from cachegrid.cluster.moving import carry_out
from cachegrid.cluster.moving import settled as half_moved_settled
from cachegrid.cluster.operation import Operation, Way, memory_text, operating, unfinished
from cachegrid.cluster.plan import counted
from cachegrid.cluster.ports import next_pairs
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.processes import send_signal, wait_gone
from cachegrid.cluster.revival import heal
from cachegrid.cluster.standstill import refuse_still
from cachegrid.cluster.state import GridState, MemberState, Phase, member_folder, save
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.errors import ConfigError, EngineError

__all__ = ["add", "bring_in", "newcomer", "settled", "shared_out", "still_begun", "thinnest_owner", "warned"]


def add(name: str = "default", count: int = 1, *, root: Path | None = None, way: Way | None = None) -> GridState:
    """
    Let a grid of this host grow by `count` owners, each with as many replicas as the others, while programs use it.

    Each new owner may take as much memory as each of the others. If new members cannot be started the grid is as it
    was; once slots move, an interruption leaves all entries where they are, and the same call goes on: owners that
    were begun with count. Dead members are started again first. Raises GridNotFound, StartFailed, or an EngineError.
    """
    if count < 1:
        raise ConfigError("count", count, "1 or more")
    way = way or Way()
    with operating(name, root, way) as there:
        refuse_still(there)
        if there.spread:
            from cachegrid.cluster.hosts.operating import grown_here  # what only grids across hosts need

            return grown_here(there, count, way)
        state = settled(there)
        grown, new = _planned(state, count)
        way.tell(_told(state, grown, new))
        if way.is_rehearsal:
            return there
        grown = bring_in(state, grown, way)
        return shared_out(grown, way)


def settled(state: GridState) -> GridState:
    """The grid without notes of members that come, where these have all that they came for; nothing is written."""
    coming = [member for member in state.members if member.phase is Phase.JOINING]
    if not coming or not all(pid_of(member) for member in state.members):
        return state
    grid = Contacts.of_state(state)
    if any(member.id not in grid.members for member in coming) or moves(grid.owned, _staying(state, grid)):
        return state
    return _all_here(state)


def still_begun(state: GridState) -> list[str]:
    """What was begun with the grid's members and not ended, as `unfinished` says it, by what the members tell."""
    try:
        return unfinished(settled(state))
    except EngineError:  # nobody answers who could tell
        return unfinished(state)


def thinnest_owner(state: GridState, rows: Mapping[str, NodeRow]) -> str:
    """The id of the owner of slots, of this host, that has the fewest replicas; empty if there is none."""
    index_of = {member.id: member.index for member in state.members}
    followers = Counter(row.owner_id for row in rows.values())
    owners = [row.id for row in rows.values() if row.is_owner and row.slots and row.id in index_of]
    return min(owners, key=lambda owner: (followers[owner], index_of[owner]), default="")


def newcomer(state: GridState, ports: tuple[int, int], follows: int | None) -> MemberState:
    """One more member of a grid, which copies the owner of that index, or is to be an owner; nothing is written."""
    index = max(member.index for member in state.members) + 1
    return MemberState(
        index=index,
        id=secrets.token_hex(20),
        host=state.members[0].host,
        port=ports[0],
        bus_port=ports[1],
        role="owner" if follows is None else "replica",
        folder=member_folder(state.folder, index),
        phase=Phase.JOINING,
        follows=follows,
    )


def bring_in(before: GridState, grown: GridState, way: Way, *, is_full: bool = True) -> GridState:
    """
    Start all members that are not running, with those that are new in `grown`, and return when all know all.

    If that fails the new ones are gone without a trace, and so are new files of those whose files were gone. With
    `is_full=False` slots may be without an owner.
    """
    known = {member.index for member in before.members}
    new = [member for member in grown.members if member.index not in known]
    gone = [one for one in grown.members if one.index in known and one.phase is Phase.JOINING and not one.conf.exists()]
    save(grown)  # before anything is started: `down` ends it, and whoever comes after us goes on
    try:
        for member in (*gone, *new):
            shutil.rmtree(member.folder, ignore_errors=True)  # what one of that index may have left
            write_one_more(grown, member)
        return heal(grown, timeout=way.timeout, progress=way.progress, is_full=is_full)
    except BaseException:
        with held_back():
            _undo(before, gone, new)
        raise


def _planned(state: GridState, count: int) -> tuple[GridState, int]:
    """The grid with the new members, and how many owners are among them that had not been begun before."""
    begun = sum(member.phase is Phase.JOINING and member.follows is None for member in state.members)
    new = max(count - begun, 0)
    shape = state.shape.with_owners(state.shape.owners + new)
    return _with_newcomers(replace(state, shape=shape), new), new


def _with_newcomers(state: GridState, owners: int) -> GridState:
    """The grid with so many new owners and their replicas; owners first, as in a grid that is started so."""
    host, pairs = state.members[0].host, [(member.port, member.bus_port) for member in state.members]
    ports = iter(next_pairs(pairs, owners * (1 + state.shape.replicas), host) if owners else [])
    first = max(member.index for member in state.members) + 1
    follows = [None] * owners + [first + at for _ in range(state.shape.replicas) for at in range(owners)]
    for follow in follows:
        state = replace(state, members=(*state.members, newcomer(state, next(ports), follow)))
    return state


def _told(state: GridState, grown: GridState, new: int) -> Operation:
    steps = revival_steps(state)
    added = [member for member in grown.members if member not in state.members]
    begun = [member for member in state.members if member.phase is Phase.JOINING]
    if begun:
        steps.append(f"go on with members that were begun before: {_addresses(begun)}")
    if added:
        owners, replicas = counted(new, "more owner"), counted(grown.shape.replicas, "replica")
        steps.append(f"start {owners}, each with {replicas}: {_addresses(added)}")
    grid = Contacts.of_state(state)
    given = moves(grid.owned, [*_staying(state, grid), *(member.id for member in added if member.role == "owner")])
    if given:
        steps.append(f"move {sum(move.size for move in given):,} of 16,384 slots to owners that have fewer")
    if added:
        steps.append(f"afterwards the grid may take {memory_text(grown.shape)}; each owner as much as before")
    return Operation(grid=state.name, steps=tuple(steps), shape=grown.shape, warnings=warned(state, grown, new))


def warned(state: GridState, grown: GridState, owners: int) -> tuple[str, ...]:
    """What so many new owners, and their replicas, ask of this host that it may not have."""
    added = [member for member in grown.members if member not in state.members]
    memory = None if grown.memory is None else grown.memory // grown.shape.owners * owners
    crowd = burdens(len(added), there=len(state.members), memory=memory, replicas=grown.shape.replicas)
    return (*crowd, *port_burdens(port for member in added for port in (member.port, member.bus_port)))


def shared_out(state: GridState, way: Way) -> GridState:
    """Give every owner its share; then nobody is new any more."""
    agree(state, way.timeout)
    grid = half_moved_settled(Contacts.of_state(state))
    carry_out(grid, moves(grid.owned, _staying(state, grid)), progress=way.progress, pace=way.pace)
    state = _all_here(state)
    save(state)
    return state


def _staying(state: GridState, grid: Contacts) -> list[str]:
    """The ids of the members that are owners now, but for those that leave; a dead one that was replaced is none."""
    owners = {owner.id for owner in grid.owners if owner.is_up or owner.slots}
    return [member.id for member in state.members if member.phase is not Phase.LEAVING and member.id in owners]


def _all_here(state: GridState) -> GridState:
    here = (replace(m, phase=Phase.HERE) if m.phase is Phase.JOINING else m for m in state.members)
    return replace(state, members=tuple(here))


def _undo(before: GridState, gone: list[MemberState], new: list[MemberState]) -> None:
    begun = [*gone, *new]
    for member in begun:
        send_signal(pid_of(member), member.conf, signal.SIGKILL)
    wait_gone((pid_of(member), member.conf) for member in begun)
    with suppress(EngineError):
        forget_everywhere(before, new)  # those that are only gone stay known, and as what: the next run asks for it
    for member in begun:
        shutil.rmtree(member.folder, ignore_errors=True)
    save(before)


def _addresses(members: list[MemberState]) -> str:
    return ", ".join(member.address for member in members)
