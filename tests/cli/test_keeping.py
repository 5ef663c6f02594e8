"""`backup`, `restore` and `doctor`, and `failover` in grids that others run: what they print, and how they end."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import pytest

import cachegrid as package
from cachegrid.cli.exits import Exit, code_of
from cachegrid.cluster.keeping import restore as restoring
from cachegrid.cluster.keeping.backup import UNFINISHED
from cachegrid.cluster.keeping.engine import KeepingEngine
from cachegrid.cluster.shutdown import end_members
from cachegrid.errors import EngineTimeout, NotDurable
from cachegrid.testing.certificates import make_certificates
from cachegrid.testing.loopback import LoopbackGrid
from tests.cli.command import PROGRAM, Done, environment, here
from tests.engines import servers

pytestmark = [pytest.mark.grid, pytest.mark.slow]


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    """A grid of this host, which all tests share."""
    with LoopbackGrid() as grid:
        yield grid


@pytest.fixture
def prices(grid: LoopbackGrid) -> Iterator[package.SyncCache]:
    """A cache with two entries; afterwards the grid is empty."""
    with package.connect(grid.url) as client:
        cache = client.cache("prices")
        cache.set_many({"a": 1, "b": 2})
        yield cache
        cache.clear()


def run(grid: LoopbackGrid, *words: str, **changes: str) -> Done:
    """Run the command where the grid is one of this host."""
    return here(*words, CACHEGRID_STATE=str(grid.root), **changes)


def elsewhere(grid: LoopbackGrid) -> str:
    """The URL of the grid as that of one that others run."""
    return grid.url.replace("?grid=loopback", "")


def test_entries_are_kept_and_come_back(grid: LoopbackGrid, prices: package.SyncCache, tmp_path: Path) -> None:
    """It is said what is about to be done, and what was."""
    folder = str(tmp_path / "b")
    done = run(grid, "backup", folder)
    assert (Exit.DONE, "") == (done.code, done.err)
    plan, result = done.out.splitlines()
    # About: what a lock or a restore has left for a minute is counted by the owners, too.
    assert re.match(r"keep all caches of loopback, which has 3 owners with about \d entries in ", plan)
    assert result.startswith(f"2 entries of 1 cache kept in {folder} (")
    prices.clear()
    done = run(grid, "restore", folder)
    assert (Exit.DONE, "") == (done.code, done.err)
    first, cache, last = done.out.splitlines()
    assert first.startswith("bring 2 entries (")
    assert ("  prices  2 entries", "2 entries restored after ") == (cache, last[:25])
    assert {"a": 1, "b": 2} == prices.get_many(["a", "b"])


def test_a_grid_that_is_not_empty_is_refused(grid: LoopbackGrid, prices: package.SyncCache, tmp_path: Path) -> None:
    """With the ways out; both at once are none."""
    folder = str(tmp_path / "b")
    run(grid, "backup", folder)
    prices["a"] = 3
    done = run(grid, "restore", folder)
    assert Exit.REFUSED == done.code
    assert "--replace" in done.err
    assert Exit.USAGE == run(grid, "restore", folder, "--replace", "--merge").code
    done = run(grid, "restore", folder, "--merge")
    assert (Exit.DONE, 3) == (done.code, prices["a"])
    assert "2 were there already, and stayed" in done.out
    assert Exit.DONE == run(grid, "restore", folder, "--replace").code
    assert 1 == prices["a"]


def test_a_dry_run_writes_nothing(grid: LoopbackGrid, prices: package.SyncCache, tmp_path: Path) -> None:
    """Neither a folder nor an entry, and finds what is wrong with the files."""
    folder = tmp_path / "b"
    assert Exit.DONE == run(grid, "backup", str(folder), "--dry-run").code
    assert [] == list(tmp_path.iterdir())
    run(grid, "backup", str(folder))
    prices.clear()
    done = run(grid, "restore", str(folder), "--dry-run")
    assert (Exit.DONE, None) == (done.code, prices.get("a"))
    assert done.out.endswith("\nall its files are whole; nothing was written\n")
    part = folder / "entries-00001"
    part.write_bytes(part.read_bytes()[:-1])
    done = run(grid, "restore", str(folder), "--dry-run")
    assert Exit.REFUSED == done.code
    assert "entries-00001 has" in done.err


def test_programs_get_one_object(grid: LoopbackGrid, prices: package.SyncCache, tmp_path: Path) -> None:
    """Of both commands, and of a rehearsal."""
    folder = str(tmp_path / "b")
    told = run(grid, "backup", folder, "--dry-run", "--json").told
    assert ("loopback", True) == (told["name"], told["dry_run"])
    assert {"owners", "entries", "memory_bytes"} == set(told["planned"])
    told = run(grid, "backup", folder, "--json", "--cache", "prices").told
    assert (2, {}, ["prices"]) == (told["entries"], told["left_out"], [each["cache"] for each in told["caches"]])
    told = run(grid, "restore", folder, "--json", "--replace").told
    assert (2, 0, 0, 0, [], "replace") == tuple(
        told[name] for name in ("restored", "kept", "passed", "unsigned", "cleared", "mode")
    )


def test_what_does_not_come_back_is_a_no(grid: LoopbackGrid, tmp_path: Path) -> None:
    """Such as was signed with a secret that the other grid has not."""
    with package.connect(grid.url, secret="s" * 32) as client:
        signed = client.cache("signed", codec="pickle")
        signed["a"] = {1}
        run(grid, "backup", str(tmp_path / "b"), "--cache", "signed")
        signed.clear()
    done = run(grid, "restore", str(tmp_path / "b"))
    assert Exit.NO == done.code
    assert "1 not: they are signed with a secret that is not this grid's" in done.out
    assert Exit.DONE == run(grid, "restore", str(tmp_path / "b"), "--replace", CACHEGRID_SECRET="s" * 32).code
    with package.connect(grid.url) as client:
        client.cache("signed").clear()


def test_what_is_not_with_all_replicas_is_a_no(
    grid: LoopbackGrid, prices: package.SyncCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, and it is said which replica may lack it."""
    monkeypatch.setattr(restoring, "CATCH_UP", 0.2)
    folder = str(tmp_path / "b")
    assert prices.name in run(grid, "backup", folder, "--json").told["caches"][0]["cache"]
    with LoopbackGrid(owners=1, replicas=1) as other:
        lost = other.kill(1).address
        done = run(other, "restore", folder)
        assert (Exit.NO, "") == (done.code, done.err)
        assert "2 entries restored after " in done.out
        assert f"perhaps not with {lost}: " in done.out
        done = run(other, "restore", folder, "--replace", "--json")
        assert (Exit.NO, [lost]) == (done.code, done.told["unreplicated"])


def test_who_stops_a_restore_is_told_what_programs_see(
    grid: LoopbackGrid, prices: package.SyncCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it, or when it is only clearing up, all."""
    folder = str(tmp_path / "b")
    run(grid, "backup", folder)
    prices["a"] = 3
    with monkeypatch.context() as patches:
        patches.setattr(KeepingEngine, "put", mock.Mock(side_effect=KeyboardInterrupt))
        done = run(grid, "restore", folder, "--replace")
    assert (Exit.INTERRUPTED, 3) == (done.code, prices["a"])
    assert "stopped: run it again to go on" in done.err
    for error, code in ((KeyboardInterrupt(), Exit.INTERRUPTED), (EngineTimeout("too late"), Exit.NO_GRID)):
        prices["a"] = 3
        monkeypatch.setattr(KeepingEngine, "drop_many", mock.Mock(side_effect=error))
        done = run(grid, "restore", folder, "--replace")
        assert (code, 1) == (done.code, prices["a"])
        assert "stopped when all was restored and seen by programs: only clearing up was not ended" in done.err


def test_one_server_is_enough(tmp_path: Path) -> None:
    """By its URL, for keeping and bringing back, and for the doctor."""
    with servers.Server() as server:
        with package.connect(server.url()) as client:
            client.cache("prices")["a"] = 1
        assert 1 == here("backup", str(tmp_path / "b"), "--url", server.url(), "--json").told["entries"]
        server.run("FLUSHALL")
        assert 1 == here("restore", str(tmp_path / "b"), "--url", server.url(), "--json").told["restored"]
        done = here("doctor", "--url", server.url(), "--json")
        assert (Exit.DONE, {"no-limit", "no-replica"}) == (done.code, {one["check"] for one in done.told["findings"]})
        server.run("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        done = here("doctor", "--url", server.url())
        assert Exit.NO == done.code
        assert f"problem: 127.0.0.1:{server.port}: evicts whatever it has (allkeys)" in done.out


def test_what_has_no_members_is_refused(tmp_path: Path) -> None:
    """What a process keeps in itself is no grid."""
    for words in (["backup", str(tmp_path / "b")], ["restore", str(tmp_path / "b")], ["doctor"]):
        assert Exit.REFUSED == here(*words, "--url", "memory://").code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_backup_that_is_stopped_leaves_nothing(
    grid: LoopbackGrid, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """The same command does it afterwards."""
    with package.connect(grid.url) as client:
        client.cache("many").set_many(dict.fromkeys(range(60_000), "x"))
    words = [*PROGRAM, "backup", str(tmp_path / "b")]
    told = environment(CACHEGRID_STATE=str(grid.root))
    with subprocess.Popen(words, env=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("keep all caches")
        grid.wait_for((tmp_path / f"b{UNFINISHED}").exists)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert code == process.returncode
    assert f"stopped: nothing is kept, and {tmp_path / 'b'} is not there; run it again" in said
    assert [] == list(tmp_path.iterdir())
    assert 60_000 == run(grid, "backup", str(tmp_path / "b"), "--cache", "many", "--json").told["entries"]
    with package.connect(grid.url) as client:
        client.cache("many").clear()


def test_a_terminal_shows_how_far_it_is(grid: LoopbackGrid, prices: package.SyncCache, tmp_path: Path) -> None:
    """Nothing of the bar is left behind in what it prints."""
    above, below = pty.openpty()
    words = [*PROGRAM, "backup", str(tmp_path / "b")]
    told = environment(CACHEGRID_STATE=str(grid.root), TERM="xterm")
    process = subprocess.Popen(words, env=told, stdout=subprocess.PIPE, stderr=below)
    os.close(below)
    shown = b""
    try:
        while chunk := os.read(above, 65_536):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(above)
    out, _ = process.communicate(timeout=30)
    assert Exit.DONE == process.returncode
    assert b"entries" in shown
    assert b"\x1b" not in out


def test_the_doctor_has_nothing_bad_to_say_of_a_grid_that_is_well(grid: LoopbackGrid) -> None:
    """Of one host, and by its URL; only notes."""
    done = run(grid, "doctor", "--json")
    assert Exit.DONE == done.code, done.out
    assert {"note"} == {one["badness"] for one in done.told["findings"]}
    assert "one-host" in {one["check"] for one in done.told["findings"]}
    assert (6, "loopback") == (done.told["members"], done.told["name"])
    assert "6 members of loopback looked at: " in run(grid, "doctor").out
    assert Exit.DONE == run(grid, "doctor", "--url", elsewhere(grid)).code


def test_the_doctor_knows_what_the_caches_of_the_settings_ask_for(grid: LoopbackGrid, tmp_path: Path) -> None:
    """What would raise NotDurable, or be refused, at the first write."""
    settings = tmp_path / "cachegrid.toml"
    settings.write_text('[caches.orders]\nreplicas = 2\n[caches.ledger]\ndurability = "disk"\n[caches.prices]\n')
    done = run(grid, "doctor", "--json", "--config", str(settings), "--name", "loopback")
    assert Exit.NO == done.code
    found = [one for one in done.told["findings"] if one["check"] == "durability"]
    assert [("problem", ["cache ledger"]), ("problem", ["cache orders"])] == sorted(
        (one["badness"], one["where"][:1]) for one in found
    )


def test_the_doctor_finds_what_real_members_have() -> None:
    """A dead one, an owner that has no replica then, a timeout and a right that are not as the others'."""
    with LoopbackGrid(owners=3) as grid:
        dead = grid.kill(3)
        with grid.admin(0) as admin:
            admin.run("CONFIG", "SET", "cluster-node-timeout", 5000)
        with grid.admin(1) as admin:
            admin.run("CONFIG", "SET", "maxmemory", 1 << 50)
        (grid.state.folder / "secrets.json").chmod(0o644)
        done = run(grid, "doctor", "--json")
        assert Exit.NO == done.code
        found = {one["check"]: one for one in done.told["findings"]}
        assert {"dead-member", "no-replica", "node-timeout", "too-large-limit", "loose-files"} <= set(found)
        assert [dead.address] == found["dead-member"]["where"]
        assert [grid.state.members[0].address] == found["no-replica"]["where"]
        assert "problem" == found["loose-files"]["badness"]
        assert f"problem: {dead.address}: cannot be reached: " in run(grid, "doctor").out


def ended(grid: LoopbackGrid, index: int) -> None:
    """A member ends as it does in a restart."""
    end_members(grid.state, [grid.state.member(index)])


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_the_doctor_counts_how_often_a_member_died(kind: str) -> None:
    """By its log, and not how often it was ended in order. One that stands still is not taken for a dead one."""
    with LoopbackGrid(owners=1, server=servers.redis() if kind == "redis" else None) as grid:
        for end in (grid.kill, grid.kill, partial(ended, grid)):
            end(1)
            grid.restart()
        grid.pause(1)
        found = {one["check"]: one for one in run(grid, "doctor", "--json").told["findings"]}
        grid.resume(1)
        address = grid.state.members[1].address
        assert [address] == found["restarts"]["where"]
        assert "died 2 times within the last hour, and was started again" == found["restarts"]["what"]
        assert "does not answer, and its process is there" == found["dead-member"]["what"]


def test_a_secured_grid_is_kept_and_examined(tmp_path: Path) -> None:
    """By its name, with TLS."""
    with LoopbackGrid(server=servers.redis(), tls=make_certificates(tmp_path / "pem")) as grid:
        with package.connect(f"{grid.url}&verify_host=no") as client:
            client.cache("prices")["a"] = 1
        assert 1 == run(grid, "backup", str(tmp_path / "b"), "--json").told["entries"]
        assert 1 == run(grid, "restore", str(tmp_path / "b"), "--replace", "--json").told["restored"]
        done = run(grid, "doctor", "--json")
        assert Exit.DONE == done.code, done.out
        assert {"old-server", "one-host"} <= {one["check"] for one in done.told["findings"]}


def test_an_owner_of_a_grid_elsewhere_hands_over(grid: LoopbackGrid, prices: package.SyncCache) -> None:
    """And back, when that is said of the replica that it is then; first only as a plan."""
    owner = next(one for one in grid.members() if one.role == "owner")
    address = f"{owner.host}:{owner.port}"
    done = here("failover", address, "--url", elsewhere(grid), "--dry-run")
    assert (Exit.DONE, "") == (done.code, done.err)
    assert f"take over from {address}, which follows it then" in done.out
    assert "owner" == next(one.role for one in grid.members() if one.id == owner.id)
    done = here("failover", address, "--url", elsewhere(grid))
    assert (Exit.DONE, "") == (done.code, done.err)
    assert " is the owner after " in done.out
    assert "replica" == next(one.role for one in grid.members() if one.id == owner.id)
    done = here("failover", str(owner.port), "--url", elsewhere(grid), "--json")
    assert Exit.DONE == done.code
    assert ["owner"] == [one["role"] for one in done.told["members"] if one["address"] == address]
    assert {"a": 1, "b": 2} == prices.get_many(["a", "b"])


def test_an_owner_of_a_grid_elsewhere_gives_all_it_has_away() -> None:
    """Its entries are with the others then; it runs on, and whoever runs it ends it. The last one keeps what it has."""
    with LoopbackGrid(owners=2, replicas=0) as grid, package.connect(grid.url) as client:
        first, last = (member.address for member in grid.state.members)
        client.cache("prices").set_many(dict.fromkeys(range(500), 1))
        assert 8_192 == here("remove", first, "--url", elsewhere(grid), "--dry-run", "--json").told["slots"]
        assert [8_192, 8_192] == [member.slots for member in grid.members()]
        done = here("remove", first, "--fast", "--url", elsewhere(grid))
        assert (Exit.DONE, "") == (done.code, done.err)
        assert f"1. move 8,192 slots to {last}: " in done.out
        assert f"end {first} where it runs" in done.out
        assert {first: 0, last: 16_384} == {f"{one.host}:{one.port}": one.slots for one in grid.members()}
        assert 500 == len(client.cache("prices").get_many(range(500)))
        assert f"nothing to do: {first} owns no slots" in here("remove", first, "--url", elsewhere(grid)).out
        refused = here("remove", last, "--url", elsewhere(grid))
        assert (Exit.REFUSED, True) == (refused.code, "is the last owner" in refused.err)


@pytest.mark.parametrize("form", ["--json", "--debug"])
def test_whom_to_end_with_an_owner_is_named(form: str) -> None:
    """Its replicas, by address, as they were: once it is emptied they follow another owner."""
    with LoopbackGrid(owners=2, replicas=1) as grid:
        first = grid.state.members[0]
        mine = next(one for one in grid.members() if one.owner_id == first.id and one.role == "replica")
        done = here("remove", first.address, "--url", elsewhere(grid), form)
        assert (Exit.DONE, "") == (done.code, done.err)
        if form == "--json":
            assert (8_192, [f"{mine.host}:{mine.port}"]) == (done.told["slots"], done.told["replicas"])
        else:
            assert f"end {first.address} and its replica {mine.host}:{mine.port} where they run" in done.out


def test_what_is_half_moved_is_settled_behind_the_plan() -> None:
    """A plan that is shown and refused has changed nothing."""
    with LoopbackGrid(owners=2, replicas=0) as grid, mock.patch("cachegrid.cluster.moving.settled") as settled:
        settled.side_effect = KeyboardInterrupt
        done = here("remove", grid.state.members[0].address, "--url", elsewhere(grid))
    assert (Exit.INTERRUPTED, True) == (done.code, "  1. move 8,192 slots to " in done.out)


def test_an_owner_is_not_emptied_into_others_that_have_no_room() -> None:
    """Unless it is said that they may evict."""
    with LoopbackGrid(owners=2, replicas=0) as grid, package.connect(grid.url) as client:
        client.cache("prices").set_many(dict.fromkeys(range(2_000), "x" * 2_000))
        with grid.admin(1) as admin:
            admin.run("CONFIG", "SET", "maxmemory", int(admin.facts("memory")["used_memory"]) + 1_000_000)
        address = grid.state.members[0].address
        refused = here("remove", address, "--url", elsewhere(grid))
        assert (Exit.REFUSED, True) == (refused.code, "--force" in refused.err)
        assert Exit.DONE == here("remove", address, "--url", elsewhere(grid), "--dry-run", "--force").code


def test_who_has_nobody_to_hand_over_to_says_so() -> None:
    """Nothing has changed then."""
    with LoopbackGrid(owners=2, replicas=0) as grid:
        done = here("failover", grid.state.members[0].address, "--url", elsewhere(grid))
        assert Exit.REFUSED == done.code
        assert "has no replica that follows it" in done.err
        assert Exit.USAGE == here("failover", "none:1", "--url", elsewhere(grid)).code


@pytest.mark.parametrize(
    "words",
    [["add"], ["replace", "x"], ["heal"], ["restart", "--rolling"]],
    ids=lambda words: words[0],
)
def test_what_starts_and_ends_members_is_refused_elsewhere(words: list[str]) -> None:
    """It is said what to do instead."""
    done = here(*words, "--url", "valkey://127.0.0.1:1")
    assert Exit.REFUSED == done.code
    assert f"{words[0]} works on grids of this host (--name), not on one known by its URL: " in done.err


def test_a_write_that_is_not_safe_in_time_has_the_code_of_what_is_late() -> None:
    """It was made: scripts may do it again."""
    assert Exit.NO_GRID == code_of(NotDurable("late"))
