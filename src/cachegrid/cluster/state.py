"""The state folder: what is known about the grids of this user, kept in files that only the user can read."""

from __future__ import annotations

import enum
import json
import os
import re
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cachegrid.cluster.plan import MIB, SOCKET, MemberTls, Shape
from cachegrid.config import DEFAULT_NAME
from cachegrid.engines.valkey.facts import read_rows
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.errors import ConfigError, GridError

__all__ = [
    "GridState",
    "MemberState",
    "Phase",
    "Stage",
    "checked_name",
    "load",
    "machine_name",
    "member_folder",
    "names",
    "option_of",
    "purging",
    "save",
    "state_root",
    "write_atomically",
]

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
NODES = "nodes.conf"  # what a member writes down of the grid
PHANTOM_PORT = 1  # of members that never are: see `plan.nodes_text`
FORMAT = 1


class Stage(enum.Enum):
    """How far a grid has been brought up, as its starter wrote down before it went on."""

    STARTING = "starting"  # for the first time: there are no entries yet
    RESUMING = "resuming"  # with entries on disk, and members that may not yet know what they own
    READY = "ready"


class Phase(enum.StrEnum):
    """Whether a member comes or goes, as was written down before anything was done about it."""

    JOINING = "joining"
    HERE = "here"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberState:
    """One member as it was started; what it is now, the member itself says (see `members`)."""

    index: int  # its own for ever: members that leave take theirs with them
    id: str
    host: str
    port: int
    bus_port: int
    role: str  # "owner" or "replica", as planned: a failover changes it
    folder: Path
    pid: int = 0
    phase: Phase = Phase.HERE
    follows: int | None = None  # the index of the owner that a joining replica is to copy

    @property
    def conf(self) -> Path:
        """Its settings file, which its command line names."""
        return self.folder / "member.conf"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "log"

    @property
    def socket(self) -> Path:
        """The unix socket that it listens at, beside its port."""
        return self.folder / SOCKET

    @property
    def address(self) -> str:
        """`host:port`, as URLs take it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GridState:
    """A grid of this user on this host: its members, where it is kept, and its secrets."""

    name: str
    folder: Path
    shape: Shape
    members: tuple[MemberState, ...]
    password: str = field(repr=False)
    secret: bytes = field(repr=False)  # 32 bytes: signs what must come from this grid's programs
    server: Path  # the program its members run
    version: str  # of that program, such as "Valkey 9.1.2"
    created: float  # seconds since 1970
    machine: str  # the host name it was started on: process ids mean nothing elsewhere
    tls: MemberTls | None = None
    stage: Stage = Stage.READY
    embedded: bool = False  # `connect()` started it: nobody asked for one member
    spread: bool = False  # it may have members on other hosts: what is written down here is the part of this one
    peers: tuple[str, ...] = ()  # the addresses of those, by what the members of this host have last known

    def member(self, index: int) -> MemberState:
        """
        The member of that index; members before it may have left, and so it is not its place in `members`.

        Raises LookupError if there is none, or no longer.
        """
        found = next((member for member in self.members if member.index == index), None)
        if found is None:
            raise LookupError(f"grid {self.name!r} has no member of index {index}")
        return found

    @property
    def ready(self) -> bool:
        """Whether it has been brought up; its members may be dead since."""
        return self.stage is Stage.READY

    @property
    def persist(self) -> bool:
        """Whether its entries are kept on disk."""
        return self.shape.persist

    @property
    def option(self) -> str:
        """What says to any command that this grid is meant, after a space; nothing for the one that is meant anyway."""
        return option_of(self.name)

    @property
    def options(self) -> str:
        """What to say to `cachegrid up` for this very grid; the memory limit that it has needs no saying."""
        persist = " --persist" if self.persist else ""
        persist += " --fsync write" if self.shape.fsync == "write" else ""
        persist += " --when-full refuse" if self.shape.when_full == "refuse" else ""
        return f"{self.option} --members {self.shape.owners} --replicas {self.shape.replicas}{persist}".lstrip()

    @property
    def all_options(self) -> str:
        """The same with the memory limit, for a grid that is to be made anew: nothing is there then that has it."""
        if self.memory is None:
            return self.options
        units = ((MIB, "MiB"), (10**6, "MB"), (1, ""))  # as it was said, if it was
        size, unit = next((size, unit) for size, unit in units if self.memory % size == 0)
        return f"{self.options} --memory {self.memory // size}{unit}"

    @property
    def host(self) -> str:
        """The address of this host that its members listen at."""
        return self.members[0].host

    @property
    def memory(self) -> int | None:
        """Bytes that its entries may take, all owners together; None: no limit."""
        return self.shape.memory

    @property
    def url(self) -> str:
        """For people, and for programs of this user: the password is found by the name."""
        return self._url("", f"grid={quote(self.name)}")

    @property
    def full_url(self) -> str:
        """With the password, and so not for logs."""
        files = "&".join(f"{key}={quote(str(value))}" for key, value in asdict(self.tls).items()) if self.tls else ""
        return self._url(f":{quote(self.password, safe='')}@", files)

    def _url(self, user: str, query: str) -> str:
        scheme = "valkeys" if self.tls else "valkey"
        addresses = ",".join([*(member.address for member in self.members), *self.peers])
        return f"{scheme}://{user}{addresses}{'?' if query else ''}{query}"


def option_of(name: str) -> str:
    """
    What says to any command which grid is meant, after a space; nothing for the one that is meant anyway.

    >>> option_of("orders"), option_of("default")
    (' --name orders', '')
    """
    return "" if name == DEFAULT_NAME else f" --name {name}"


def purging(name: str) -> str:
    """
    What makes an end of what is kept of a grid, in words.

    >>> purging("orders")
    '`cachegrid down --purge --name orders` removes it'
    """
    return f"`cachegrid down --purge{option_of(name)}` removes it"


def state_root() -> Path:
    """
    Where the grids of this user are kept: `CACHEGRID_STATE`, else the system's place for a program's state.

    Raises ConfigError if that variable names what is no folder and cannot become one.
    """
    if chosen := os.environ.get("CACHEGRID_STATE"):
        root = Path(chosen).expanduser().absolute()
        nearest = next(path for path in (root, *root.parents) if os.path.lexists(path))
        if not nearest.is_dir():
            raise ConfigError("CACHEGRID_STATE", chosen, f"a folder, or one that can be made; {nearest} is none")
        return root
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "cachegrid"
    if chosen := os.environ.get("XDG_STATE_HOME"):
        return Path(chosen).absolute() / "cachegrid"
    return Path.home() / ".local" / "state" / "cachegrid"


def checked_name(name: str) -> str:
    """The name, if a grid may have it; it becomes the name of a folder."""
    if not NAME.fullmatch(name):
        raise ConfigError("name", name, "1 to 63 of a-z, 0-9, '_', '.' and '-', and begin with a letter or digit")
    return name


def names(root: Path) -> list[str]:
    """The names of all grids that have a folder, sorted."""
    try:
        found = [entry.name for entry in os.scandir(root) if entry.is_dir() and NAME.fullmatch(entry.name)]
    except FileNotFoundError:
        return []
    return sorted(found)


def save(state: GridState) -> None:
    """
    Write grid.json and secrets.json; a crash leaves the old ones or the new ones, never a half.

    What is kept on disk is there even if the host fails right after; of another grid nothing would be left then.
    """
    facts = asdict(state)
    hidden = {"password": facts.pop("password"), "secret": facts.pop("secret").hex()}
    del facts["folder"], facts["name"], facts["peers"]  # those the members write down themselves
    facts["stage"] = state.stage.value
    for member in facts["members"]:
        del member["folder"]
    write_atomically(state.folder / "secrets.json", json.dumps(hidden), durable=state.persist)
    told = json.dumps({"format": FORMAT, **facts}, default=str, indent=1)
    write_atomically(state.folder / "grid.json", told, durable=state.persist)


def load(root: Path, name: str) -> GridState | None:
    """The grid of that name as it was last written, running or not; None if there is none."""
    folder = root.absolute() / checked_name(name)
    try:
        facts = json.loads((folder / "grid.json").read_bytes())
        hidden = json.loads((folder / "secrets.json").read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise GridError(f"the state of grid {name!r} in {folder} cannot be read ({error}): {purging(name)}") from error
    try:
        return _from_json(facts, hidden, folder)
    except (KeyError, TypeError, ValueError) as error:
        raise GridError(
            f"the state of grid {name!r} in {folder} is damaged, or of another version ({error}): {purging(name)}"
        ) from error


def member_folder(folder: Path, index: int) -> Path:
    """Where the member of that index keeps its files, in the folder of its grid."""
    return folder / f"m{index + 1}"


def machine_name() -> str:
    """The name of this host."""
    return socket.gethostname()


def write_atomically(path: Path, text: str, *, durable: bool) -> None:
    """Replace a file so that readers, and a crash, see all of the old or all of the new; only its owner can read it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _from_json(facts: dict[str, Any], hidden: dict[str, Any], folder: Path) -> GridState:
    tls = facts["tls"]
    members, spread = _members(facts["members"], folder), bool(facts.get("spread", False))
    return GridState(
        name=folder.name,
        folder=folder,
        shape=Shape(**facts["shape"]),
        members=members,
        password=hidden["password"],
        secret=bytes.fromhex(hidden["secret"]),
        server=Path(facts["server"]),
        version=facts["version"],
        created=facts["created"],
        machine=facts["machine"],
        tls=MemberTls(**{key: Path(value) for key, value in tls.items()}) if tls else None,
        stage=Stage(facts["stage"]),
        embedded=bool(facts.get("embedded", False)),
        spread=spread,
        peers=_peers(members) if spread else (),
    )


def _peers(members: tuple[MemberState, ...]) -> tuple[str, ...]:
    """The members on other hosts that those of this one know: whoever was lost last comes last."""
    own, found = {member.id for member in members}, dict[str, bool]()
    for member in members:
        with suppress(OSError, ValueError, IndexError):  # not there, or torn: the others have it, too
            lines = (member.folder / NODES).read_text().splitlines()
            rows = read_rows(line for line in lines if not line.startswith("vars ")).values()
            there = [
                row
                for row in rows
                if row.id not in own and row.port > PHANTOM_PORT and not row.flags & {"noaddr", "handshake"}
            ]
            found |= {str(Endpoint(row.host, row.port)): "fail" in row.flags for row in there}
    return tuple(sorted(found, key=lambda address: found[address]))


def _members(rows: Iterable[dict[str, Any]], folder: Path) -> tuple[MemberState, ...]:
    return tuple(
        MemberState(
            **row | {"phase": Phase(row.get("phase", Phase.HERE)), "folder": member_folder(folder, row["index"])}
        )
        for row in rows
    )
