"""Each check finds what it is for, in the members that have it, and nothing in a grid that is well."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cachegrid._core.durability import Durability
from cachegrid.cluster.doctor import members, plain, settings
from cachegrid.cluster.doctor.checks import CHECKS, findings, is_well
from cachegrid.cluster.doctor.facts import Badness, Examined, Finding, HostReport, MemberReport, Socket
from cachegrid.cluster.doctor.look import socket_of

GIB = 1 << 30
SPANS = (range(5_461), range(5_461, 10_923), range(10_923, 16_384))
VIEW = {
    **{f"o{number}": ("", (SPANS[number],)) for number in range(3)},
    **{f"r{number}": (f"o{number}", ()) for number in range(3)},
}
INFO = {
    "valkey_version": "9.1.2",
    "redis_version": "7.2.4",
    "used_memory": "10000000",
    "maxmemory": str(GIB),
    "total_system_memory": str(8 * GIB),
    "maxclients": "10000",
    "connected_clients": "9",
    "master_repl_offset": "1000",
    "slave_repl_offset": "1000",
    "aof_enabled": "0",
}
SETTINGS = {"maxmemory-policy": "volatile-lru", "cluster-node-timeout": "1000"}


def member(id_: str) -> MemberReport:
    """One that is well, on a host of its own: owner `o0` and replica `r0` are copies of each other."""
    number, is_owner = int(id_[1]), id_[0] == "o"
    host = f"10.0.0.{number + 1 if is_owner else (number + 1) % 3 + 1}"
    return MemberReport(
        address=f"{host}:{7000 + number + 3 * (not is_owner)}",
        host=host,
        id=id_,
        is_owner=is_owner,
        follows="" if is_owner else f"o{number}",
        slots=(SPANS[number],) if is_owner else (),
        info=INFO,
        settings=SETTINGS,
        health={"cluster_state": "ok"},
        view=VIEW,
        skew=0.001,
        blur=0.001,
        deaths=1,
    )


WELL = Examined(
    name="a",
    url="valkeys://10.0.0.1:7000",
    members=tuple(member(f"{kind}{number}") for kind in "or" for number in range(3)),
    host=HostReport(memory=8 * GIB, overcommit=1, huge_pages="madvise", fsync=0.001, disk_free=0.5),
    here=("10.0.0.1:7000", "10.0.0.1:7005"),
    replicas=1,
    password=43,
    is_secured=True,
)


def changed(grid: Examined, id_: str, **changes: Any) -> Examined:
    """A grid with another member of that id."""
    return replace(grid, members=tuple(replace(one, **changes) if one.id == id_ else one for one in grid.members))


def with_info(id_: str, facts: Mapping[str, str]) -> Examined:
    """A grid in which a member tells otherwise in INFO; in which all do, without an id."""
    grid = WELL
    for one in grid.members:
        if id_ in {one.id, ""}:
            grid = changed(grid, one.id, info={**INFO, **facts})
    return grid


def with_settings(id_: str, facts: Mapping[str, str]) -> Examined:
    """A grid in which a member has other settings."""
    return changed(WELL, id_, settings={**SETTINGS, **facts})


def of_host(**changes: Any) -> Examined:
    """A grid whose host is another."""
    assert WELL.host is not None
    return replace(WELL, host=replace(WELL.host, **changes))


ALONE = replace(WELL, members=tuple(one for one in WELL.members if one.is_owner), host=None, replicas=None)
TWO = replace(WELL, members=tuple(one for one in WELL.members if one.id not in {"o2", "r2"}))
ONE_HOST = replace(WELL, members=tuple(replace(one, host="127.0.0.1") for one in WELL.members))
TWO_HOSTS = replace(
    WELL,
    members=tuple(replace(one, host=f"10.0.0.{1 + (int(one.id[1]) + (one.id[0] == 'r')) % 2}") for one in WELL.members),
)
PROBLEM, WARNING, NOTE = Badness

BROKEN: list[tuple[str, Badness, Examined, str]] = [
    ("dead-member", PROBLEM, changed(WELL, "r1", silence="cannot be reached"), "10.0.0.3:7004"),
    ("dead-member", PROBLEM, changed(WELL, "r1", silence="says nothing", process=1), "10.0.0.3:7004"),
    ("lost-entries", PROBLEM, changed(changed(WELL, "r1", silence="gone"), "o1", silence="gone"), "10.0.0.2:7001"),
    ("lost-slots", PROBLEM, changed(WELL, "o1", slots=(range(5_461, 10_922),)), ""),
    ("cut-off", PROBLEM, changed(WELL, "o1", health={"cluster_state": "fail"}), "10.0.0.2:7001"),
    ("disagreement", WARNING, changed(WELL, "r2", view={**VIEW, "o0": ("o1", ())}), "10.0.0.1:7005"),
    ("half-moved", WARNING, changed(WELL, "o0", half_moved=1), "10.0.0.1:7000"),
    ("unfinished", WARNING, replace(WELL, unfinished=("leaving: x; go on with: cachegrid remove x",)), ""),
    ("no-replica", WARNING, changed(WELL, "r0", follows="o1"), "10.0.0.1:7000"),
    ("no-replica", NOTE, ALONE, "10.0.0.1:7000"),
    ("few-owners", WARNING, TWO, "10.0.0.2:7001"),
    ("shape", WARNING, replace(WELL, wanted=4), ""),
    ("crowd", WARNING, replace(of_host(processors=1), here=tuple(map(str, range(9)))), ""),
    ("outgoing-ports", WARNING, of_host(outgoing=("10.0.0.1:7000",)), "10.0.0.1:7000"),
    ("stranger", WARNING, replace(WELL, wanted=3), "10.0.0.2:7001"),
    ("needed-host", WARNING, TWO_HOSTS, "10.0.0.1"),
    ("unlinked-replica", WARNING, with_info("r0", {"master_link_status": "down"}), "10.0.0.2:7003"),
    ("lagging-replica", WARNING, with_info("o0", {"master_repl_offset": "99999999"}), "10.0.0.2:7003"),
    ("one-host", NOTE, ONE_HOST, ""),
    ("copies-together", WARNING, changed(WELL, "r0", host="10.0.0.1"), "10.0.0.1:7000"),
    ("clock-skew", WARNING, changed(WELL, "o2", skew=-1.5), "10.0.0.3:7002"),
    ("clock-skew", PROBLEM, changed(WELL, "o2", skew=90.0), "10.0.0.3:7002"),
    ("memory", WARNING, with_info("o0", {"used_memory": str(GIB - 1)}), "10.0.0.1:7000"),
    ("restarts", WARNING, changed(WELL, "o0", deaths=2), "10.0.0.1:7000"),
    ("connections", WARNING, with_info("o0", {"connected_clients": "9000"}), "10.0.0.1:7000"),
    ("unsaved", PROBLEM, with_info("o0", {"aof_last_write_status": "err"}), "10.0.0.1:7000"),
    ("eviction-policy", PROBLEM, with_settings("o0", {"maxmemory-policy": "allkeys-lru"}), "10.0.0.1:7000"),
    ("no-eviction", NOTE, with_settings("o0", {"maxmemory-policy": "noeviction"}), "10.0.0.1:7000"),
    ("no-limit", NOTE, with_info("o0", {"maxmemory": "0"}), "10.0.0.1:7000"),
    ("too-large-limit", PROBLEM, with_info("o1", {"maxmemory": str(9 * GIB)}), "10.0.0.2"),
    ("too-large-limit", WARNING, with_info("o1", {"maxmemory": str(6 * GIB)}), "10.0.0.2"),
    ("too-large-limit", PROBLEM, of_host(memory=GIB), "10.0.0.1"),
    ("mixed-versions", WARNING, with_info("o0", {"valkey_version": "9.0.1"}), ""),
    ("old-server", NOTE, with_info("", {"valkey_version": "8.1.0"}), "10.0.0.1:7000"),
    ("node-timeout", WARNING, with_settings("o0", {"cluster-node-timeout": "15000"}), ""),
    ("not-on-disk", PROBLEM, replace(WELL, on_disk=True), "10.0.0.1:7000"),
    ("durability", PROBLEM, replace(WELL, caches={"a": Durability(1), "b": Durability(2)}), "10.0.0.2:7001"),
    ("durability", PROBLEM, replace(WELL, caches={"c": Durability(disk=True)}), "cache c"),
    ("slow-disk", WARNING, with_info("o0", {"aof_delayed_fsync": "7"}), "10.0.0.1:7000"),
    ("slow-fork", WARNING, with_info("o0", {"latest_fork_usec": "900000"}), "10.0.0.1:7000"),
    ("overcommit", NOTE, of_host(overcommit=0), ""),
    ("huge-pages", NOTE, of_host(huge_pages="always"), ""),
    ("slow-fsync", NOTE, of_host(fsync=0.1), ""),
    ("disk-full", NOTE, of_host(disk_free=0.01), ""),
    ("loose-files", PROBLEM, of_host(loose=("/state/a/secrets.json",)), "/state/a/secrets.json"),
    ("password", PROBLEM, replace(WELL, password=0), "10.0.0.1"),
    ("password", WARNING, replace(WELL, password=8), "10.0.0.1"),
    ("no-tls", NOTE, replace(WELL, is_secured=False), "10.0.0.1"),
    ("settings-unknown", NOTE, changed(WELL, "o0", settings=None), "10.0.0.1:7000"),
    ("long-path", NOTE, changed(WELL, "o0", socket=Socket.FAR), "10.0.0.1:7000"),
    ("no-socket", NOTE, changed(WELL, "o0", socket=Socket.MISSING), "10.0.0.1:7000"),
]


def found(check: str, grid: Examined) -> list[Finding]:
    """What was found of one kind."""
    return [each for each in findings(grid) if each.check == check]


def test_a_grid_that_is_well_has_no_findings() -> None:
    """None at all, of any check."""
    assert [] == findings(WELL)
    assert is_well([])


@pytest.mark.parametrize(
    ("check", "badness", "grid", "where"), BROKEN, ids=[f"{check}-{badness}" for check, badness, *_ in BROKEN]
)
def test_what_is_wrong_is_found_and_where(check: str, badness: Badness, grid: Examined, where: str) -> None:
    """With how bad it is, and a word on what to do."""
    each, *others = found(check, grid)
    assert (badness, []) == (each.badness, others)
    assert each.advice
    assert not where or where in each.where
    assert (badness is NOTE) is is_well([each])


def test_every_check_is_shown_to_find_something() -> None:
    """And there is none that nobody runs."""
    told = {check for check, *_ in BROKEN}
    for check in CHECKS:
        assert any(each.check in told for *_, grid, _ in BROKEN for each in check(grid)), check.__name__
    assert len(CHECKS) == len({*members.CHECKS, *settings.CHECKS, *plain.CHECKS})
    assert {row.check for row in plain.ROWS} <= told


def test_the_loss_of_an_owner_is_more_than_its_entries() -> None:
    """Unless they are on disk."""
    gone = changed(changed(WELL, "r1", silence="gone"), "o1", silence="gone")
    for grid, is_told in ((gone, True), (replace(gone, on_disk=True), False)):
        (lost,) = found("lost-entries", grid)
        assert is_told is ("caches whose epoch was there are empty as well" in lost.what)


def test_the_worst_comes_first() -> None:
    """Whatever was looked at first."""
    grid = replace(of_host(overcommit=0, loose=("x",)), unfinished=("leaving: x; go on",))
    assert [PROBLEM, WARNING, NOTE] == [each.badness for each in findings(grid)]


def test_what_hurts_only_with_entries_on_disk_is_worse_there() -> None:
    """Members copy themselves to write them."""
    on_disk = {one.id: {**INFO, "aof_enabled": "1"} for one in WELL.members}
    grid = replace(of_host(overcommit=0, huge_pages="always", fsync=1.0, disk_free=0.0), on_disk=True)
    for id_, info in on_disk.items():
        grid = changed(grid, id_, info=info)
    assert {WARNING} == {each.badness for each in findings(grid)}


def test_a_full_member_that_evicts_nothing_is_a_problem() -> None:
    """It is about to refuse writes."""
    grid = changed(
        WELL,
        "o0",
        info={**INFO, "used_memory": str(GIB)},
        settings={**SETTINGS, "maxmemory-policy": "noeviction"},
    )
    assert [PROBLEM] == [each.badness for each in found("memory", grid)]


def test_an_old_redis_cannot_say_what_is_on_disk() -> None:
    """That is bad where a cache asks for it. A newer one can, and moves slots one key at a time."""
    old = {name: value for name, value in INFO.items() if name != "valkey_version"}
    disk = {"a": Durability(disk=True)}
    for version, caches, badness in (("7.0.15", {}, NOTE), ("7.0.15", disk, WARNING), ("7.2.4", disk, NOTE)):
        grid = replace(WELL, caches=caches)
        for one in WELL.members:
            grid = changed(grid, one.id, info={**old, "redis_version": version})
        assert [badness] == [each.badness for each in found("old-server", grid)]


def test_a_clock_that_may_only_seem_to_be_wrong_is_not_told_of() -> None:
    """A member that answers late is not judged by when it did."""
    assert [] == findings(changed(WELL, "o0", skew=3.0, blur=2.5))


def test_a_dead_owner_is_told_of_once() -> None:
    """What it would have said, nobody knows."""
    dead = changed(
        WELL, "o0", silence="does not answer", info={}, settings=None, health={}, view={}, skew=None, deaths=0
    )
    assert ["dead-member"] == [each.check for each in findings(dead)]


def test_who_is_dead_and_who_stands_still_are_two_findings() -> None:
    """What to do is not the same."""
    grid = changed(changed(WELL, "r1", silence="says nothing", process=1), "r2", silence="cannot be reached")
    still, dead = found("dead-member", grid)
    assert ("cannot be reached", "says nothing, and its process is there") == (dead.what, still.what)
    assert ("cachegrid heal --name a starts it again", True) == (dead.advice, "kill -9 1" in still.advice)
    assert "`cachegrid heal --name a`" in still.advice


def test_where_nobody_lives_members_are_started_by_up() -> None:
    """Of this host; on others somebody may live."""
    grid = changed(changed(WELL, "o0", silence="cannot be reached"), "r2", silence="cannot be reached")
    dead = found("dead-member", replace(grid, is_spread=True, options="--name a --members 1 --replicas 1"))[0]
    assert "cachegrid up --name a --members 1 --replicas 1 starts it again" == dead.advice


def test_a_socket_is_there_or_gone_or_out_of_reach() -> None:
    """A path has a length from which on no program can connect to it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as listening:
        path = Path(folder) / "socket"
        assert socket_of(path) is Socket.MISSING
        listening.bind(str(path))
        assert socket_of(path) is Socket.THERE
    assert socket_of(Path("/" + "x" * 102)) is Socket.MISSING
    assert socket_of(Path("/" + "x" * 107)) is Socket.FAR


def test_one_server_is_no_cluster_and_needs_no_slots() -> None:
    """It is told that it has no replica, unless it has."""
    alone = MemberReport(address="127.0.0.1:6379", host="127.0.0.1", info=INFO, settings=SETTINGS)
    grid = Examined(name="", url="valkey://127.0.0.1", members=(alone,), is_cluster=False, password=0)
    assert [("no-replica", NOTE)] == [(each.check, each.badness) for each in findings(grid)]
    copied = replace(grid, members=(replace(alone, info={**INFO, "connected_slaves": "1"}),))
    assert [] == findings(copied)


OPTIONS = "--name a --members 3 --replicas 0 --persist"
LONE = replace(changed(changed(WELL, "r0", follows="o1"), "r1", silence="gone"), options=OPTIONS)
REDIS = replace(
    WELL,
    members=tuple(
        replace(one, info={name: said for name, said in INFO.items() if name != "valkey_version"})
        for one in WELL.members
    ),
)
OLDER = with_info("o0", {"valkey_version": "9.0.1"})
LOST = changed(WELL, "o1", slots=(), view=VIEW | {"o1": ("", ())})
ADVICE: list[tuple[str, Examined, str]] = [
    ("no-replica", LONE, "cachegrid heal --name a makes"),
    ("no-replica", replace(LONE, is_spread=True), "cachegrid up --name a on hosts"),
    ("no-replica", replace(LONE, host=None), "give each owner"),
    ("no-replica", replace(LONE, replicas=0), "cachegrid up --name a --members 3 --replicas 1 --persist, "),
    ("shape", replace(WELL, wanted=4), "cachegrid heal --name a gives them slots again"),
    ("stranger", replace(WELL, wanted=3), '--url "$(cachegrid url --show-password --name a)"'),
    ("dead-member", replace(LONE, is_spread=True), "cachegrid up --name a on its host"),
    ("dead-member", replace(LONE, host=None), "start it again where it runs"),
    ("copies-together", changed(WELL, "r0", host="10.0.0.1"), "cachegrid heal"),
    ("lost-slots", LOST, "cachegrid heal --assign --name a"),
    ("disagreement", LOST, "cachegrid heal --assign --name a"),
    ("lost-slots", replace(LOST, host=None), "CLUSTER ADDSLOTS"),
    ("needed-host", replace(TWO_HOSTS, is_spread=True), "(cachegrid token --name a), until there are three"),
    ("needed-host", changed(WELL, "o1", host="10.0.0.1"), "cachegrid heal --name a spreads"),
    ("needed-host", replace(TWO_HOSTS, host=None), "spread owners over three hosts"),
    ("memory", with_info("o0", {"used_memory": str(GIB)}), "cachegrid add --name a"),
    ("no-limit", replace(with_info("o0", {"maxmemory": "0"}), is_spread=True), "cachegrid join with --memory SIZE"),
    ("one-host", ONE_HOST, "cachegrid up --host"),
    ("one-host", replace(ONE_HOST, host=None), "run members on others"),
    ("old-server", replace(REDIS, options=OPTIONS), "--replicas 0 --persist --server PROGRAM, "),
    ("old-server", replace(REDIS, is_spread=True), "a new grid with --server PROGRAM on all hosts"),
    ("old-server", replace(REDIS, host=None), "put in Valkey 9 or newer there"),
    ("mixed-versions", OLDER, "cachegrid restart --rolling --server PROGRAM --name a"),
    ("mixed-versions", replace(OLDER, host=None), "there, replicas first"),
    ("durability", replace(LONE, caches={"c": Durability(disk=True)}), "cachegrid down --name a, cachegrid up"),
]


@pytest.mark.parametrize(("check", "grid", "says"), ADVICE, ids=[f"{one}-{at}" for at, (one, *_) in enumerate(ADVICE)])
def test_what_to_do_is_what_the_grid_takes(check: str, grid: Examined, says: str) -> None:
    """It is not the same for a grid of this host, one of several hosts, and one that others run."""
    assert says in found(check, grid)[-1].advice
