"""`cachegrid rebalance` shows what it will do, does it, and says what it did; here, and on grids anywhere."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

import cachegrid as package
from cachegrid.cli.exits import Exit
from cachegrid.cluster.balance import Move
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.handover import half_moved
from cachegrid.cluster.moving import carry_out, owned
from cachegrid.cluster.state import Phase, save
from cachegrid.testing.loopback import LoopbackGrid
from tests.cli.command import PROGRAM, Done, cachegrid, environment
from tests.engines import servers

pytestmark = [pytest.mark.grid, pytest.mark.slow]

SKEW = 300  # slots that the first owner has of the last one's
MOVED = 299  # of them that go back: three owners cannot have equally many, and who has most keeps the one that is over


@pytest.fixture
def grid() -> Iterator[LoopbackGrid]:
    """A grid whose first owner has more slots than it should, and some entries."""
    with LoopbackGrid(replicas=0) as grid:
        with package.connect(grid.url) as client:
            client.cache("prices").set_many(dict.fromkeys(range(5_000), "x" * 50))
        skew(grid)
        yield grid


def skew(grid: LoopbackGrid) -> None:
    """Let the first owner have some slots of the last one."""
    last = grid.state.members[2].id
    start = Contacts.of_state(grid.state).of(last).slots[0].start
    carry_out(grid.state, [Move(last, grid.state.members[0].id, (range(start, start + SKEW),))])


def sizes(grid: LoopbackGrid) -> list[int]:
    """How many slots each owner has, the fewest first."""
    return sorted(sum(map(len, slots)) for slots in owned(grid.state).values())


def rebalance(grid: LoopbackGrid, *options: str) -> Done:
    """Run the command where the grid is one of this host."""
    return cachegrid("rebalance", *options, CACHEGRID_STATE=str(grid.root))


def test_slots_without_an_owner_are_not_passed_over() -> None:
    """Also where all others still believe that they have one."""
    with LoopbackGrid(owners=2, replicas=0) as grid:
        with grid.admin(1) as admin:
            admin.run("CLUSTER", "DELSLOTSRANGE", 16000, 16383)
        done = rebalance(grid, "--dry-run")
    assert (Exit.REFUSED, "") == (done.code, done.out)
    assert "384 slots have no owner: `cachegrid heal --assign --name loopback`" in done.err


def test_a_dry_run_shows_the_plan_and_changes_nothing(grid: LoopbackGrid) -> None:
    """From whom, to whom, how many slots and about how many entries; for people and for programs."""
    first, last = (grid.state.members[index].address for index in (0, 2))
    before = owned(grid.state)
    done = rebalance(grid, "--dry-run")
    assert (Exit.DONE, "") == (done.code, done.err)
    row = next(line.split() for line in done.out.splitlines() if first in line)
    assert [first, last, str(MOVED)] == row[:3]
    assert f"{MOVED} slots to move, with about " in done.out
    told = rebalance(grid, "--dry-run", "--json").told
    assert (MOVED, 0, True) == (told["slots"], told["moved"], told["dry_run"])
    assert [MOVED] == [sum(last - first + 1 for first, last in move["ranges"]) for move in told["moves"]]
    assert told["entries"] == pytest.approx(5_000 * MOVED / 16_384, rel=0.2)
    assert before == owned(grid.state)


def test_slots_are_even_afterwards_and_then_there_is_nothing_to_do(grid: LoopbackGrid) -> None:
    """It says how many moved in how long; entries are where they were."""
    done = rebalance(grid)
    assert (Exit.DONE, "") == (done.code, done.err)
    assert f"{MOVED} slots moved in " in done.out
    assert [5461, 5461, 5462] == sizes(grid)
    again = rebalance(grid)
    assert (Exit.DONE, "nothing to do: the owners have as many slots as each other\n", "") == again
    told = rebalance(grid, "--json").told
    assert ([], 0, 0) == (told["moves"], told["slots"], told["moved"])
    with package.connect(grid.url) as client:
        assert 5_000 == len(client.cache("prices").get_many(range(5_000)))


def test_a_grid_that_somebody_else_runs_is_reached_by_its_url(grid: LoopbackGrid) -> None:
    """One member of it is enough, and nothing of it has to be on this host; the password is shown to nobody."""
    one = f"valkey://:{grid.state.password}@{grid.state.members[1].address}"
    done = cachegrid("rebalance", "--url", one, "--json")
    assert (Exit.DONE, "") == (done.code, done.err)
    assert MOVED == done.told["moved"]
    assert grid.state.password not in done.out
    assert [5461, 5461, 5462] == sizes(grid)


def test_what_is_half_moved_is_told_and_put_right(grid: LoopbackGrid) -> None:
    """A dry run only tells of it; a real one brings it to its end first, and plans then."""
    first, last = grid.state.members[0], grid.state.members[2]
    slot = Contacts.of_state(grid.state).of(last.id).slots[0].start
    with grid.admin(2) as admin:
        admin.run("CLUSTER", "SETSLOT", slot, "MIGRATING", first.id)
    assert "1 slot half-moved by an earlier run" in rebalance(grid, "--dry-run").out
    assert 1 == rebalance(grid, "--dry-run", "--json").told["half_moved"]
    assert MOVED + 1 == rebalance(grid, "--fast", "--json").told["moved"]
    assert [] == list(half_moved(Contacts.of_state(grid.state)))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_stopped_it_says_how_far_it_came_and_goes_on_when_run_again(
    grid: LoopbackGrid, number: signal.Signals, code: int
) -> None:
    """Ctrl-C and SIGTERM end it cleanly, with their exit codes."""
    told = environment(CACHEGRID_STATE=str(grid.root), PYTHONUNBUFFERED="1")
    with subprocess.Popen(
        [*PROGRAM, "rebalance"], env=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        next(line for line in process.stdout if "slots to move" in line)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (code, "") == (process.returncode, out)
    assert re.match(
        r"cachegrid: stopped: (0|299) of 299 slots have moved, and none is half-moved; run it again to go on\n", err
    )
    assert [] == list(half_moved(Contacts.of_state(grid.state)))
    assert Exit.DONE == rebalance(grid).code
    assert [5461, 5461, 5462] == sizes(grid)


def test_a_terminal_shows_the_progress(grid: LoopbackGrid) -> None:
    """A bar while it works, and nothing of it is left behind; without a terminal there is none."""
    above, below = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "rebalance"],
        env=environment(CACHEGRID_STATE=str(grid.root), TERM="xterm"),
        stdout=subprocess.PIPE,
        stderr=below,
    )
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
    assert b"299/299" in shown
    assert b"\x1b" not in out


def test_an_owner_that_does_not_answer_stops_it_before_it_begins(grid: LoopbackGrid) -> None:
    """Its slots could not be shared out: nothing changes, and it is named."""
    before = rebalance(grid, "--dry-run", "--json").told["moves"]
    dead = grid.kill(1).address
    done = rebalance(grid)
    assert (Exit.NO_GRID, "") == (done.code, done.out)
    assert f"while an owner does not answer: {dead}; start it again" in done.err
    assert [{"from", "to", "slots", "ranges", "entries"}] == [set(move) for move in before]


def test_an_owner_that_was_replaced_is_in_nobodys_way() -> None:
    """It owns nothing any more, and gets nothing while it is dead."""
    with LoopbackGrid() as grid:
        skew(grid)
        dead = grid.kill(1).address
        grid.wait_for(lambda: all(owner.is_up for owner in Contacts.of_state(grid.state).owners if owner.slots))
        done = rebalance(grid, "--json")
        assert (Exit.DONE, MOVED) == (done.code, done.told["moved"])
        assert dead not in {move["to"] for move in done.told["moves"]}
        assert [0, 5461, 5461, 5462] == sizes(grid)


def test_who_is_leaving_gets_no_slots_back(grid: LoopbackGrid) -> None:
    """It is said how to go on, and nothing moves; also where only the plan was asked for."""
    leaver = grid.state.members[2]
    left = tuple(replace(one, phase=Phase.LEAVING) if one == leaver else one for one in grid.state.members)
    save(replace(grid.state, members=left))
    before = owned(grid.state)
    for options in ([], ["--dry-run"]):
        done = rebalance(grid, *options)
        assert (Exit.REFUSED, "") == (done.code, done.out)
        assert (
            f"{leaver.address} is leaving: end that first, with `cachegrid remove {leaver.address} --name " in done.err
        )
    assert before == owned(grid.state)


def test_what_has_no_slots_is_refused() -> None:
    """A server alone, and what lives in this process only."""
    with servers.Server() as server:
        done = cachegrid("rebalance", "--url", server.url())
    assert Exit.REFUSED == done.code
    assert "is no cluster" in done.err
    done = cachegrid("rebalance", "--url", "memory://")
    assert (Exit.REFUSED, "cachegrid: memory:// has no members that own slots\n") == (done.code, done.err)
