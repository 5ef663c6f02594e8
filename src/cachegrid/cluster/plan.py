"""What a grid will look like, decided before anything is started: slots, placement, and the members' files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from cachegrid._core.units import size_text
from cachegrid.engines.valkey.slots import SLOTS
from cachegrid.errors import ConfigError

__all__ = [
    "NODE_TIMEOUT_MS",
    "SOCKET",
    "GridPlan",
    "MemberPlan",
    "MemberTls",
    "Shape",
    "conf_beside",
    "conf_text",
    "counted",
    "lay_out",
    "nodes_text",
    "quoted",
    "slot_ranges",
]

MOST_MEMBERS = 1000
# A killed owner is replaced within 2 s: twice this at most, and an election. One that is only slow has this to answer.
NODE_TIMEOUT_MS = 800
SOCKET = "socket"  # of a member, in its folder
LEAST_MEMORY = 8_000_000  # bytes per owner: an empty server already takes 3 MB of them
MIB = 1 << 20
FSYNC = {"second": "everysec", "write": "always"}
# Only what has an end is evicted: an epoch has none, and a cache whose epoch is lost is empty for everybody.
WHEN_FULL = {"evict": "volatile-lru", "refuse": "noeviction"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberTls:
    """
    PEM files by which the members of a grid know each other, and clients know them: all three, by absolute paths.

    What a client trusts is `TlsFiles` of the engine, which can do without any.
    """

    ca: Path
    cert: Path
    key: Path

    def __post_init__(self) -> None:
        """Make the paths absolute, as servers need them that run in folders of their own."""
        for name in ("ca", "cert", "key"):
            object.__setattr__(self, name, Path(getattr(self, name)).absolute())


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large a grid is: what must be the same for two starts to mean the same grid."""

    owners: int = 3
    replicas: int = 1  # of each owner
    memory: int | None = None  # bytes of the whole grid, split over its owners; None: no limit
    persist: bool = False
    fsync: str = "second"  # when what is kept is on disk: each "write", before its answer, or each "second"
    when_full: str = "evict"  # what was not used for longest goes; or "refuse" more

    def __post_init__(self) -> None:
        """Refuse what no grid can be."""
        if self.fsync not in FSYNC:
            raise ConfigError("fsync", self.fsync, " or ".join(FSYNC))
        if self.fsync == "write" and not self.persist:
            raise ConfigError("fsync", self.fsync, "said with persist: nothing else is written to disk")
        if self.when_full not in WHEN_FULL:
            raise ConfigError("when_full", self.when_full, " or ".join(WHEN_FULL))
        if self.owners < 1:
            raise ConfigError("members", self.owners, "1 or more")
        if self.replicas < 0:
            raise ConfigError("replicas", self.replicas, "0 or more")
        if self.members > MOST_MEMBERS:
            want = f"so few that owners and their replicas are {MOST_MEMBERS} members or less"
            raise ConfigError("members", self.owners, want)
        if self.memory is not None and self.memory < LEAST_MEMORY * self.owners:
            each = f": {size_text(LEAST_MEMORY)} for each of its {self.owners} owners" if self.owners > 1 else ""
            least = LEAST_MEMORY * self.owners
            raise ConfigError("memory", self.memory, f"at least {least}, or {size_text(least)}{each}")

    def with_owners(self, owners: int) -> Shape:
        """The same with other owners: each may take as much memory as it does."""
        memory = None if self.memory is None else self.memory // self.owners * owners
        return replace(self, owners=owners, memory=memory)

    @property
    def members(self) -> int:
        """Owners and replicas together."""
        return self.owners * (1 + self.replicas)

    def __str__(self) -> str:
        """In words, as messages and people need it."""
        words = [counted(self.owners, "owner"), f"{counted(self.replicas, 'replica')} each"]
        words.append("no memory limit" if self.memory is None else f"{size_text(self.memory)} of memory")
        if self.when_full == "refuse" and self.memory is not None:
            words.append("refusing more when full")
        kept = "kept on disk with each write" if self.fsync == "write" else "kept on disk"
        return ", ".join([*words, kept if self.persist else "not kept on disk"])


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPlan:
    """One member to be: `follows` is the index of the owner that a replica copies, None for an owner."""

    index: int
    id: str  # 40 hex digits, as the cluster's members name each other
    host: str
    port: int
    bus_port: int
    slots: tuple[range, ...]
    follows: int | None
    shard: str
    phantom: str  # of an owner, the id of a member that never is: see `nodes_text`


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPlan:
    """All members to be, by their index."""

    shape: Shape
    members: tuple[MemberPlan, ...]

    def member(self, index: int) -> MemberPlan:
        """The member of that index, which is not its place where others have left the grid."""
        return next(member for member in self.members if member.index == index)

    @property
    def owners(self) -> tuple[MemberPlan, ...]:
        """The members that will own slots."""
        return tuple(member for member in self.members if member.follows is None)

    @property
    def replicas(self) -> tuple[MemberPlan, ...]:
        """The members that will copy an owner."""
        return tuple(member for member in self.members if member.follows is not None)


def slot_ranges(owners: int) -> list[range]:
    """
    The slots of each owner: all of them, in order, and no two owners differ by more than one.

    >>> slot_ranges(3)
    [range(0, 5461), range(5461, 10922), range(10922, 16384)]
    """
    bounds = [index * SLOTS // owners for index in range(owners + 1)]
    return [range(start, end) for start, end in pairwise(bounds)]


def lay_out(shape: Shape, host: str, ports: Sequence[tuple[int, int]], new_id: Callable[[], str]) -> GridPlan:
    """Give every member its ports (client, bus), its slots, or the owner it follows; `new_id` makes 40 hex digits."""
    ranges = slot_ranges(shape.owners)
    shards = [new_id() for _ in ranges]
    members = [
        MemberPlan(
            index=index,
            id=new_id(),
            host=host,
            port=port,
            bus_port=bus_port,
            slots=(ranges[index],) if index < shape.owners else (),
            follows=None if index < shape.owners else index % shape.owners,
            shard=shards[index % shape.owners],
            phantom=new_id() if index < shape.owners else "",
        )
        for index, (port, bus_port) in enumerate(ports)
    ]
    return GridPlan(shape=shape, members=tuple(members))


def nodes_text(plan: GridPlan, me: int, *, shards: bool) -> str:
    """
    What member `me` shall believe about the grid when it starts: its `nodes.conf`.

    An owner believes that every owner is a replica of a phantom, which owns its slots. A server that
    starts as an owner refuses writes for two seconds; one that takes over from a phantom serves at once.
    A replica starts after that, and is told what is then true. `shards` for servers that know shard ids.
    """
    count = len(plan.members)
    own_view = plan.member(me).follows is None
    lines: list[str] = []
    for member in plan.members:
        flags = "myself," if member.index == me else ""
        if member.follows is not None:
            follows = plan.member(member.follows)
            epoch = 0 if own_view else _epoch(plan, follows)
            lines.append(_line(member, f"{flags}slave {follows.id} 0 0 {epoch} connected", shards))
        elif own_view:
            lines.append(_line(member, f"{flags}slave {member.phantom} 0 0 0 connected", shards))
            lines.append(_phantom_line(member, shards))
        else:
            state = f"master - 0 0 {_epoch(plan, member)} connected {_span(member.slots)}"
            lines.append(_line(member, state, shards))
    # Taking over raises the epoch by one: to what the replicas were told already.
    epoch = _epoch(plan, plan.member(me)) - 1 if own_view else 2 * count
    return "\n".join([*lines, f"vars currentEpoch {epoch} lastVoteEpoch 0", ""])


def conf_text(
    member: MemberPlan,
    shape: Shape,
    folder: Path,
    *,
    password: str,
    tls: MemberTls | None = None,
    node_timeout_ms: int = NODE_TIMEOUT_MS,
    settings: Mapping[str, str] | None = None,
    announce: bool = False,
) -> str:
    """
    The server's settings file; `settings` come last and so win over ours.

    With `announce` it tells other hosts its address, and does not guess.
    """
    lines = {
        **_where(member, folder, tls),
        **({"cluster-announce-ip": member.host} if announce else {}),
        **_cluster(node_timeout_ms),
        **_memory(shape),
        "requirepass": quoted(password),
        "masterauth": quoted(password),  # the name that Redis and Valkey both know
        "appendonly": "yes" if shape.persist else "no",
        **({"appendfsync": FSYNC[shape.fsync]} if shape.persist else {}),
        "save": '""',
        **{name: quoted(value) for name, value in (settings or {}).items()},
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def conf_beside(model: str, folder: Path, *, port: int, bus_port: int, tls: bool) -> str:
    """The settings file of one more member, by that of one that is there: all but where it is stays the same."""
    lines = dict(line.split(" ", 1) for line in model.splitlines() if line.strip())
    lines |= _kept_in(folder) | {"port": str(0 if tls else port), "cluster-port": str(bus_port)}
    lines |= {"tls-port": str(port)} if tls else {}
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def quoted(value: str | Path) -> str:
    r"""
    A value as the server's settings file takes it, whatever is in it.

    >>> print(quoted('/home/O"Hara/my grids'))
    "/home/O\"Hara/my grids"
    """
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _where(member: MemberPlan, folder: Path, tls: MemberTls | None) -> dict[str, str]:
    hosts = dict.fromkeys(["127.0.0.1", member.host])  # each once, in order
    lines = {
        "bind": " ".join(hosts),
        "port": str(0 if tls else member.port),
        "cluster-port": str(member.bus_port),
        "unixsocket": SOCKET,  # in `dir`: its whole path may be longer than that of a socket can be
        "unixsocketperm": "700",
        **_kept_in(folder),
        "daemonize": "no",  # the starter detaches it, and so knows its pid from the first moment
        "set-proc-title": "no",  # the command line goes on naming the settings file: how we know our own
    }
    if tls:
        lines |= {
            "tls-port": str(member.port),
            "tls-ca-cert-file": quoted(tls.ca),
            "tls-cert-file": quoted(tls.cert),
            "tls-key-file": quoted(tls.key),
            "tls-auth-clients": "optional",  # the password says who may; a certificate is welcome
            "tls-cluster": "yes",
            "tls-replication": "yes",
        }
    return lines


def _kept_in(folder: Path) -> dict[str, str]:
    return {"dir": quoted(folder), "logfile": quoted(folder / "log"), "pidfile": quoted(folder / "pid")}


def _cluster(node_timeout_ms: int) -> dict[str, str]:
    return {
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": str(node_timeout_ms),
        "cluster-require-full-coverage": "no",  # a lost part does not stop the others
        "cluster-allow-reads-when-down": "yes",  # a replica answers while its owner is being replaced
        "repl-diskless-sync": "yes",
        "repl-diskless-sync-delay": "0",  # else every replica waits 5 s for others to join it
        "repl-diskless-load": "on-empty-db",  # else it goes through a file, and a timer of 1 s
        "replica-ignore-disk-write-errors": "yes",  # else a disk without room ends every replica
    }


def _memory(shape: Shape) -> dict[str, str]:
    if shape.memory is None:
        return {}
    each = shape.memory // shape.owners
    # The backlog counts as used memory: a small owner must not spend most of it there.
    backlog = max(MIB, min(10 * MIB, each // 16))
    return {"maxmemory": str(each), "maxmemory-policy": WHEN_FULL[shape.when_full], "repl-backlog-size": str(backlog)}


def _line(member: MemberPlan, state: str, shards: bool) -> str:  # noqa: FBT001 - private, and read beside its callers
    shard = f",,shard-id={member.shard}" if shards else ""
    return f"{member.id} {member.host}:{member.port}@{member.bus_port}{shard} {state}"


def _phantom_line(owner: MemberPlan, shards: bool) -> str:  # noqa: FBT001
    # The port of a phantom is one where nothing listens; without any address the grid counts it as lost.
    shard = f",,shard-id={owner.shard}" if shards else ""
    return f"{owner.phantom} 127.0.0.1:1@1{shard} master - 0 0 0 connected {_span(owner.slots)}"


def _epoch(plan: GridPlan, owner: MemberPlan) -> int:
    """The configuration epoch an owner has after it took over: each its own, or they would settle it among them."""
    return len(plan.members) + plan.members.index(owner) + 1


def _span(slots: tuple[range, ...]) -> str:
    return " ".join(f"{span.start}-{span.stop - 1}" for span in slots)


def counted(number: int, noun: str) -> str:
    """
    A number of things.

    >>> counted(1, "owner"), counted(2, "owner")
    ('1 owner', '2 owners')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
