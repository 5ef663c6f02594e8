"""What keeps a host from joining is told in time, with what to do, and leaves nothing behind."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.grids import Hosted, owners_by_host, wait_for
from tests.hosts.namespaces import missing, network

pytestmark = pytest.mark.grid
# The command, where members that do not hear each other are given up sooner.
HASTY = """
from cachegrid.cli.app import main
from cachegrid.cluster.hosts import joining
joining.MEETING = 1.5
main()
"""
# The command, stopped by Ctrl-C in a function of that name.
STOPPED = """
import sys
from cachegrid.cli.app import main
from cachegrid.cluster.hosts import joining
def stopped(*_, **__): raise KeyboardInterrupt
setattr(joining, sys.argv.pop(1), stopped)
main()
"""


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A grid on the first of two hosts."""
    if lack := missing():
        pytest.skip(f"hosts of their own are needed: {lack}")
    with network(2) as net:
        made = Hosted(net, tmp_path_factory.mktemp("hosts"))
        made.run(net.hosts[0], "up", "--host", net.hosts[0].address, "--plaintext", "--memory", "64MB")
        yield made


def refusal(hosted: Hosted, where: str, token: str, *words: str) -> tuple[int, str]:
    """How the second host is refused; nothing of the grid is on it then."""
    second = hosted.net.hosts[1]
    words = ("join", where, "--token-file", "-", *words)
    done = second.run(sys.executable, "-c", HASTY, *words, environ=hosted.environ(second), stdin=token)
    assert not [path for path in Path(hosted.environ(second)["CACHEGRID_STATE"]).glob("*") if path.is_dir()]
    assert [] == second.processes()
    return done.returncode, done.stderr


def test_other_hosts_reach_a_grid_only_where_that_was_said(hosted: Hosted) -> None:
    """
    Without TLS it has to be said, and a grid on loopback gives out no token.
    """
    second = hosted.net.hosts[1]
    refused = hosted.tried(second, "up", "--host", second.address)
    assert 2 == refused.returncode
    assert re.search("--tls .* --plaintext does without encryption", refused.stderr)
    hosted.run(second, "up", "--name", "own", "--members", "1", "--replicas", "0")
    refused = hosted.tried(second, "token", "--name", "own")
    assert (4, True) == (refused.returncode, "cachegrid up --host ADDRESS" in refused.stderr)
    hosted.run(second, "down", "--name", "own", "--purge")


def test_a_token_is_good_for_its_time_at_its_member(hosted: Hosted) -> None:
    """
    Another one, half of it, and one that has ended are refused; none of them is repeated.
    """
    first, _ = hosted.net.hosts
    where, token = hosted.token(first)
    assert (2, True) == tuple_of(refusal(hosted, where, "", token), "unexpected extra argument")  # others could see it
    assert (2, True) == tuple_of(refusal(hosted, where, token[: len(token) // 2]), "has printed, all of it")
    other = next(one for one in hosted.members(first) if f"{one['host']}:{one['port']}" != where)
    refused = refusal(hosted, f"{other['host']}:{other['port']}", token)
    assert (4, True) == tuple_of(refused, "does not know the token")
    assert token not in refused[1]
    _, short = hosted.token(first, "--lasts", "1ms")
    wait_for(lambda: tuple_of(refusal(hosted, where, short), "the token has ended") == (4, True), "its end")


def test_what_a_firewall_bars_is_named(hosted: Hosted) -> None:
    """
    The ports of the host that joins, where members do not hear each other; nothing of it stays in the grid.
    """
    first, second = hosted.net.hosts
    where, token = hosted.token(first)
    hosted.net.shut(second, 17001, 17002)
    code, said = refusal(hosted, where, token, "--base-port", "7001")
    hosted.net.heal()
    assert 3 == code
    assert re.search(r"does not hear .* firewall.* those of 10\.77\.0\.2 are 7001 and 17001, 7002 and 17002", said)
    assert [first.address] * 2 == [one["host"] for one in hosted.members(first)]


def test_a_join_that_is_killed_is_done_by_the_next(hosted: Hosted) -> None:
    """
    Before its members have met the others, and after: nothing of a try is left in the grid, and nobody waits for it.
    """
    first, second = hosted.net.hosts
    where, token = hosted.token(first)
    environ = hosted.environ(second)
    told = Path(environ["CACHEGRID_STATE"]) / "default" / "grid.json"
    words = [sys.executable, "-m", "cachegrid", "join", where, "--memory", "64MB"]
    for stage in ("starting", "ready"):
        joining = second.start(*words, environ={**environ, "CACHEGRID_TOKEN": token})
        wait_for(lambda: told.exists() and f'"{stage}"' in told.read_text() and second.processes()[2:], stage)  # noqa: B023
        joining.kill()
        joining.wait()
    hosted.run(second, "join", where, "--token-file", "-", "--memory", "64MB", stdin=token)
    assert hosted.is_whole(first)
    assert {first.address: 1, second.address: 1} == owners_by_host(hosted.members(first))
    assert 4 == len(hosted.members(first))
    hosted.run(second, "leave")
    assert 2 == len(hosted.members(first))


def test_another_grid_of_that_name_is_not_touched(hosted: Hosted) -> None:
    """
    It may have been started by a program that found none.
    """
    first, second = hosted.net.hosts
    where, token = hosted.token(first)
    hosted.run(second, "up", "--members", "1", "--replicas", "0")
    refused = hosted.tried(second, "join", where, "--token-file", "-", stdin=token)
    assert (4, True) == (refused.returncode, "another grid 'default' is on this host" in refused.stderr)
    assert 1 == len(json.loads(hosted.run(second, "status", "--json"))["members"])
    hosted.run(second, "down", "--purge")


def test_entries_on_disk_that_no_grid_is_known_of_stay(hosted: Hosted) -> None:
    """
    The file that describes their grid may be all that was lost.
    """
    first, second = hosted.net.hosts
    where, token = hosted.token(first)
    kept = Path(hosted.environ(second)["CACHEGRID_STATE"]) / "default" / "m0" / "appendonlydir" / "base.rdb"
    kept.parent.mkdir(parents=True)
    kept.touch()
    refused = hosted.tried(second, "join", where, "--token-file", "-", stdin=token)
    assert (5, True) == (refused.returncode, "holds entries on disk" in refused.stderr)
    assert kept.exists()
    hosted.run(second, "down", "--purge")
    assert not kept.exists()


def tuple_of(refused: tuple[int, str], said: str) -> tuple[int, bool]:
    return refused[0], said in refused[1]


@pytest.mark.parametrize(("moment", "says"), [("acquaint", "nothing of the grid is left"), ("arrange", "goes on")])
def test_a_join_that_is_stopped_says_what_it_leaves(hosted: Hosted, moment: str, says: str) -> None:
    """The plan came first, and the same command does it afterwards, or it is taken out again as it says."""
    first, second = hosted.net.hosts
    told = json.loads(hosted.run(first, "token", "--json"))
    words = ("join", told["address"], "--token-file", "-", "--memory", "64MB")
    here = hosted.environ(second)
    done = second.run(sys.executable, "-c", STOPPED, moment, *words, environ=here, stdin=told["token"])
    assert (130, True) == (done.returncode, says in done.stderr), done.stderr
    assert "1. start 1 owner and 1 replica here: " in done.stdout
    assert (moment == "arrange") is bool(second.processes())
    assert ("cachegrid leave" in done.stderr) is (moment == "arrange")
    again = hosted.tried(second, *words, stdin=told["token"])
    assert 0 == again.returncode, again.stderr
    assert {first.address: 1, second.address: 1} == owners_by_host(hosted.members(first))
    hosted.run(second, "leave")
