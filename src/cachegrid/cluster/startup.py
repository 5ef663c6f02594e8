"""Start a grid on this host, or join the one that runs."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from cachegrid.cluster.files import has_entries, sweep, write_new
from cachegrid.cluster.identity import Identity, forget, recall, remember
from cachegrid.cluster.launch import Launch, PortTaken, Progress
from cachegrid.cluster.lock import locked
from cachegrid.cluster.plan import NODE_TIMEOUT_MS, GridPlan, MemberPlan, MemberTls, Shape
from cachegrid.cluster.ports import LOOPBACK, checked_host, is_loopback
from cachegrid.cluster.presence import find, pid_of
from cachegrid.cluster.processes import wait_gone
from cachegrid.cluster.revival import heal, resume
from cachegrid.cluster.server import ServerProgram, find_again, find_server
from cachegrid.cluster.shutdown import end_members
from cachegrid.cluster.standstill import refuse_still
from cachegrid.cluster.state import (
    GridState,
    MemberState,
    Stage,
    checked_name,
    load,
    machine_name,
    member_folder,
    purging,
    save,
    state_root,
)
from cachegrid.cluster.wish import Wish
from cachegrid.errors import (
    AccessDenied,
    ConfigError,
    EngineTimeout,
    GridError,
    GridRunning,
    ServerRefused,
    StartFailed,
    Unreachable,
)

__all__ = ["embedded", "start"]

PORT_TRIES = 5


def start(  # noqa: PLR0913 - settings, each with a default of its own
    name: str = "default",
    *,
    owners: int = 3,
    replicas: int = 1,
    memory: int | None = None,
    persist: bool = False,
    fsync: str = "second",
    when_full: str = "evict",
    host: str | None = None,
    base_port: int | None = None,
    tls: MemberTls | None = None,
    plaintext: bool = False,
    server: Path | str | None = None,
    root: Path | None = None,
    settings: Mapping[str, str] | None = None,
    node_timeout_ms: int = NODE_TIMEOUT_MS,
    force: bool = False,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> GridState:
    """
    Start a grid that outlives this process, and return when it serves; `replicas` is per owner, `memory` is bytes.

    Without `memory` a new grid may take a quarter of this host's, or container's, memory; 0 is no limit. One that
    runs in this shape is returned as it is, with its dead members restarted; one in another shape, with another host,
    other ports, TLS files or another server raises `GridRunning`. One that was kept on disk is resumed. If anything
    fails nothing is left behind, and `StartFailed` says what the server said; `ServerMissing` and `Unsupported` mean
    that no server program can be used. One that kept nothing on disk and died comes back without its entries.

    With `persist` entries are kept on disk, as of a second ago, or with `fsync="write"` each write before its answer. A
    full member evicts what was not used for longest, or, with `when_full="refuse"`, raises `GridFull` for more.

    `host` is the address of this host that members listen at, beside loopback: without, they are reached from this host
    alone. At one that is not loopback other hosts may join, and the shape is the part of this host; there `tls` has to
    be, or `plaintext` says that passwords and entries may travel as they are. Owners that would come back empty are not
    started while copies of what they had may be alive on hosts that are out of reach, unless `force` gives those up.
    """
    shape = Shape(
        owners=owners, replicas=replicas, memory=memory or None, persist=persist, fsync=fsync, when_full=when_full
    )
    wish = Wish(
        name=checked_name(name),
        root=(root or state_root()).absolute(),
        shape=shape,
        is_memory_said=memory is not None,
        host=None if host is None else checked_host(host, is_safe=tls is not None or plaintext),
        base_port=base_port,
        tls=_checked(tls),
        server=server,
        settings=settings or {},
        node_timeout_ms=node_timeout_ms,
        is_forced=force,
        progress=progress,
        timeout=timeout,
    )
    return _start(wish)


def embedded(name: str = "default", *, root: Path | None = None, server: Path | str | None = None) -> GridState:
    """
    The running grid of that name, else the one kept on disk resumed, else a new one of one member.

    One that kept nothing on disk and whose members all died comes back in its own shape; of more than one member that
    is logged as a warning.

    However many processes call at once, there is one grid. Raises as `start` does.
    """
    root = (root or state_root()).absolute()
    with suppress(GridError):  # what cannot be read is dealt with below
        if state := find(name, root=root):
            return state
    return _start(Wish(name=checked_name(name), root=root, shape=None, server=server))


def _checked(tls: MemberTls | None) -> MemberTls | None:
    for name, path in asdict(tls).items() if tls else ():
        if not path.is_file():
            raise ConfigError(f"tls.{name}", str(path), "a PEM file that is there")
    return tls


def _start(wish: Wish) -> GridState:
    try:
        wish.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(wish.root, wish.name, timeout=wish.timeout + 30):
            return _start_locked(wish)
    except OSError as error:
        raise StartFailed(f"grid {wish.name!r} cannot be kept in {wish.root}: {error}") from error
    except (Unreachable, EngineTimeout, AccessDenied, ServerRefused) as error:
        raise StartFailed(f"grid {wish.name!r} failed while it was being started: {error}") from error


def _start_locked(wish: Wish) -> GridState:
    state, folder = _known(wish), wish.root / wish.name
    if state is None:
        before = _died(wish)
        if before is None:
            _clear(folder)
            return _start_new(wish)
        return _revived(wish, before)
    _refuse_other(wish, state)
    if state.spread:
        from cachegrid.cluster.hosts.joining import back_again  # what only grids across hosts need
        from cachegrid.cluster.operation import Way

        way = Way(timeout=wish.timeout)
        way = replace(way, progress=wish.progress) if wish.progress else way
        return back_again(state, way, is_forced=wish.is_forced)
    alive = [member for member in state.members if pid_of(member)]
    if state.stage is Stage.RESUMING:  # whoever resumed it has not come to an end
        end_members(state, alive)
    elif len(alive) == len(state.members):
        return state
    elif alive:
        refuse_still(state)
        return heal(state, timeout=wish.timeout, progress=wish.progress)
    program = find_again(wish.server, state.server, tls=state.tls is not None)
    return resume(state, program, timeout=wish.timeout, progress=wish.progress)


def _known(wish: Wish) -> GridState | None:
    """The grid of that name if it runs, or has entries on disk; None if there is none, or nothing left of one."""
    folder = wish.root / wish.name
    try:
        state = load(wish.root, wish.name)
    except GridError:
        state = None
    if state is None and has_entries(folder):
        raise StartFailed(f"{folder} holds entries on disk, and its grid.json cannot be read: {purging(wish.name)}")
    if state is None or state.stage is Stage.STARTING:  # its start was cut short: nobody has put anything there
        return None
    if state.machine != machine_name():
        raise GridRunning(
            f"grid {wish.name!r} in {wish.root} was started on host {state.machine!r}, and may be running there: "
            f"name another state folder in CACHEGRID_STATE, or, if that host is gone, {purging(wish.name)}"
        )
    is_there = state.persist or state.spread or any(pid_of(member) for member in state.members)
    return state if is_there else None


def _died(wish: Wish) -> GridState | None:
    """A grid that kept nothing on disk, and of which all members died, where it is what is wished for."""
    try:
        state = load(wish.root, wish.name)
    except GridError:
        return None
    if state is None or state.stage is Stage.STARTING or not wish.fits(state.shape) or wish.settings:
        return None
    return None if any(wish.ignored(state, is_running=False)) else state


def _revived(wish: Wish, before: GridState) -> GridState:
    """A grid without its entries: the members that it had, or, where these cannot be started, as many others."""
    program = find_again(wish.server, before.server, tls=before.tls is not None)
    try:
        asked = replace(before, embedded=before.embedded and wish.shape is None)
        state = resume(asked, program, timeout=wish.timeout, progress=wish.progress)
    except (StartFailed, OSError):  # a port is taken, or files are gone
        _clear(before.folder)
        state = _start_new(replace(wish.like(before), server=program.path))
    if wish.shape is None:  # nobody asked for a grid to be started, and none can be told but by the log
        level = logging.INFO if len(state.members) == 1 else logging.WARNING
        lost = "had died, and it kept nothing on disk: it is up again, without its entries"
        logging.getLogger("cachegrid").log(level, "all members of grid %r %s (%s)", state.name, lost, state.shape)
    return state


def _clear(folder: Path) -> None:
    """Remove what is left of a grid that died, all but what programs know it by."""
    if not folder.exists():
        return
    with suppress(GridError):
        state = load(folder.parent, folder.name)
        if state and state.stage is not Stage.STARTING:
            remember(state)
            wait_gone((member.pid, member.conf) for member in state.members)  # so that their ports are free
    sweep(folder)


def _refuse_other(wish: Wish, state: GridState) -> None:
    """Raise if the grid that is there is not what is wished for: it has entries, and goes on as it is."""
    is_running = any(pid_of(member) for member in state.members)
    shape = [] if wish.fits(state.shape) else [str(state.shape), *wish.unlike(state.shape)]
    differs = shape or list(wish.ignored(state, is_running=is_running))
    if not differs:
        return
    as_it_is, what = f"cachegrid up {state.options}", "; ".join(differs)
    if is_running:
        raise GridRunning(
            f"a grid {state.name!r} runs already ({what}): `{as_it_is}` takes it as it is; "
            f"`cachegrid add{state.option}` and `remove` change its size while it runs; for another, back its entries "
            f"up, stop it, and restore them there, or choose another name"
        )
    raise StartFailed(
        f"grid {state.name!r} has entries on disk, and was otherwise ({what}): `{as_it_is}` resumes it; "
        f"then `cachegrid add{state.option}` and `remove` change its size; choose another name, or "
        f"remove it, and its entries, with `cachegrid down --purge{state.option}`"
    )


def _start_new(wish: Wish) -> GridState:
    program = find_server(wish.server, tls=wish.tls is not None)
    before = recall(wish.root, wish.name)
    for tries_left in reversed(range(PORT_TRIES)):
        try:
            state = _try_new(wish, program, before)
        except PortTaken:
            if wish.base_port is not None or not tries_left:
                raise
            before = replace(before, ports=()) if before else None  # one of them, perhaps
        else:
            forget(wish.root, wish.name)  # the grid has it
            return state
    raise AssertionError("unreachable")


def _try_new(wish: Wish, program: ServerProgram, before: Identity | None) -> GridState:
    plan = wish.new_plan(before)
    state = _new_state(wish, plan, program, before)
    try:
        write_new(state, plan, program, settings=wish.settings, node_timeout_ms=wish.node_timeout_ms)
        with Launch(state, deadline=time.monotonic() + wish.timeout, progress=wish.progress) as launch:
            launch.bring_up(plan)
            state = replace(launch.state, stage=Stage.READY)
            save(state)
    except BaseException:
        with suppress(OSError):  # the first failure is the one to tell
            sweep(state.folder)
        raise
    return state


def _new_state(wish: Wish, plan: GridPlan, program: ServerProgram, before: Identity | None) -> GridState:
    folder = wish.root / wish.name
    return GridState(
        name=wish.name,
        folder=folder,
        shape=plan.shape,
        members=tuple(_member_state(member, folder) for member in plan.members),
        password=before.password if before else secrets.token_urlsafe(24),
        secret=before.secret if before else secrets.token_bytes(32),
        server=program.path,
        version=f"{program.kind} {program.version}",
        created=time.time(),
        machine=machine_name(),
        tls=wish.tls,
        stage=Stage.STARTING,
        embedded=wish.shape is None,
        spread=not is_loopback(wish.host or LOOPBACK),
    )


def _member_state(member: MemberPlan, folder: Path) -> MemberState:
    return MemberState(
        index=member.index,
        id=member.id,
        host=member.host,
        port=member.port,
        bus_port=member.bus_port,
        role="owner" if member.follows is None else "replica",
        folder=member_folder(folder, member.index),
    )
