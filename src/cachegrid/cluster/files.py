"""The folder of a grid: written before its members start, and cleared when nothing in it is worth keeping."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from cachegrid.cluster.plan import GridPlan, MemberPlan, conf_beside, conf_text, nodes_text
from cachegrid.cluster.processes import send_signal, wait_gone
from cachegrid.cluster.server import ServerProgram
from cachegrid.cluster.state import GridState, MemberState, save

__all__ = [
    "drop_nodes_aside",
    "has_entries",
    "keeps_entries",
    "own_nodes",
    "put_nodes_aside",
    "shared_settings",
    "sweep",
    "write_first",
    "write_new",
    "write_nodes",
    "write_one_more",
]

# What is a member's own in its settings file.
OF_ONE = frozenset(
    (
        *("bind", "port", "cluster-port", "cluster-announce-ip", "dir", "logfile", "pidfile"),
        *("requirepass", "masterauth", "maxmemory", "repl-backlog-size"),
    )
)
DATA = "appendonlydir"
NODES, ASIDE = "nodes.conf", "nodes.aside"


def write_new(
    state: GridState, plan: GridPlan, program: ServerProgram, *, settings: Mapping[str, str], node_timeout_ms: int
) -> None:
    """Write all that the members of a new grid need to start; whoever can read the secrets is their owner alone."""
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
            node_timeout_ms=node_timeout_ms,
            settings=settings,
            announce=state.spread,
        )
        _write(member.conf, conf)
        _write(member.log, "")
    write_nodes(state, plan, program)


def write_one_more(state: GridState, member: MemberState) -> None:
    """Write what a member needs to start that comes to a grid that runs; it knows itself and nobody else."""
    model = next(other for other in state.members if other.index != member.index and other.conf.exists())
    member.folder.mkdir(mode=0o700, exist_ok=True)
    where = {"port": member.port, "bus_port": member.bus_port}
    _write(member.conf, conf_beside(model.conf.read_text(), member.folder, **where, tls=state.tls is not None))
    _write(member.log, "")
    _write_alone(member)


def write_first(state: GridState, plan: MemberPlan, member: MemberState, settings: Mapping[str, str]) -> None:
    """
    Write the same for the first member that joins a grid of other hosts from here.

    `settings` are lines of theirs, as they are in a settings file.
    """
    member.folder.mkdir(mode=0o700)
    conf = conf_text(plan, state.shape, member.folder, password=state.password, tls=state.tls, announce=True)
    lines = dict(line.split(" ", 1) for line in conf.splitlines()) | dict(settings)
    _write(member.conf, "".join(f"{name} {value}\n" for name, value in lines.items()))
    _write(member.log, "")
    _write_alone(member)


def shared_settings(conf: str) -> dict[str, str]:
    """What has to be the same for all members of a grid, of one's settings file: not where it is, nor its secrets."""
    lines = dict(line.split(" ", 1) for line in conf.splitlines() if line.strip())
    return {name: value for name, value in lines.items() if name not in OF_ONE and not name.startswith("tls-")}


def _write_alone(member: MemberState) -> None:
    address = f"{member.host}:{member.port}@{member.bus_port}"
    alone = f"{member.id} {address} myself,master - 0 0 0 connected\nvars currentEpoch 0 lastVoteEpoch 0\n"
    _write(member.folder / NODES, alone)


def write_nodes(state: GridState, plan: GridPlan, program: ServerProgram) -> None:
    """Tell every member, none of which may be running, what it shall believe about the grid when it starts."""
    for member, planned in zip(state.members, plan.members, strict=True):
        _write(member.folder / NODES, nodes_text(plan, planned.index, shards=program.has_shards))


def put_nodes_aside(state: GridState) -> None:
    """Keep what the members wrote about the grid themselves; what an interrupted resume has put aside stays."""
    for member in state.members:
        if (member.folder / ASIDE).exists():
            continue
        if not (member.folder / NODES).exists():  # else it would later pass for its own what we are about to write
            _write(member.folder / NODES, "")
        (member.folder / NODES).rename(member.folder / ASIDE)


def drop_nodes_aside(state: GridState) -> None:
    """Forget what was put aside: the members know better now."""
    for member in state.members:
        (member.folder / ASIDE).unlink(missing_ok=True)


def own_nodes(member: MemberState) -> Path:
    """The file with what a member has last known by itself."""
    aside = member.folder / ASIDE
    return aside if aside.exists() else member.folder / NODES


def has_entries(folder: Path) -> bool:
    """Whether any member has kept entries on disk there."""
    return any(folder.glob(f"m*/{DATA}/*"))


def keeps_entries(member: MemberState) -> bool:
    """Whether this one has."""
    return any((member.folder / DATA).glob("*"))


def sweep(folder: Path) -> None:
    """Remove a grid's folder, and end what still runs from it: members whose start was cut short, for one."""
    confs = list(folder.glob("m*/member.conf"))
    pids = {conf: pid for conf in confs if (pid := _noted_pid(conf.with_name("pid")))}
    for conf, pid in pids.items():
        send_signal(pid, conf, signal.SIGKILL)
    wait_gone((pid, conf) for conf, pid in pids.items())
    shutil.rmtree(folder)


def _noted_pid(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
