"""Start a grid on this host, or join the one that runs."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cachegrid.cluster.find import find, pid_of
from cachegrid.cluster.launch import Launch, PortTaken, Progress
from cachegrid.cluster.lock import locked
from cachegrid.cluster.plan import GridPlan, MemberPlan, Shape, TlsFiles, conf_text, lay_out, nodes_text
from cachegrid.cluster.ports import free_pairs, pairs_from
from cachegrid.cluster.server import ServerProgram, find_server
from cachegrid.cluster.state import GridState, MemberState, checked_name, load, machine_name, save, state_root
from cachegrid.cluster.stop import end_members
from cachegrid.errors import GridRunning, StartFailed

__all__ = ["embedded", "start"]

PORT_TRIES = 5
ONE_MEMBER = Shape(owners=1, replicas=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a caller asked for."""

    name: str
    root: Path
    shape: Shape | None  # None: whatever is there, else one member
    host: str = "127.0.0.1"
    base_port: int | None = None
    tls: TlsFiles | None = None
    server: Path | str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    node_timeout_ms: int = 1000
    progress: Progress | None = None
    timeout: float = 30.0


def start(  # noqa: PLR0913 - settings, each with a default of its own
    name: str = "default",
    *,
    owners: int = 3,
    replicas: int = 1,
    memory: int | None = None,
    persist: bool = False,
    host: str = "127.0.0.1",
    base_port: int | None = None,
    tls: TlsFiles | None = None,
    server: Path | str | None = None,
    root: Path | None = None,
    settings: Mapping[str, str] | None = None,
    node_timeout_ms: int = 1000,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> GridState:
    """
    Start a grid that outlives this process, and return when it serves; `replicas` is per owner, `memory` is bytes.

    One that runs in this shape is returned as it is, with its dead members restarted; one in another raises
    `GridRunning`. One that was kept on disk is resumed. If anything fails nothing is left behind, and `StartFailed`
    says what the server said; `ServerMissing` and `Unsupported` mean that no server program can be used.
    """
    shape = Shape(owners=owners, replicas=replicas, memory=memory, persist=persist)
    wish = Wish(
        name=checked_name(name),
        root=root or state_root(),
        shape=shape,
        host=host,
        base_port=base_port,
        tls=tls,
        server=server,
        settings=settings or {},
        node_timeout_ms=node_timeout_ms,
        progress=progress,
        timeout=timeout,
    )
    return _start(wish)


def embedded(name: str = "default", *, root: Path | None = None, server: Path | str | None = None) -> GridState:
    """
    The running grid of that name, else the one kept on disk resumed, else a new one of one member.

    However many processes call at once, there is one grid. Raises as `start` does.
    """
    root = root or state_root()
    if state := find(name, root=root):
        return state
    return _start(Wish(name=checked_name(name), root=root, shape=None, server=server))


def _start(wish: Wish) -> GridState:
    try:
        wish.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(wish.root, wish.name, timeout=wish.timeout + 30):
            return _start_locked(wish)
    except OSError as error:
        raise StartFailed(f"grid {wish.name!r} cannot be kept in {wish.root}: {error}") from error


def _start_locked(wish: Wish) -> GridState:
    state = load(wish.root, wish.name)
    if state and any(pid_of(member) for member in state.members) and state.ready:
        if wish.shape not in (None, state.shape):
            raise GridRunning(f"a grid {wish.name!r} runs already ({state.shape}): stop it, or choose another name")
        return state
    folder = wish.root / wish.name
    if folder.exists():
        if state:
            end_members(state, state.members)
        shutil.rmtree(folder)
    return _start_new(wish)


def _start_new(wish: Wish) -> GridState:
    program = find_server(wish.server, tls=wish.tls is not None)
    for tries_left in reversed(range(PORT_TRIES)):
        try:
            return _try_new(wish, program)
        except PortTaken:
            if wish.base_port is not None or not tries_left:
                raise
    raise AssertionError("unreachable")


def _try_new(wish: Wish, program: ServerProgram) -> GridState:
    shape = wish.shape or ONE_MEMBER
    if wish.base_port is None:
        ports = free_pairs(shape.members, wish.host)
    else:
        ports = pairs_from(wish.base_port, shape.members, wish.host)
    plan = lay_out(shape, wish.host, ports, lambda: secrets.token_hex(20))
    state = _new_state(wish, plan, program)
    launch = Launch(state, deadline=time.monotonic() + wish.timeout, progress=wish.progress)
    try:
        _write_files(wish, plan, state, program)
        _bring_up(launch, plan, state)
        state = replace(launch.state, ready=True)
        save(state)
    except BaseException:
        launch.abandon()
        shutil.rmtree(state.folder, ignore_errors=True)
        raise
    launch.close()
    return state


def _bring_up(launch: Launch, plan: GridPlan, state: GridState) -> None:
    owners = state.members[: plan.shape.owners]
    launch.start(owners, "owners")
    launch.take_over(plan)
    if replicas := state.members[plan.shape.owners :]:
        launch.start(replicas, "replicas")
    launch.wait_whole()
    launch.check_writes(plan)


def _new_state(wish: Wish, plan: GridPlan, program: ServerProgram) -> GridState:
    folder = wish.root / wish.name
    return GridState(
        name=wish.name,
        folder=folder,
        shape=plan.shape,
        members=tuple(_member_state(member, folder) for member in plan.members),
        password=secrets.token_urlsafe(24),
        secret=secrets.token_bytes(32),
        server=program.path,
        version=f"{program.kind} {program.version}",
        created=time.time(),
        machine=machine_name(),
        tls=wish.tls,
        ready=False,
    )


def _member_state(member: MemberPlan, folder: Path) -> MemberState:
    return MemberState(
        index=member.index,
        id=member.id,
        host=member.host,
        port=member.port,
        bus_port=member.bus_port,
        role="owner" if member.follows is None else "replica",
        folder=folder / f"m{member.index + 1}",
    )


def _write_files(wish: Wish, plan: GridPlan, state: GridState, program: ServerProgram) -> None:
    state.folder.mkdir(mode=0o700)
    save(state)
    for member, planned in zip(state.members, plan.members, strict=True):
        member.folder.mkdir(mode=0o700)
        conf = conf_text(
            planned,
            plan.shape,
            member.folder,
            password=state.password,
            tls=state.tls,
            node_timeout_ms=wish.node_timeout_ms,
            settings=wish.settings,
        )
        _write(member.conf, conf)
        _write(member.folder / "nodes.conf", nodes_text(plan, planned.index, shards=program.has_shards))
        _write(member.log, "")


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
