"""What a grid looks like to whoever examines it: plain values, gathered once, from which all findings follow."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from cachegrid._core.durability import Durability

__all__ = ["Badness", "Examined", "Finding", "HostReport", "MemberReport", "Socket"]


class Badness(enum.StrEnum):
    """How bad a finding is: what fails or is lost now, what may be soon, or what is good to know."""

    PROBLEM = "problem"
    WARNING = "warning"
    NOTE = "note"


class Socket(enum.Enum):
    """Whether programs of this host reach a member by its unix socket."""

    THERE = "there"  # or it is a member of another host, of which nobody expects it
    MISSING = "missing"
    FAR = "far"  # its path is longer than one can be


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be: what, where, and what to do about it."""

    check: str  # a word that stays the same, for programs
    badness: Badness
    what: str
    where: tuple[str, ...] = ()  # members, files or hosts; none: the whole grid
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberReport:
    """A member as it tells of itself; one that does not answer has a `silence`, and what others say of it."""

    address: str
    host: str
    id: str = ""
    is_owner: bool = True
    follows: str = ""  # the id of its owner
    slots: tuple[range, ...] = ()
    silence: str = ""  # why nothing is known
    info: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] | None = None  # None where they may not be asked for
    health: Mapping[str, str] = field(default_factory=dict)  # CLUSTER INFO
    view: Mapping[str, tuple[str, tuple[range, ...]]] = field(default_factory=dict)  # of each member: follows, slots
    half_moved: int = 0  # slots on their way to or from it
    skew: float | None = None  # seconds by which its clock is ahead of ours
    blur: float = 0.0  # seconds by which that may be wrong
    process: int = 0  # its id, where it runs on this host, whether it answers or not
    deaths: int = 0  # how often it was started within the last hour though it had not ended in order, by its log
    socket: Socket = Socket.THERE

    @property
    def is_up(self) -> bool:
        """Whether it has answered."""
        return not self.silence

    def number(self, name: str) -> int:
        """A number that it tells in INFO; 0 where it does not."""
        said = self.info.get(name, "0")
        return int(said) if said.lstrip("-").isdigit() else 0

    def setting(self, name: str) -> str:
        """One of its settings; empty where it may not be asked for, or has none of that name."""
        return (self.settings or {}).get(name, "")

    @property
    def version(self) -> tuple[str, tuple[int, ...]]:
        """The kind of server, and its version."""
        kind = "Valkey" if "valkey_version" in self.info else "Redis"
        said = self.info.get("valkey_version") or self.info.get("redis_version", "0")
        return kind, tuple(int(part) for part in said.split(".") if part.isdigit())

    @property
    def version_text(self) -> str:
        """The same for people."""
        kind, numbers = self.version
        return f"{kind} {'.'.join(map(str, numbers))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """The host that this runs on, where members of the grid run on it; None where something cannot be known."""

    memory: int  # bytes that there are
    overcommit: int | None = None  # vm.overcommit_memory
    huge_pages: str = ""  # what is chosen: always, madvise or never
    fsync: float | None = None  # seconds that a small write to the state folder takes until it is on disk
    disk_free: float | None = None  # the part of the disk of the state folder that is free
    processors: int = 0  # 0: nobody knows
    outgoing: tuple[str, ...] = ()  # members one of whose ports an outgoing connection may be given
    loose: tuple[str, ...] = ()  # files with secrets that others can read


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A grid, as it was examined."""

    name: str
    url: str  # without a password
    members: tuple[MemberReport, ...]
    is_cluster: bool = True
    host: HostReport | None = None  # for a grid of this host
    here: tuple[str, ...] = ()  # the addresses of the members that run on it
    replicas: int | None = None  # that each owner should have
    wanted: int | None = None  # how many owners there should be
    is_spread: bool = False  # it is of this host and may be of others, too
    options: str = ""  # what to say to `cachegrid up` for such a grid
    on_disk: bool = False  # it was started to keep its entries on disk
    password: int | None = None  # its length; 0: none, None: nobody knows
    is_secured: bool = False  # with TLS
    caches: Mapping[str, Durability] = field(default_factory=dict)  # what writes wait for, by the settings of programs
    unfinished: tuple[str, ...] = ()  # what was begun with members and not ended

    @property
    def is_here(self) -> bool:
        """Whether it, or a part of it, is of this host: our commands start and end members of it."""
        return self.host is not None

    @property
    def up(self) -> tuple[MemberReport, ...]:
        """The members that answered."""
        return tuple(member for member in self.members if member.is_up)

    @property
    def owners(self) -> tuple[MemberReport, ...]:
        """Those that own slots, whether they answered or not."""
        return tuple(member for member in self.members if member.is_owner and (member.slots or not self.is_cluster))

    def replicas_of(self, owner: MemberReport) -> tuple[MemberReport, ...]:
        """The living replicas of an owner."""
        return tuple(member for member in self.up if not member.is_owner and member.follows == owner.id)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of all members."""
        return tuple(sorted({member.host for member in self.members}))
