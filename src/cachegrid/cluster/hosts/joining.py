"""A host joins a grid that runs on others: members are started, meet those, and take their part of the slots."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cachegrid.cluster.burden import burdens, port_burdens
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.files import has_entries, sweep, write_first, write_one_more
from cachegrid.cluster.hosts.alone import without_owner
from cachegrid.cluster.hosts.arranging import acquaint, arrange, forget_on_all, is_uneven
from cachegrid.cluster.hosts.tokens import Invitation, Token, accept
from cachegrid.cluster.identity import forget
from cachegrid.cluster.interrupts import held_back
from cachegrid.cluster.launch import Launch
from cachegrid.cluster.lock import locked
from cachegrid.cluster.memory import default_memory, memory_there
from cachegrid.cluster.operation import Operation, Way, memory_text
from cachegrid.cluster.plan import GridPlan, MemberTls, Shape, counted, lay_out
from cachegrid.cluster.ports import checked_host, free_pairs, pairs_from
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.processes import send_signal, wait_gone
from cachegrid.cluster.revival import heal
from cachegrid.cluster.server import ServerProgram, find_server
from cachegrid.cluster.state import (
    GridState,
    MemberState,
    Phase,
    Stage,
    checked_name,
    load,
    machine_name,
    member_folder,
    option_of,
    save,
    state_root,
    write_atomically,
)
from cachegrid.engines.valkey import url
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.errors import ConfigError, EngineError, GridError, GridRunning, StartFailed, Unsupported

__all__ = ["Part", "back_again", "join", "seen"]

TOUCH = 1.0  # seconds for a connection to a port of another host
MEETING = 6.0  # seconds until members that do not hear each other are taken to be barred


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a host brings to a grid."""

    owners: int = 1
    replicas: int = 1  # of each owner; they copy owners of other hosts
    memory: int | None = None  # bytes for the entries of its owners; None: a quarter of what is there, 0: no limit
    host: str | None = None  # its address, else the one from which it reaches the others
    base_port: int | None = None
    server: Path | str | None = None


def join(
    where: str, token: str, part: Part | None = None, *, root: Path | None = None, way: Way | None = None
) -> GridState:
    """
    Let this host be part of the grid of which a member is at `where`, and return when it has its share of the slots.

    That is `host:port`, as it was printed with the `token` by `cachegrid token` on another host. A host that has joined
    already, and whose members may have died, has them started again. Until slots move nothing is left behind if
    anything fails; then the same call goes on. Raises AccessDenied for a token that has ended, GridRunning where
    another grid of that name is on this host, StartFailed where no member can be reached, or where entries are on
    disk that no grid is known of, Unsupported for another kind of server, or an EngineError.
    """
    way, part = way or Way(), part or Part()
    invitation, own = accept(_endpoint(where), Token.of(token))
    root = (root or state_root()).absolute()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(root, checked_name(invitation.grid), timeout=way.timeout):
        there = load(root, invitation.grid)
        if there is not None and there.stage is not Stage.STARTING:
            if there.secret.hex() != invitation.secret:
                raise GridRunning(
                    f"another grid {there.name!r} is on this host: `cachegrid down --purge{there.option}` ends it"
                )
            return back_again(there, way)
        if there is None and has_entries(root / invitation.grid):
            raise StartFailed(
                f"{root / invitation.grid} holds entries on disk of a grid whose grid.json is missing: remove it with "
                f"`cachegrid down --purge{option_of(invitation.grid)}`, or name another state folder in CACHEGRID_STATE"
            )
        state = _started(invitation, part, own, root, way)
        forget(root, state.name)
        return arrange(state, way)


def _endpoint(text: str) -> Endpoint:
    return url.parse(f"valkey://{text}", timeout=TOUCH).seeds[0]


def back_again(state: GridState, way: Way, *, is_forced: bool = False) -> GridState:
    """
    Start the dead members of this host's part of a grid, and let them have their parts in it again.

    While other hosts are away it is as whole as it can be. Raises StartFailed, where copies that those have would be
    lost by it, too, unless that `is_forced`; or an EngineError.
    """
    if not all(pid_of(member) for member in state.members):
        state = heal(state, timeout=way.timeout, progress=way.progress, is_forced=is_forced)
    grid = seen(state)
    if grid is None or without_owner(grid):
        return state
    if any(member.phase is Phase.JOINING for member in state.members):
        acquaint(state, MEETING)
        return arrange(state, way)
    if all(member.is_up for member in grid.members.values()) and is_uneven(grid):  # a failover has come between
        return arrange(state, way)
    return state


def seen(state: GridState) -> Contacts | None:
    """The members of a grid, on whichever host; None where none answers."""
    try:
        return Contacts.of_state(state)
    except EngineError:
        return None


def _started(invitation: Invitation, part: Part, own: str, root: Path, way: Way) -> GridState:
    """The grid with members of this host that run and know all others, and own nothing yet."""
    program = find_server(part.server, tls=invitation.tls is not None)
    _refuse_other(invitation, program)
    _check_ways(invitation)
    state, plan = _planned(invitation, part, own, program, root)
    way.tell(_told(state))
    if state.folder.exists():
        sweep(state.folder)  # what an earlier try has left, whose starter was killed
    try:
        state = _written(state, plan, invitation)
        if said := without_owner(Contacts.of_state(state)):
            raise GridError(said)
        with Launch(state, deadline=time.monotonic() + way.timeout, progress=way.progress) as launch:
            launch.start(state.members, "members")
            state = launch.state
            acquaint(state, MEETING)
            state = replace(state, stage=Stage.READY)
            save(state)
            _forget_strays(state)
    except BaseException:
        with held_back():
            _undo(state)
        raise
    return state


def _told(state: GridState) -> Operation:
    shape, ports = state.shape, [port for one in state.members for port in (one.port, one.bus_port)]
    addresses = ", ".join(member.address for member in state.members)
    kinds = f"{counted(shape.owners, 'owner')} and {counted(shape.members - shape.owners, 'replica')}"
    steps = (
        f"start {kinds} here: {addresses}",
        "let them meet the grid; its owners get as many slots as each other, and replicas owners on other hosts",
        f"afterwards the owners of this host may take {memory_text(shape)}",
    )
    crowd = burdens(len(state.members), memory=shape.memory, replicas=shape.replicas)
    return Operation(grid=state.name, steps=steps, shape=shape, warnings=(*crowd, *port_burdens(ports)))


def _forget_strays(state: GridState) -> None:
    """Let all forget members that this host had before, and which nobody needs: its disk was lost, or a join was."""
    grid = Contacts.of_state(state)
    followed = {one.follows for one in grid.members.values()}
    strays = (one for one in grid.members.values() if one.endpoint.host == state.host and not one.is_up)
    forget_on_all(grid, [one.id for one in strays if not one.slots and one.id not in followed])


def _refuse_other(invitation: Invitation, program: ServerProgram) -> None:
    kind = invitation.version.partition(" ")[0]
    if program.kind != kind:
        raise Unsupported(
            f"grid {invitation.grid!r} runs {invitation.version}, and {program.path} is {program.kind} "
            f"{program.version}: members of two kinds cannot copy each other; name one in CACHEGRID_SERVER"
        )


def _check_ways(invitation: Invitation) -> None:
    """Raise StartFailed for members of the grid that this host cannot reach."""
    barred = [address for address in invitation.members if not _is_open(address)]
    if len(barred) == len(invitation.members):
        raise StartFailed(f"no member of grid {invitation.grid!r} can be reached from here: {', '.join(barred)}")


def _is_open(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), TOUCH).close()
    except OSError:
        return False
    return True


def _planned(
    invitation: Invitation, part: Part, own: str, program: ServerProgram, root: Path
) -> tuple[GridState, GridPlan]:
    host = checked_host(part.host or own)
    if invitation.host not in {"", host}:
        raise ConfigError(
            "host", host, f"{invitation.host}, for which the token was made (say --host, or make another)"
        )
    shape = Shape(
        owners=part.owners,
        replicas=part.replicas,
        memory=part.memory or None,
        persist=invitation.persist,
        fsync=invitation.fsync,
        when_full=invitation.when_full,
    )
    if part.memory is None:
        shape = replace(shape, memory=default_memory(shape, memory_there()))
    free = free_pairs(shape.members, host) if part.base_port is None else None
    pairs = free or pairs_from(part.base_port or 0, shape.members, host)
    plan = lay_out(shape, host, pairs, lambda: secrets.token_hex(20))
    folder = root / invitation.grid
    state = GridState(
        name=invitation.grid,
        folder=folder,
        shape=shape,
        members=tuple(
            MemberState(
                index=one.index,
                id=one.id,
                host=host,
                port=one.port,
                bus_port=one.bus_port,
                role="owner" if one.follows is None else "replica",
                folder=member_folder(folder, one.index),
                phase=Phase.JOINING,
            )
            for one in plan.members
        ),
        password=invitation.password,
        secret=bytes.fromhex(invitation.secret),
        server=program.path,
        version=f"{program.kind} {program.version}",
        created=time.time(),
        machine=machine_name(),
        tls=_tls_files(folder) if invitation.tls else None,
        stage=Stage.STARTING,
        spread=True,
        peers=invitation.members,
    )
    return state, plan


def _tls_files(folder: Path) -> MemberTls:
    return MemberTls(
        ca=folder / "tls" / "ca.pem", cert=folder / "tls" / "member.pem", key=folder / "tls" / "member.key"
    )


def _written(state: GridState, plan: GridPlan, invitation: Invitation) -> GridState:
    state.folder.mkdir(mode=0o700)
    if state.tls and invitation.tls:
        _write_tls(state.tls, invitation.tls)
    save(state)
    first, *others = state.members
    write_first(state, plan.member(first.index), first, invitation.settings)
    for member in others:
        write_one_more(state, member)
    return state


def _write_tls(files: MemberTls, told: Mapping[str, str]) -> None:
    files.ca.parent.mkdir(mode=0o700)
    for name in ("ca", "cert", "key"):
        write_atomically(getattr(files, name), told[name], durable=True)


def _undo(state: GridState) -> None:
    for member in state.members:
        send_signal(pid_of(member), member.conf, signal.SIGKILL)
    wait_gone((pid_of(member), member.conf) for member in state.members)
    with suppress(EngineError):
        forget_on_all(Contacts.of_state(state), [member.id for member in state.members])
    shutil.rmtree(state.folder, ignore_errors=True)
