"""The commands that change a grid of this host while it is used: add, remove and more."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cachegrid.cli.exits import Exit
from cachegrid.cluster import find, kill, members, start, stop
from cachegrid.cluster.state import Phase, names, save
from tests.cli.command import PROGRAM, environment, here

pytestmark = [pytest.mark.grid, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _ends_grids(state_folder: Path) -> Iterator[None]:
    yield
    for name in names(state_folder):
        stop(name, purge=True)


def addresses() -> list[str]:
    """The members of the grid, as `status` shows them."""
    state = find()
    assert state is not None
    return [member.address for member in state.members]


def test_a_grid_grows_hands_over_restarts_and_shrinks() -> None:
    """
    Each command shows its plan and says what it did; `up` takes what came of it.
    """
    start(owners=1, replicas=1)
    grown = here("add", "--fast")
    assert (0, "") == (grown.code, grown.err)
    assert re.search(r"^grid default:\n  1\. start 1 more owner, .*\n  2\. move 8,192 of 16,384 slots", grown.out)
    assert re.search(r"\ngrid default has grown after \d+\.\d s: 2 owners, 1 replica each, .*\n$", grown.out)
    assert 0 == here("up", "--members", "2", "--replicas", "1").code
    owner = addresses()[0]
    assert f"take over from {owner}" in here("failover", owner).out
    restarted = here("restart", "--rolling", "--fast", "--json")
    assert (0, "") == (restarted.code, restarted.err)
    assert (4, False) == (len(restarted.told["steps"]), restarted.told["dry_run"])
    shrunk = here("remove", owner.rpartition(":")[2], "--fast", "--json")  # an owner again
    assert (0, "") == (shrunk.code, shrunk.err)
    assert [(True, 16384), (True, 0)] == sorted((one["up"], one["slots"]) for one in shrunk.told["members"])[::-1]
    assert owner not in addresses()
    assert 0 == here("status", "--check").code


def test_a_dry_run_changes_nothing() -> None:
    """
    It prints the plan, or one object.
    """
    before = start(owners=2, replicas=0)
    told = here("add", "--count", "2", "--dry-run", "--json").told
    assert {"owners": 4, "replicas": 0, "memory": before.memory and before.memory * 2} == told["after"]
    assert (True, 2) == (told["dry_run"], len(told["members"]))
    planned = here("remove", addresses()[1], "--dry-run")
    assert re.fullmatch(r"grid default:\n  1\. move 8,192 of .*\n  2\. end .*\n  3\. .*\n", planned.out)
    assert here("restart", "--rolling", "--force", "--dry-run").out.count("restart 127.0.0.1") == 2
    assert before == find()


def test_what_cannot_be_done_is_said_in_one_line() -> None:
    """
    With the exit code of its kind, and what to do.
    """
    assert 3 == here("add").code
    start(owners=1, replicas=0)
    for words, code, said in (
        (("remove", addresses()[0]), 4, r"last owner of grid 'default': `cachegrid down` ends the grid"),
        (("remove", "nowhere:1"), 2, r"member is 'nowhere:1'; it must be one of"),
        (("failover", addresses()[0]), 4, r"has no replica that could take over"),
        (("restart",), 2, r"--rolling has to be said: members restart one by one"),
        (("restart", "--rolling"), 4, r"--force"),
        (("add", "--count", "0"), 2, r"--count"),
    ):
        done = here(*words)
        assert (code, 1) == (done.code, done.err.count("\n"))
        assert re.search(said, done.err)
    elsewhere = here("add", CACHEGRID_URL="valkey://10.255.255.1:1")
    assert (4, True) == (elsewhere.code, "--name" in elsewhere.err)


def test_a_grid_is_healed_and_its_members_replaced() -> None:
    """
    Slots without an owner are told, with another exit code, until they are given away.
    """
    state = start(owners=2, replicas=0)
    replaced = here("replace", addresses()[0], "--json")
    assert (0, 3, "") == (replaced.code, len(replaced.told["steps"]), replaced.err)
    assert "nothing to do\n" == here("heal").out
    kill(state, 1)
    lost = "8,192 of 16,384 slots (50%: 8192-16383)"
    assert f"nobody has the entries of {lost}: they are lost\n" in here("status").out
    assert f"bring {lost} back empty: " in here("heal", "--dry-run").out
    shutil.rmtree(state.member(1).folder)
    left = here("heal")
    assert (1, "cachegrid: 8,192 slots have no owner: --assign gives them to owners, without what was in them\n") == (
        left.code,
        left.err,
    )
    assert "grid default is as whole as it can be after" in left.out
    healed = here("heal", "--assign")
    assert (0, True) == (healed.code, "grid default is whole again after" in healed.out)
    assert 0 == here("status", "--check").code


def test_a_grid_of_this_host_is_not_taken_for_one_of_others() -> None:
    """
    By its URL it would be emptied, and none of its members ended: it would go on with a shape that it has not.
    """
    state = start(owners=2, replicas=1)
    refused = here("remove", state.members[0].address, "--url", state.full_url)
    told = f"is grid 'default' of this host.*cachegrid remove {state.members[0].address} --name default$"
    assert (Exit.REFUSED, True) == (refused.code, re.search(told, refused.err.strip()) is not None)
    assert [8192, 8192, 0, 0] == [member.slots for member in members(state)]


def test_status_tells_what_was_begun() -> None:
    """
    Who is leaving or joining, and the command that goes on with it.
    """
    state = start(owners=2, replicas=0)
    assert [] == here("status", "--json").told["unfinished"]
    first, second = state.members
    save(replace(state, members=(replace(first, phase=Phase.JOINING), replace(second, phase=Phase.LEAVING))))
    joining = f"joining: {first.address}; go on with: cachegrid add"
    leaving = f"leaving: {second.address}; go on with: cachegrid remove {second.address}"
    assert [joining, leaving] == here("status", "--json").told["unfinished"]
    assert f"{joining}\n{leaving}\n" in here("status").out
    save(replace(state, members=(replace(first, phase=Phase.JOINING), second)))
    assert [] == here("status", "--json").told["unfinished"]  # it has its share
    assert [] == [finding for finding in here("doctor", "--json").told["findings"] if finding["check"] == "unfinished"]


def test_what_ctrl_c_stops_is_undone() -> None:
    """
    Before slots move the grid is as it was, and it is said that it may be run again.
    """
    before = start(owners=1, replicas=0)
    words = [*PROGRAM, "add"]
    process = subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "grid default:\n" == process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (130, "cachegrid: stopped: nothing is lost; run it again to go on\n") == (process.returncode, said)
    assert before == find()
