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
from cachegrid.cluster.launch import Launch
from cachegrid.cluster.operation import Operation, Way, operating, refuse_spread
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.processes import wait_gone
from cachegrid.cluster.revival import heal
from cachegrid.cluster.server import ServerProgram, find_server
from cachegrid.cluster.shutdown import end_members
from cachegrid.cluster.state import GridState, MemberState, save
from cachegrid.cluster.takeover import best_replica, hand_over
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
    Start all members of a grid anew, one at a time: every replica first, then each owner once it has handed over.

    So its part of the entries is never without an owner, and no write is lost. While a member restarts some calls wait,
    and so a rest follows, twenty times as long and 30 s at most, unless it is to be `fast`. With `server` members run
    that program from then on, and those that do already are left as they are: run again, it goes on. An owner without a
    replica has nobody to hand over to: then GridError is raised, unless `force` says to restart it all the same, which
    loses its entries where they are not kept on disk. Raises Unsupported for a server older than the one that runs, and
    else as `heal` does.
    """
    way = way or Way()
    program = find_server(server) if server is not None else None
    with operating(name, root, way) as there:
        refuse_spread(there, "`cachegrid down` and `cachegrid up` on one after the other do it; owners hand over first")
        if program:
            _refuse_older(there, program)
        due = [member for member in there.members if not program or not _runs(there, member, program)]
        lonely = _lonely(there, due)
        way.tell(_told(there, due, lonely, program))
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
    for done, index in enumerate(_in_order(state, due), 1):
        begun = now()
        state = _one_anew(state, index, way)
        way.progress("restarted", done, len(due))
        if done < len(due):
            sleep(min(rest * (now() - begun), LONGEST_REST))
    return state


def _one_anew(state: GridState, index: int, way: Way) -> GridState:
    """Restart one member, as a replica if it has one to hand over to, and wait until the grid is whole."""
    member, facts = state.member(index), members(state)
    if any(each.owner_id == member.id and each.up for each in facts):
        state = hand_over(state, best_replica(state, facts, member), replace(way, progress=lambda *_: None))
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
    roles = {each.id: each.role for each in members(state)}
    yield from (member.index for member in due if roles.get(member.id) != "owner")
    yield from (member.index for member in due if roles.get(member.id) == "owner")


def _lonely(state: GridState, due: list[MemberState]) -> list[MemberState]:
    """The owners among those that nobody could take over from, even if all that are dead were started again."""
    facts = members(state)
    followed = {each.owner_id for each in facts}
    owners = {each.id for each in facts if each.role == "owner"}
    return [member for member in due if member.id in owners - followed]


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
    state: GridState, due: list[MemberState], lonely: list[MemberState], program: ServerProgram | None
) -> Operation:
    what = f" with {program.kind} {program.version} ({program.path})" if program else ""
    owners = {each.id for each in members(state) if each.role == "owner"}
    steps = [f"restart {member.address}{what}" for member in due if member.id not in owners]
    for member in (member for member in due if member.id in owners):
        is_lonely = member in lonely
        before = "nobody can take over: " if is_lonely else "a replica takes over, then "
        steps.append(f"{before}restart {member.address}{what}")
    return Operation(grid=state.name, steps=tuple(steps), shape=state.shape)
