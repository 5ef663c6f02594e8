"""Checks of how members are set up: what they evict, keep on disk and let in, and what their host has for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cachegrid._core.units import size_text
from cachegrid.cluster.burden import CROWD
from cachegrid.cluster.doctor import advice
from cachegrid.cluster.doctor.facts import Badness, Examined, Finding, MemberReport

__all__ = ["CHECKS"]

SLOW_FORK: Final = 500_000  # microseconds in which a member answers nobody
SHORT: Final = 16  # letters of a password
SHARE: Final = 0.75  # of a host's memory that members may take before it is tight


def limits(grid: Examined) -> Iterator[Finding]:
    """Memory limits that are more than a host has."""
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
                advice=advice.by_hand(grid, advice.anew(grid, "--memory SIZE"), "lower maxmemory, or move members away")
                + ": the system ends processes that take too much",
            )


def crowds(grid: Examined) -> Iterator[Finding]:
    """More members on this host than its processors have time for, and ports that others may have."""
    if grid.host is None:
        return
    here, count = len(grid.here), grid.host.processors
    if count and here > CROWD * count:
        yield Finding(
            check="crowd",
            badness=Badness.WARNING,
            what=f"{here} members run on a host with {count} processor{'s'[: count != 1]}, which are too few",
            advice=advice.by_hand(grid, f"{advice.command(grid, 'remove MEMBER')}, until there are fewer", ""),
        )
    if grid.host.outgoing:
        yield Finding(
            check="outgoing-ports",
            badness=Badness.WARNING,
            what="a port of it is among those that the host gives to outgoing connections: "
            "it may be taken when the member is started again",
            where=grid.host.outgoing,
            advice="keep it with net.ipv4.ip_local_reserved_ports (the bus has one, too); or "
            + advice.anew(grid, "--base-port PORT"),
        )


def versions(grid: Examined) -> Iterator[Finding]:
    """Servers that are old, or not alike."""
    found = {member.version_text for member in grid.up}
    if len(found) > 1:
        yield Finding(
            check="mixed-versions",
            badness=Badness.WARNING,
            what=f"members run {', '.join(sorted(found))}: a replica of an older one cannot read what its owner sends",
            advice=advice.for_versions(grid, grid.up[0].version[0], "the newest of them everywhere"),
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
                advice=f"when you can: {advice.for_versions(grid, old[0].version[0], 'Valkey 9 or newer')}",
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
                advice=f"{advice.for_replicas(grid, wanted=wanted.replicas)}; or let the cache wait for fewer",
            )
        if wanted.disk and unwritten:
            yield Finding(
                check="durability",
                badness=Badness.PROBLEM,
                what="its writes wait for the disk, and owners keep nothing there: they are refused",
                where=(f"cache {name}", *_names(unwritten)),
                advice=advice.by_hand(grid, advice.anew(grid, "--persist"), "CONFIG SET appendonly yes"),
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
            advice="unless the network is yours alone, use TLS: valkeys://, or cachegrid tls and up --host --tls",
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
    limits,
    crowds,
    versions,
    timeouts,
    durability,
    forks,
    secrets,
)
