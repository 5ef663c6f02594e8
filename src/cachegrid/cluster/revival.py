"""Start again what was there: the dead members of a grid that runs, or a whole grid that was kept on disk."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from cachegrid.cluster.admin import connect_to
from cachegrid.cluster.agreement import introduce
from cachegrid.cluster.files import drop_nodes_aside, put_nodes_aside, write_nodes
from cachegrid.cluster.launch import Launch, Progress
from cachegrid.cluster.layout import read_back
from cachegrid.cluster.plan import GridPlan
from cachegrid.cluster.ports import refuse_taken
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.processes import wait_gone
from cachegrid.cluster.server import ServerProgram
from cachegrid.cluster.state import GridState, MemberState, Stage, save, write_atomically
from cachegrid.cluster.view import node_rows
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.errors import EngineError, ServerRefused

__all__ = ["heal", "resume"]

BACK, BACK_ALONE = 20.0, 3.0  # seconds for members to be back in a grid: of one that answers, and of one that is away
READS_WHEN_DOWN = "cluster-allow-reads-when-down"
SPEAKING, SILENT = f"{READS_WHEN_DOWN} yes\n", f"{READS_WHEN_DOWN} no\n"


def heal(
    state: GridState,
    *,
    timeout: float,
    progress: Progress | None = None,
    is_full: bool = True,
    is_forced: bool = False,
) -> GridState:
    """
    Start the dead members of a grid again; they rejoin it, or join it, and what their replicas hold is not lost.

    A member that comes back empty while the others still take it for an owner would have its replicas
    copy nothing over what they have. So they replace it first. With `is_full=False` slots may be without an owner. Of a
    grid that has members on other hosts, those may be away: then it is as whole as it can be. Where copies that they
    have would be lost by it, StartFailed is raised, unless that `is_forced`.
    """
    # One whose starter was killed may run, and nobody has written down its process.
    state = replace(state, members=tuple(replace(member, pid=pid_of(member) or member.pid) for member in state.members))
    dead = [member for member in state.members if not pid_of(member)]
    grid = None
    if state.spread:
        from cachegrid.cluster.hosts.returning import make_way  # what only grids across hosts need

        grid = make_way(state, dead, timeout=timeout, is_forced=is_forced)
    else:
        for member in dead:
            _replace_owner(state, member)
    wait_gone((member.pid, member.conf) for member in dead)
    refuse_taken([(member.host, port) for member in dead for port in (member.port, member.bus_port)])
    with (
        _silent_until_whole(state, dead),
        Launch(state, deadline=time.monotonic() + timeout, progress=progress) as launch,
    ):
        launch.start(dead, "started")
        if state.spread:
            own = {member.id for member in state.members}
            is_seen = grid and all(one.is_up or one.id in own for one in grid.members.values())
            launch.wait_back(BACK if is_seen else BACK_ALONE)
        else:
            introduce(launch.state, timeout)
            launch.wait_whole(is_full=is_full, is_closed=False)
        save(launch.state)
        return launch.state


@contextmanager
def _silent_until_whole(state: GridState, dead: Sequence[MemberState]) -> Iterator[None]:
    """
    Let members answer no read before the grid is whole again.

    An owner that comes back empty takes itself for the owner until it hears of the one that replaced it: whoever asked
    it in that moment would be told that nothing is there.
    """
    texts = {member: _conf(member) for member in dead}
    try:
        for member, text in texts.items():
            quiet = text.replace(SPEAKING, SILENT)
            write_atomically(member.conf, quiet, durable=True)
        yield
        for member in dead:
            with connect_to(state, member) as admin:
                admin.run("CONFIG", "SET", READS_WHEN_DOWN, "yes")
    finally:
        for member, text in texts.items():
            write_atomically(member.conf, text, durable=True)


def _conf(member: MemberState) -> str:
    """The settings of a member; whoever was killed while it was silent has left it so. A user's own `no` is quoted."""
    return member.conf.read_text().replace(SILENT, SPEAKING)


def resume(state: GridState, program: ServerProgram, *, timeout: float, progress: Progress | None = None) -> GridState:
    """Start all members of a grid that was kept on disk, with their entries, on the ports they had."""
    wait_gone((member.pid, member.conf) for member in state.members)
    refuse_taken([(member.host, port) for member in state.members for port in (member.port, member.bus_port)])
    plan = read_back(state, lambda: secrets.token_hex(20))
    version = f"{program.kind} {program.version}"
    state = replace(state, server=program.path, version=version, stage=Stage.RESUMING)
    save(state)
    with Launch(state, deadline=time.monotonic() + timeout, progress=progress) as launch:
        # Until the members know again what they own, only the files put aside tell.
        for member in state.members:
            write_atomically(member.conf, _conf(member), durable=True)
        put_nodes_aside(state)
        write_nodes(state, plan, program)
        launch.bring_up(plan)
        drop_nodes_aside(state)
        resumed = replace(launch.state, members=_with_roles(launch.state, plan), stage=Stage.READY)
        save(resumed)
    return resumed


def _replace_owner(state: GridState, dead: MemberState) -> None:
    """Let the best replica of a dead owner take over now, where the others have not elected one yet."""
    followers = [
        (offset, member)
        for member in state.members
        if (seen := _view(state, member)) and (offset := _offset_behind(seen, dead.id)) is not None
    ]
    if followers:
        _, best = max(followers, key=lambda pair: pair[0])
        with connect_to(state, best) as admin, suppress(ServerRefused):  # refused: it has just been elected
            admin.run("CLUSTER", "FAILOVER", "TAKEOVER")


def _view(state: GridState, member: MemberState) -> tuple[dict[str, NodeRow], int] | None:
    """How a member sees the grid, and how many bytes of replication it has; None if it does not answer."""
    try:
        with connect_to(state, member) as admin:
            return node_rows(admin), int(admin.facts("replication").get("slave_repl_offset", "0"))
    except EngineError:
        return None


def _offset_behind(seen: tuple[dict[str, NodeRow], int], dead: str) -> int | None:
    """The offset of a member that follows the dead one, which still owns slots; None for any other."""
    rows, offset = seen
    mine = next(row for row in rows.values() if "myself" in row.flags)
    is_owner = dead in rows and rows[dead].is_owner and rows[dead].slots
    return offset if is_owner and mine.owner_id == dead else None


def _with_roles(state: GridState, plan: GridPlan) -> tuple[MemberState, ...]:
    follows = [planned.follows for planned in plan.members]
    pairs = zip(state.members, follows, strict=True)
    return tuple(replace(member, role="owner" if follow is None else "replica") for member, follow in pairs)
