"""Checks of how members are set up: what they evict, keep on disk and let in, and what their host has for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cachegrid._core.units import size_text
from cachegrid.cluster.doctor.facts import Badness, Examined, Finding, MemberReport

__all__ = ["CHECKS"]

SLOW_DISK: Final = 0.02  # seconds for a small write
SLOW_FORK: Final = 500_000  # microseconds in which a member answers nobody
DISK_LEFT: Final = 0.1  # of the disk
SHORT: Final = 16  # letters of a password
SHARE: Final = 0.75  # of a host's memory that members may take before it is tight


def eviction(grid: Examined) -> Iterator[Finding]:
    """What a full member does."""
    risky = [member for member in grid.up if member.setting("maxmemory-policy").startswith("allkeys")]
    if risky:
        yield Finding(
            check="eviction-policy",
            badness=Badness.PROBLEM,
            what=f"evicts whatever it has ({risky[0].setting('maxmemory-policy')}), epochs and locks too: caches may "
            "be empty all of a sudden, sessions end, and locks be lost while they are held",
            where=_names(risky),
            advice="CONFIG SET maxmemory-policy volatile-lru, and write it into the settings of the server",
        )
    refusing = [
        each for each in grid.up if each.setting("maxmemory-policy") == "noeviction" and each.number("maxmemory")
    ]
    if refusing:
        yield Finding(
            check="no-eviction",
            badness=Badness.NOTE,
            what="refuses writes when it is full, and evicts nothing",
            where=_names(refusing),
            advice="if old entries should make room: CONFIG SET maxmemory-policy volatile-lru",
        )


def limits(grid: Examined) -> Iterator[Finding]:
    """Memory limits that are none, or more than a host has."""
    unlimited = [member for member in grid.up if not member.number("maxmemory")]
    if unlimited:
        yield Finding(
            check="no-limit",
            badness=Badness.NOTE,
            what="may take all the memory of its host, and then the system ends some process",
            where=_names(unlimited),
            advice="give it a limit: --memory of cachegrid up, or maxmemory",
        )
    for host in grid.hosts:
        members = [member for member in grid.up if member.host == host]
        there = _memory_of(grid, members)
        wanted = sum(member.number("maxmemory") for member in members)
        if there and wanted > SHARE * there:
            yield Finding(
                check="too-large-limit",
                badness=Badness.PROBLEM if wanted > there else Badness.WARNING,
                what=f"its members may take {size_text(wanted)}, and it has {size_text(there)} for all that runs there",
                where=(host,),
                advice="lower maxmemory, or move members to other hosts: the system ends processes that take too much",
            )


def versions(grid: Examined) -> Iterator[Finding]:
    """Servers that are old, or not alike."""
    found = {member.version_text for member in grid.up}
    if len(found) > 1:
        yield Finding(
            check="mixed-versions",
            badness=Badness.WARNING,
            what=f"members run {', '.join(sorted(found))}: a replica of an older one cannot read what its owner sends",
            advice="bring all to the newest: cachegrid restart --rolling --server PROGRAM",
        )
    is_asked_for = any(wanted.disk for wanted in grid.caches.values())
    unsure = [member for member in grid.up if not _has_disk_answers(member)]
    slow = [member for member in grid.up if grid.is_cluster and not _moves_at_once(member) and member not in unsure]
    for old, badness, lacks in (
        (
            unsure,
            Badness.WARNING if is_asked_for else Badness.NOTE,
            "cannot say when writes are on disk (durability disk)",
        ),
        (slow, Badness.NOTE, "moves slots one key at a time, which takes longer"),
    ):
        if old:
            yield Finding(
                check="old-server",
                badness=badness,
                what=f"runs {old[0].version_text}, which {lacks}",
                where=_names(old),
                advice="put in Valkey 9 or newer when you can",
            )


def timeouts(grid: Examined) -> Iterator[Finding]:
    """Node timeouts that are not the same everywhere."""
    told = {member.setting("cluster-node-timeout") for member in grid.up if member.setting("cluster-node-timeout")}
    if len(told) > 1:
        yield Finding(
            check="node-timeout",
            badness=Badness.WARNING,
            what=f"members give each other up after {', '.join(sorted(told, key=int))} ms: takeovers fail or flap",
            advice="CONFIG SET cluster-node-timeout to the same everywhere",
        )


def persistence(grid: Examined) -> Iterator[Finding]:
    """Entries that should be on disk, and are not, or late."""
    off = [member for member in grid.up if member.info.get("aof_enabled", "0") != "1"]
    if grid.on_disk and off:
        yield Finding(
            check="not-on-disk",
            badness=Badness.PROBLEM,
            what="keeps nothing on disk, and its grid was started with --persist",
            where=_names(off),
            advice="CONFIG SET appendonly yes",
        )
    late = [member for member in grid.up if member.number("aof_delayed_fsync")]
    if late:
        yield Finding(
            check="slow-disk",
            badness=Badness.WARNING,
            what="had to wait for its disk: writes stall, and more than a second of them is lost with the host",
            where=_names(late),
            advice="give it a faster disk, or one that nobody else uses",
        )


def durability(grid: Examined) -> Iterator[Finding]:
    """Caches of the settings whose writes wait for what no member can give."""
    owners = [owner for owner in grid.owners if owner.is_up]
    unwritten = [owner for owner in owners if owner.info.get("aof_enabled", "0") != "1"]
    for name, wanted in sorted(grid.caches.items()):
        few = [owner for owner in owners if _copies(grid, owner) < wanted.replicas]
        if few:
            yield Finding(
                check="durability",
                badness=Badness.PROBLEM,
                what=f"its writes wait for {wanted}, and owners have fewer replicas: they raise NotDurable",
                where=(f"cache {name}", *_names(few)),
                advice="give owners as many replicas, or let the cache wait for fewer",
            )
        if wanted.disk and unwritten:
            yield Finding(
                check="durability",
                badness=Badness.PROBLEM,
                what="its writes wait for the disk, and owners keep nothing there: they are refused",
                where=(f"cache {name}", *_names(unwritten)),
                advice="cachegrid up --persist, or CONFIG SET appendonly yes",
            )


def forks(grid: Examined) -> Iterator[Finding]:
    """Members that answer nobody while they copy themselves."""
    slow = [member for member in grid.up if member.number("latest_fork_usec") > SLOW_FORK]
    if slow:
        longest = max(member.number("latest_fork_usec") for member in slow)
        yield Finding(
            check="slow-fork",
            badness=Badness.WARNING,
            what=f"answered nobody for {longest / 1e6:.1f} s when it last copied itself for a replica or the disk",
            where=_names(slow),
            advice="use more and smaller owners, and switch transparent huge pages off",
        )


def host(grid: Examined) -> Iterator[Finding]:
    """What this host lacks for its members."""
    if grid.host is None:
        return
    here, worse = grid.host, Badness.WARNING if grid.on_disk else Badness.NOTE
    if here.overcommit == 0:
        yield Finding(
            check="overcommit",
            badness=worse,
            what="vm.overcommit_memory is 0: a member may fail to copy itself for a replica or the disk",
            advice="sysctl vm.overcommit_memory=1",
        )
    if here.huge_pages == "always":
        yield Finding(
            check="huge-pages",
            badness=worse,
            what="transparent huge pages are on: members stall, and take more memory, while they copy themselves",
            advice="echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        )
    if here.fsync is not None and here.fsync > SLOW_DISK:
        yield Finding(
            check="slow-fsync",
            badness=worse,
            what=f"a small write takes {here.fsync * 1000:.0f} ms until it is on the disk of the state folder",
            advice="writes with durability disk take as long: use a faster disk where they matter",
        )
    if here.disk_free is not None and here.disk_free < DISK_LEFT:
        yield Finding(
            check="disk-full",
            badness=worse,
            what=f"the disk of the state folder has {here.disk_free:.0%} left",
            advice="make room: members that keep entries on disk refuse writes when it is full",
        )


def secrets(grid: Examined) -> Iterator[Finding]:
    """Who gets in."""
    if grid.host and grid.host.loose:
        yield Finding(
            check="loose-files",
            badness=Badness.PROBLEM,
            what="others on this host can read it, and it leads to the grid's secrets",
            where=grid.host.loose,
            advice="chmod go= on it; if others have had time to look, start a new grid with a new password",
        )
    far = [name for name in grid.hosts if not _is_loopback(name)]
    if grid.password is not None and grid.password < SHORT and (far or grid.password):
        yield Finding(
            check="password",
            badness=Badness.PROBLEM if far and not grid.password else Badness.WARNING,
            what="anybody who reaches it gets in" if not grid.password else f"its password has {grid.password} letters",
            where=tuple(far),
            advice=f"use a password of {SHORT} random letters or more; servers answer guesses very fast",
        )
    if far and not grid.is_secured:
        yield Finding(
            check="no-tls",
            badness=Badness.NOTE,
            what="the password and all entries pass the network as they are",
            where=tuple(far),
            advice="use TLS (valkeys://), unless the network is yours alone",
        )


def silence(grid: Examined) -> Iterator[Finding]:
    """What could not be looked at."""
    closed = [member for member in grid.up if member.settings is None]
    if closed:
        yield Finding(
            check="settings-unknown",
            badness=Badness.NOTE,
            what="its settings may not be asked for: what it evicts, and when it gives others up, was not looked at",
            where=_names(closed),
            advice="allow the user CONFIG|GET, or ask whoever runs it",
        )


def _names(members: Iterable[MemberReport]) -> tuple[str, ...]:
    return tuple(member.address for member in members)


def _copies(grid: Examined, owner: MemberReport) -> int:
    """How many replicas an owner has; a server that is no cluster tells that itself."""
    return len(grid.replicas_of(owner)) if grid.is_cluster else owner.number("connected_slaves")


def _memory_of(grid: Examined, members: list[MemberReport]) -> int:
    """What the host of these members has; containers may have less, which only those who run there know."""
    if grid.host and any(member.address in grid.here for member in members):
        return grid.host.memory
    return max((member.number("total_system_memory") for member in members), default=0)


def _moves_at_once(member: MemberReport) -> bool:
    kind, version = member.version
    return kind == "Valkey" and version >= (9,)


def _has_disk_answers(member: MemberReport) -> bool:
    """Whether it knows WAITAOF."""
    kind, version = member.version
    return kind == "Valkey" or version >= (7, 2)


def _is_loopback(name: str) -> bool:
    return name.startswith("127.") or name in {"::1", "localhost", ""}


CHECKS: Final[tuple[Callable[[Examined], Iterator[Finding]], ...]] = (
    eviction,
    limits,
    versions,
    timeouts,
    persistence,
    durability,
    forks,
    host,
    secrets,
    silence,
)
