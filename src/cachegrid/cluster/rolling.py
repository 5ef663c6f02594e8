"""Every member of a grid is started anew, one after the other, while programs use it; with another server if wished."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic as now
from time import sleep

from cachegrid.cluster.admin import connect_to
from cachegrid.cluster.agreement import agree
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.launch import Launch
from cachegrid.cluster.loss import revival_steps
from cachegrid.cluster.operation import Operation, Way, operating
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.processes import wait_gone
from cachegrid.cluster.revival import heal
from cachegrid.cluster.server import ServerProgram, find_server
from cachegrid.cluster.shutdown import end_members
from cachegrid.cluster.standstill import refuse_still
from cachegrid.cluster.state import GridState, MemberState, save
from cachegrid.cluster.takeover import best_replica, hand_over
from cachegrid.cluster.takeover_anywhere import wait_for_votes
from cachegrid.cluster.view import members
from cachegrid.errors import EngineError, GridError, Unsupported

__all__ = ["restart"]

REST, LONGEST_REST = 20.0, 30.0  # after a member: times as long as its restart took, and seconds


def restart(
    name: str = "default",
    *,
    server: Path | str | None = None,
    force: bool = False,
    fast: bool = False,
    root: Path | None = None,
    way: Way | None = None,
) -> GridState:
    """
    Start all members of this host anew, one at a time: every replica first, then each owner once it has handed over.

    So its part of the entries is never without an owner, and no write is lost. While a member restarts some calls wait,
    and so a rest follows, twenty times as long and 30 s at most, unless it is to be `fast`. With `server` members run
    that program from then on, and those that do already are left as they are: run again, it goes on. Of a grid across
    hosts owners hand over to other hosts, and are spread over all of them again once all run the same version. An owner
    without a replica has nobody to hand over to: then GridError is raised, unless `force` says to restart it all the
    same, which loses its entries where they are not kept on disk. Raises Unsupported for a server older than the one
    that runs, and else as `heal` does.
    """
    way = way or Way()
    program = find_server(server) if server is not None else None
    with operating(name, root, way) as there:
        refuse_still(there)
        if program:
            _refuse_older(there, program)
        due = [member for member in there.members if not program or not _runs(there, member, program)]
        grid = Contacts.of_state(there)
        lonely = _lonely(there, grid, due)
        way.tell(_told(there, grid, due, lonely, program))
        if lonely and not force:
            raise GridError(
                f"{lonely[0].address} has no replica that could take over: a restart stops its part of the grid for a "
                f"moment{'' if there.persist else ', and its entries are lost'}; `--force` does it all the same"
            )
        if way.is_rehearsal:
            return there
        return _rolled(there, due, program, way, rest=0.0 if fast else REST)


def _rolled(
    state: GridState, due: list[MemberState], program: ServerProgram | None, way: Way, *, rest: float
) -> GridState:
    if program:
        state = replace(state, server=program.path, version=f"{program.kind} {program.version}")
        save(state)
    if not all(pid_of(member) for member in state.members):
        state = heal(state, timeout=way.timeout, progress=way.progress)
    if state.spread:
        from cachegrid.cluster.hosts.operating import spread_around  # what only grids across hosts need

        with spread_around(state, way) as renewing:
            state = _each_anew(state, due, renewing, rest=rest)
        wait_for_votes()  # the next host's owners are likely to be the same
        return state
    return _each_anew(state, due, way, rest=rest)


def _each_anew(state: GridState, due: list[MemberState], way: Way, *, rest: float) -> GridState:
    for done, index in enumerate(_in_order(state, due), 1):
        begun = now()
        state = _one_anew(state, index, way)
        way.progress("restarted", done, len(due))
        if done < len(due):
            sleep(min(rest * (now() - begun), LONGEST_REST))
    return state


def _one_anew(state: GridState, index: int, way: Way) -> GridState:
    """Restart one member, as a replica if it has one to hand over to, and wait until the grid is whole."""
    member, quiet = state.member(index), replace(way, progress=lambda *_: None)
    if state.spread:
        from cachegrid.cluster.hosts.operating import handed_over  # what only grids across hosts need

        handed_over(state, member, quiet)
    elif any(each.owner_id == member.id and each.up for each in members(state)):
        state = hand_over(state, best_replica(state, members(state), member), quiet)
    end_members(state, [state.member(index)])
    wait_gone([(member.pid, member.conf)])
    # What `heal` does besides, such as to replace a dead owner, is not wanted here: all is in order.
    with Launch(state, deadline=time.monotonic() + way.timeout) as launch:
        launch.start([state.member(index)], "restarted")
        launch.wait_whole()
        agree(launch.state, way.timeout)
        save(launch.state)
        return launch.state


def _in_order(state: GridState, due: list[MemberState]) -> Iterator[int]:
    """Replicas first: an owner is followed only by a server that is no older than its own."""
    owners = {owner.id for owner in Contacts.of_state(state).owners}
    yield from (member.index for member in due if member.id not in owners)
    yield from (member.index for member in due if member.id in owners)


def _lonely(state: GridState, grid: Contacts, due: list[MemberState]) -> list[MemberState]:
    """The owners among those that nobody could take over from, even if all that are dead here were started again."""
    own = {member.id for member in state.members}
    followed = {one.follows for one in grid.replicas if one.is_up or one.id in own}
    return [member for member in due if member.id in {owner.id for owner in grid.owners} - followed]


def _runs(state: GridState, member: MemberState, program: ServerProgram) -> bool:
    """Whether a member runs that very program already."""
    try:
        with connect_to(state, member) as admin:
            said = admin.facts("server")
    except EngineError:
        return False
    version = said.get("valkey_version") or said.get("redis_version")
    return version == program.version and Path(said.get("executable", "")) == program.path


def _refuse_older(state: GridState, program: ServerProgram) -> None:
    kind, _, version = state.version.partition(" ")
    if kind != program.kind or _numbers(program.version) < _numbers(version):
        raise Unsupported(
            f"grid {state.name!r} runs {state.version}, and {program.path} is {program.kind} {program.version}: "
            "members of another kind, or older ones, could not read what the others send"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def _told(
    state: GridState, grid: Contacts, due: list[MemberState], lonely: list[MemberState], program: ServerProgram | None
) -> Operation:
    what = f" with {program.kind} {program.version} ({program.path})" if program else ""
    owners = {owner.id for owner in grid.owners}
    steps = revival_steps(state)
    steps += [f"restart {member.address}{what}" for member in due if member.id not in owners]
    for member in (member for member in due if member.id in owners):
        is_lonely = member in lonely
        before = "nobody can take over: " if is_lonely else "a replica takes over, then "
        steps.append(f"{before}restart {member.address}{what}")
    if state.spread and steps:
        steps.append("let owners be spread over the hosts again, once all run the same version")
    return Operation(grid=state.name, steps=tuple(steps), shape=state.shape)
