"""Checks that look at one member, or at the host, at a time: each a row of what is so, how bad that is, what to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from cachegrid.cluster.doctor.advice import anew, by_hand, command
from cachegrid.cluster.doctor.facts import Badness, Examined, Finding, HostReport, MemberReport, Socket

__all__ = ["CHECKS", "ROWS", "of_host", "of_members"]

SLOW_DISK: Final = 0.02  # seconds for a small write
DISK_LEFT: Final = 0.1  # of the disk
DISK_ERRORS: Final = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


class OfMember(NamedTuple):
    """One finding for all members of which something is so."""

    check: str
    badness: Badness
    is_so: Callable[[Examined, MemberReport], bool]
    what: str
    advice: Callable[[Examined], str]


class OfHost(NamedTuple):
    """A finding on the host: a note, and a warning where its members keep entries on disk."""

    check: str
    is_so: Callable[[HostReport], bool]
    what: Callable[[HostReport], str]
    advice: str


MEMBER_ROWS: Final = (
    OfMember(
        "cut-off",
        Badness.PROBLEM,
        lambda _, one: one.health.get("cluster_state", "ok") != "ok",
        "sees a grid that does not work: too few owners are heard, or slots are not covered",
        lambda _: "see that all members reach each other, at their cluster ports too, and start those that are dead",
    ),
    OfMember(
        "half-moved",
        Badness.WARNING,
        lambda _, one: one.half_moved > 0,
        "slots are on their way to or from it",
        lambda grid: f"if no rebalance, add or remove is at work: {command(grid, 'rebalance')} brings that to its end",
    ),
    OfMember(
        "unsaved",
        Badness.PROBLEM,
        lambda _, one: any(one.info.get(name, "ok") != "ok" for name in DISK_ERRORS),
        "its last write to disk failed: it may refuse writes, and what is in memory alone is lost with it",
        lambda _: "see whether its disk is full or broken; its log says why",
    ),
    OfMember(
        "eviction-policy",
        Badness.PROBLEM,
        lambda _, one: one.setting("maxmemory-policy").startswith("allkeys"),
        "evicts whatever it has (allkeys), epochs and locks too: caches may be empty all of a sudden, sessions end, "
        "and locks be lost while they are held",
        lambda _: "CONFIG SET maxmemory-policy volatile-lru, and write it into the settings of the server",
    ),
    OfMember(
        "no-eviction",
        Badness.NOTE,
        lambda _, one: one.setting("maxmemory-policy") == "noeviction" and one.number("maxmemory") > 0,
        "refuses writes when it is full, and evicts nothing",
        lambda grid: (
            "if old entries should make room: "
            + by_hand(grid, anew(grid, "", "--when-full refuse"), "CONFIG SET maxmemory-policy volatile-lru")
        ),
    ),
    OfMember(
        "no-limit",
        Badness.NOTE,
        lambda _, one: not one.number("maxmemory"),
        "may take all the memory of its host, and then the system ends some process",
        lambda grid: by_hand(grid, anew(grid, "--memory SIZE"), "give it a limit: maxmemory"),
    ),
    OfMember(
        "not-on-disk",
        Badness.PROBLEM,
        lambda grid, one: grid.on_disk and one.info.get("aof_enabled", "0") != "1",
        "keeps nothing on disk, and its grid was started with --persist",
        lambda _: "CONFIG SET appendonly yes",
    ),
    OfMember(
        "slow-disk",
        Badness.WARNING,
        lambda _, one: one.number("aof_delayed_fsync") > 0,
        "had to wait for its disk: writes stall, and more than a second of them is lost with the host",
        lambda _: "give it a faster disk, or one that nobody else uses",
    ),
    OfMember(
        "long-path",
        Badness.NOTE,
        lambda _, one: one.socket is Socket.FAR,
        "the path of its unix socket is longer than one can be: programs of this host use TCP, which is slower",
        lambda _: "keep grids in a folder with a shorter name: CACHEGRID_STATE",
    ),
    OfMember(
        "no-socket",
        Badness.NOTE,
        lambda _, one: one.socket is Socket.MISSING,
        "its unix socket is gone: programs of this host use TCP, which is slower",
        lambda grid: f"{command(grid, 'restart --rolling')} makes it anew",
    ),
    OfMember(
        "settings-unknown",
        Badness.NOTE,
        lambda _, one: one.settings is None,
        "its settings may not be asked for: what it evicts, and when it gives others up, was not looked at",
        lambda _: "allow the user CONFIG|GET, or ask whoever runs it",
    ),
)
HOST_ROWS: Final = (
    OfHost(
        "overcommit",
        lambda host: host.overcommit == 0,
        lambda _: "vm.overcommit_memory is 0: a member may fail to copy itself for a replica or the disk",
        "sysctl vm.overcommit_memory=1",
    ),
    OfHost(
        "huge-pages",
        lambda host: host.huge_pages == "always",
        lambda _: "transparent huge pages are on: members stall, and take more memory, while they copy themselves",
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
    ),
    OfHost(
        "slow-fsync",
        lambda host: (host.fsync or 0) > SLOW_DISK,
        lambda host: (
            f"a small write takes {(host.fsync or 0) * 1000:.0f} ms until it is on the disk of the state folder"
        ),
        "writes with durability disk take as long: use a faster disk where they matter",
    ),
    OfHost(
        "disk-full",
        lambda host: host.disk_free is not None and host.disk_free < DISK_LEFT,
        lambda host: f"the disk of the state folder has {host.disk_free or 0:.0%} left",
        "make room: members that keep entries on disk refuse writes when it is full",
    ),
)
ROWS: Final = (*MEMBER_ROWS, *HOST_ROWS)


def of_members(grid: Examined) -> Iterator[Finding]:
    """What is so of members, each by itself."""
    for row in MEMBER_ROWS:
        if where := tuple(member.address for member in grid.up if row.is_so(grid, member)):
            yield Finding(check=row.check, badness=row.badness, what=row.what, where=where, advice=row.advice(grid))


def of_host(grid: Examined) -> Iterator[Finding]:
    """What this host lacks for its members."""
    badness = Badness.WARNING if grid.on_disk else Badness.NOTE
    for row in HOST_ROWS:
        if grid.host is not None and row.is_so(grid.host):
            yield Finding(check=row.check, badness=badness, what=row.what(grid.host), advice=row.advice)


CHECKS: Final[tuple[Callable[[Examined], Iterator[Finding]], ...]] = (of_members, of_host)
