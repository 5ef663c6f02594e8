"""Grids by command: up, status, url, down."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from cachegrid.cluster import embedded, kill, remove, start, stop
from cachegrid.cluster.memory import memory_there
from cachegrid.cluster.processes import command_of
from cachegrid.cluster.state import Stage, load, names, save
from cachegrid.testing.loopback import LoopbackGrid
from tests.cli.command import cachegrid, environment

pytestmark = pytest.mark.grid


@pytest.fixture(autouse=True)
def _all_end(state_folder: Path) -> Iterator[None]:
    yield
    for name in names(state_folder):
        stop(name, purge=True, root=state_folder)


def test_a_grid_is_started_looked_at_and_stopped(state_folder: Path) -> None:
    """
    Three owners, three replicas; and nothing is left when it is stopped.
    """
    up = cachegrid("up", "--json")
    assert 0 == up.code, up.err
    assert (True, "default", True) == (up.told["started"], up.told["name"], up.told["whole"])
    told = cachegrid("status", "--json").told
    assert ("default", up.told["url"], True) == (told["name"], told["url"], told["whole"])
    assert ["owner"] * 3 + ["replica"] * 3 == [member["role"] for member in told["members"]]
    assert 16384 == sum(member["slots"] for member in told["members"])
    for member in told["members"]:
        assert {"host", "port", "pid", "role", "slots", "entries", "memory_bytes", "lag_bytes", "up"} <= set(member)
        assert "member.conf" in command_of(member["pid"])
    assert {"stopped": ["default"]} == cachegrid("down", "--json").told
    assert [] == names(state_folder)
    for member in told["members"]:
        assert "" == command_of(member["pid"])


def test_the_output_of_up_is_for_people_and_its_pipe_closes() -> None:
    """
    Though the members live on, `cachegrid up | cat` ends; without a terminal there are no control codes.
    """
    run = subprocess.run(
        ["/bin/sh", "-c", '"$0" -m cachegrid up --members 1 --replicas 0 2>&1 | cat', sys.executable],
        capture_output=True,
        env=environment(),
        timeout=30,
        check=True,
    )
    text = run.stdout.decode()
    for part in (
        "grid default is up after",
        "1 owner, 0 replicas",
        "valkey://127.0.0.1:",
        "grid = cachegrid.connect()",
    ):
        assert part in text
    assert "\x1b" not in text
    again = cachegrid("up", "--members", "1", "--replicas", "0")
    assert (0, True) == (again.code, "was up already" in again.out)


def test_replicas_that_nobody_could_elect_are_warned_of() -> None:
    """
    Before they are started; where there are none to take over, nothing is said.
    """
    assert "warning: with 2 owners no replica takes over" in cachegrid("up", "--members", "2", "--replicas", "1").err
    cachegrid("down", "--purge")
    assert "" == cachegrid("up", "--members", "1", "--replicas", "0").err


def test_another_shape_is_refused_and_the_grid_goes_on() -> None:
    """
    Its entries are worth more than the wish.
    """
    cachegrid("up", "--members", "1", "--replicas", "0")
    done = cachegrid("up", "--members", "2", "--replicas", "0")
    assert (4, "") == (done.code, done.out)
    assert "runs already" in done.err
    assert 0 == cachegrid("status", "--check").code


def test_a_port_in_use_is_named_and_nothing_is_left(state_folder: Path) -> None:
    """
    Neither a member nor a folder.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cachegrid("up", "--members", "1", "--replicas", "0", "--base-port", str(port))
    assert (5, "") == (done.code, done.out), done.err
    assert str(port) in done.err
    assert [] == names(state_folder)


def test_two_grids_are_told_apart_by_name(state_folder: Path) -> None:
    """
    Where it is not said which, that is asked; `down --all` ends both.
    """
    for name in ("one", "two"):
        assert 0 == cachegrid("up", "--members", "1", "--replicas", "0", "--name", name).code
    done = cachegrid("status")
    assert 2 == done.code
    assert f"several grids on this host (looked in {state_folder}): one, two" in done.err
    assert "two" == cachegrid("status", "--json", "--name", "two").told["name"]
    assert "one" == cachegrid("status", "--json", CACHEGRID_NAME="one").told["name"]
    url = cachegrid("url", "--name", "one").out.strip()
    assert url.endswith("?grid=one")
    for command in ("restart", "rebalance", "status"):
        done = cachegrid(
            command, "--url", url.replace("grid=one", "grid=two"), *(["--rolling"] * (command == "restart"))
        )
        assert (2, "") == (done.code, done.out)
        assert "with the address of a member of grid 'two' of this host" in done.err
    assert {"stopped": ["one", "two"]} == cachegrid("down", "--all", "--json").told


def test_the_only_grid_needs_no_name(state_folder: Path) -> None:
    """
    But to be stopped: its entries are lost then, and it may be another's than is meant.
    """
    cachegrid("up", "--members", "1", "--replicas", "0", "--name", "only")
    assert ["only", "only"] == [cachegrid(word, "--json").told["name"] for word in ("status", "stats")]
    assert "only" == cachegrid("stats", "--name", "only", "--json").told["name"]
    done = cachegrid("down")
    assert (3, "") == (done.code, done.out)
    where = f"on this host (looked in {state_folder})"
    assert f"there is no grid 'default' {where}, but: only; say which one to stop with --name, or --all" in done.err
    assert "grid only is stopped\n" == cachegrid("down", "--name", "only").out
    assert (0, "no grid is there\n") == ((done := cachegrid("down")).code, done.out)


def test_a_second_down_stops_no_other_grid() -> None:
    """
    The one that is meant is stopped already; its ports and password can still be forgotten.
    """
    for name in ("default", "other"):
        cachegrid("up", "--members", "1", "--replicas", "0", "--name", name)
    url = cachegrid("url", "--show-password").out
    assert "grid default is stopped\n" == cachegrid("down").out
    assert 3 == cachegrid("down").code
    assert 0 == cachegrid("status", "--name", "other").code
    cachegrid("up", "--members", "1", "--replicas", "0")
    assert url == cachegrid("url", "--show-password").out
    cachegrid("down")
    assert "grid default is forgotten\n" == cachegrid("down", "--purge").out
    cachegrid("up", "--members", "1", "--replicas", "0")
    assert url != cachegrid("url", "--show-password").out
    cachegrid("down", "--name", "other")
    assert ["default", "other"] == cachegrid("down", "--all", "--purge", "--json").told["stopped"]


def test_the_url_reaches_the_grid_with_the_password_or_by_the_state_folder() -> None:
    """
    The password is shown only on demand, and a wrong one is refused.
    """
    cachegrid("up", "--members", "1", "--replicas", "0")
    shown, full = cachegrid("url").out.strip(), cachegrid("url", "--show-password", "--json").told["url"]
    password = re.search(":([^:@]+)@", full)
    assert password
    assert password[1] not in shown
    assert [shown, full] == [
        cachegrid("url", *more, CACHEGRID_URL=shown).out[:-1] for more in ([], ["--show-password"])
    ]
    cachegrid("set", "c", "k", "v", "--url", shown)
    assert "v\n" == cachegrid("get", "c", "k", "--url", full).out
    status = cachegrid("status", "--url", full, "--json")
    assert password[1] not in status.out
    assert ["owner"] == [member["role"] for member in status.told["members"]]
    wrong = cachegrid("get", "c", "k", "--url", full.replace(password[1], "wrong"))
    assert (4, "") == (wrong.code, wrong.out)
    assert "does not accept the user or password" in wrong.err


def test_an_owner_that_lost_its_replica_is_shown_and_healed() -> None:
    """
    All members are up, and the grid is not whole: one more death would cost entries.
    """
    with LoopbackGrid(owners=1, replicas=1) as grid:
        ask = partial(cachegrid, CACHEGRID_STATE=str(grid.root), CACHEGRID_NAME="loopback")
        assert 0 == ask("status", "--check").code
        with grid.admin(1) as admin:
            admin.run("CLUSTER", "RESET", "SOFT")
        grid.wait_for(lambda: all(member.role == "owner" for member in grid.members()))
        done = ask("status", "--check")
        assert 1 == done.code
        owner = grid.state.member(0).address
        assert f"{owner}: fewer replicas follow than the grid is to have, 1 each" in done.out
        assert "cachegrid heal --name loopback" in done.out
        assert False is ask("status", "--json").told["whole"]
        assert 0 == ask("heal").code
        assert 0 == ask("status", "--check").code


def test_a_dead_member_is_shown_and_up_starts_it_again() -> None:
    """
    For scripts, `status --check` tells by its exit code.
    """
    told = cachegrid("up", "--members", "1", "--replicas", "1", "--json").told
    replica = next(member for member in told["members"] if member["role"] == "replica")
    os.kill(replica["pid"], signal.SIGKILL)
    done = cachegrid("status", "--check")
    assert 1 == done.code
    assert re.search(rf"{replica['port']} +replica +dead", done.out)
    assert 0 == cachegrid("status").code
    healed = cachegrid("up", "--members", "1", "--replicas", "1", "--json").told
    assert (False, True) == (healed["started"], healed["whole"])
    assert [f"127.0.0.1:{replica['port']}"] == healed["revived"]
    assert [] == healed["emptied_slots"]
    assert [] == cachegrid("up", "--members", "1", "--replicas", "1", "--json").told["revived"]


def test_status_says_how_to_start_dead_members_again() -> None:
    """
    In words that can be typed as they are, and that bring them back; `up` does, too, and says so.
    """
    told = cachegrid("up", "--members", "1", "--replicas", "1", "--name", "shop", "--json").told
    os.kill(told["members"][1]["pid"], signal.SIGKILL)
    advice = re.search("start dead members again with: cachegrid (.*)", cachegrid("status").out)
    assert advice
    done = cachegrid(*advice[1].split())
    assert "grid shop is whole again after" in done.out
    assert (dead := f"127.0.0.1:{told['members'][1]['port']}") in done.out.splitlines()[1]
    os.kill(cachegrid("status", "--json").told["members"][1]["pid"], signal.SIGKILL)
    done = cachegrid("up", "--name", "shop")
    assert ("these members were dead and are up again after" in done.out, dead in done.out.splitlines()[0]) == (
        True,
    ) * 2


def test_a_member_that_stands_still_is_not_called_dead() -> None:
    """
    Nobody starts it again: `status` and `up` say that it is there, and what lets it go on.
    """
    shape = ("up", "--members", "1", "--replicas", "0")
    pid = cachegrid(*shape, "--json").told["members"][0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    for words in (("status",), shape):
        told = cachegrid(*words).out
        assert f"does not answer, and its process is there: it was stopped (SIGSTOP), and `kill -CONT {pid}`" in told
        assert "start dead members" not in told


@pytest.mark.parametrize(
    ("option", "said"),
    [(("--base-port", "7000"), "and not 7000"), (("--server", "redis-server"), "its members run")],
)
def test_an_option_that_a_running_grid_cannot_take_is_refused(option: tuple[str, str], said: str) -> None:
    """
    As another shape is: with what it is instead, and how to go on.
    """
    shape = ("up", "--members", "1", "--replicas", "0")
    port = cachegrid(*shape, "--json").told["members"][0]["port"]
    if option[0] == "--server" and shutil.which(option[1]) is None:
        pytest.skip("redis-server is not installed")
    done = cachegrid(*shape, *option)
    assert (4, "") == (done.code, done.out)
    assert said in done.err
    assert "`cachegrid up --members 1 --replicas 0` takes it as it is; `cachegrid add` and `remove` change" in done.err
    assert 0 == cachegrid(*shape, "--base-port", str(port)).code


def test_a_grid_may_take_a_share_of_the_memory_unless_it_is_said() -> None:
    """
    `--memory 0` is without a limit; and of a grid that runs its limit need not be said again.
    """
    shape = ("up", "--members", "1", "--replicas", "0")
    told = cachegrid(*shape, "--json").told
    assert 8_000_000 <= told["members"][0]["memory_limit_bytes"] <= memory_there() // 4
    assert re.search("entries, .* of .*B$", cachegrid("status").out.splitlines()[0])
    cachegrid("down")
    assert 20_000_000 == cachegrid(*shape, "--memory", "20MB", "--json").told["members"][0]["memory_limit_bytes"]
    assert [0, 0, 4] == [cachegrid(*shape, *said).code for said in ([], ["--memory", "20MB"], ["--memory", "30MB"])]
    cachegrid("down")
    assert 0 == cachegrid(*shape, "--memory", "0", "--json").told["members"][0]["memory_limit_bytes"]


def test_a_grid_whose_members_all_died_is_not_there() -> None:
    """
    It is said that it was, and `up` starts it anew.
    """
    told = cachegrid("up", "--members", "1", "--replicas", "0", "--json").told
    os.kill(told["members"][0]["pid"], signal.SIGKILL)
    done = cachegrid("get", "c", "k", "--name", "default")
    assert 3 == done.code
    assert "does not run any more: all its members (1) are dead, and its entries lost" in done.err
    assert "start it anew with: cachegrid up --members 1 --replicas 0\n" in done.err
    assert "the one before it had died" in cachegrid("up", "--members", "1", "--replicas", "0").out


def test_a_grid_that_died_whole_needs_no_shape_said() -> None:
    """`up` has it again as it was, its memory limit too."""
    for owners in (2, 1):
        up = cachegrid("up", "--members", str(owners), "--replicas", "0", "--memory", "64MB", "--json").told
        for member in up["members"]:
            os.kill(member["pid"], signal.SIGKILL)
        again = cachegrid("up", "--json").told
        assert ["owner"] * owners == [member["role"] for member in again["members"]]
        assert 64_000_000 == sum(member["memory_limit_bytes"] for member in again["members"])
        cachegrid("down", "--purge")


def test_a_member_that_a_program_started_is_no_shape_that_was_asked_for() -> None:
    """`up` takes it while it runs; when it died, it starts a grid as a new one is."""
    state = embedded()
    assert False is cachegrid("up", "--json").told["started"]
    kill(state, 0)
    assert 6 == len(cachegrid("up", "--json").told["members"])


def test_a_grid_that_shrank_is_taken_as_it_is() -> None:
    """Its dead members are started again, where nothing is said of its shape."""
    state = remove(member=start(owners=2, replicas=1, memory=32 << 20).members[0].address)
    dead = state.members[1]
    kill(state, dead.index)
    done = cachegrid("up", "--json")
    assert (0, 2) == (done.code, len(done.told["members"])), done.err
    assert [dead.address] == done.told["revived"]


def test_a_grid_that_was_kept_on_disk_needs_no_shape_said() -> None:
    """
    It comes back as it was, and `up` takes it as it is; what is said must be so.
    """
    cachegrid("up", "--name", "keep", "--members", "2", "--replicas", "0", "--memory", "32MB", "--persist")
    cachegrid("down", "--name", "keep")
    back = cachegrid("up", "--name", "keep", "--json").told
    assert (True, 2) == (back["resumed"], len(back["members"]))
    assert [False, False] == [
        cachegrid("up", "--name", "keep", *said, "--json").told["started"] for said in ([], ["--members", "2"])
    ]
    other = cachegrid("up", "--name", "keep", "--replicas", "1")
    safer = cachegrid("up", "--name", "keep", "--fsync", "write", "--when-full", "refuse").err
    assert "kept on disk; it has --fsync second, and not write; it has --when-full evict, and not refuse)" in safer
    assert (4, True) == (other.code, "2 owners, 0 replicas each, 32.0 MB of memory, kept on disk" in other.err)
    cachegrid("down", "--name", "keep", "--purge")


def test_what_is_kept_on_disk_outlives_down_until_it_is_purged(state_folder: Path) -> None:
    """
    A grid that was started with --persist.
    """
    shape = ("up", "--members", "1", "--replicas", "0", "--persist")
    assert 0 == cachegrid(*shape).code
    cachegrid("set", "c", "k", "kept")
    assert "grid default is stopped, and its entries are kept on disk\n" == cachegrid("down").out
    done = cachegrid("status")
    assert 3 == done.code
    assert "is stopped, and its entries are kept on disk; to have it back with them: " in done.err
    assert f"cachegrid {' '.join(shape)}\n" in done.err
    other = cachegrid("up", "--members", "2")
    assert (5, True) == (other.code, "`cachegrid down --purge`" in other.err)
    kept = load(state_folder, "default")
    assert kept
    save(replace(kept, stage=Stage.RESUMING))  # as one leaves it that was killed
    failed = cachegrid("heal")
    assert 3 == failed.code
    assert "is not up, as its last start failed or was cut short, and its entries are kept on disk; " in failed.err
    save(kept)
    assert "is up again after" in cachegrid(*shape).out
    assert "kept\n" == cachegrid("get", "c", "k").out
    assert "grid default is stopped\n" == cachegrid("down", "--purge").out
    assert [] == names(state_folder)
