"""A grid of this host whose members were given other parts from outside is made what it was."""

from __future__ import annotations

import shutil

import pytest

from cachegrid import connect
from cachegrid.cluster import Operation, Way, find, heal, lost_slots, remove
from cachegrid.cluster.agreement import agree, forget_everywhere
from cachegrid.cluster.balance import moves
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.emptying import emptying_of
from cachegrid.cluster.moving import carry_out, pace_of
from cachegrid.cluster.state import GridState
from cachegrid.cluster.view import node_rows
from cachegrid.engines.valkey.slots import SLOTS
from cachegrid.testing.loopback import LoopbackGrid

pytestmark = [pytest.mark.grid, pytest.mark.slow]

ENTRIES = {f"key-{number}": number for number in range(200)}


def emptied(grid: LoopbackGrid) -> None:
    """Let the first owner give all that it has to the others, as whoever takes the grid for one of others does."""
    there = Contacts.of_state(grid.state)
    carry_out(there, emptying_of(there, there.of(grid.state.member(0).id)), pace=pace_of(fast=True))
    grid.wait_for(lambda: sum(facts.role == "owner" for facts in grid.members()) == len(there.owners) - 1)
    agree(grid.state, 10.0)


def forgotten(grid: LoopbackGrid) -> None:
    """It goes on running, and no other member knows it any more."""
    emptied(grid)
    forget_everywhere(grid.state, [grid.state.member(0)])


def ended(grid: LoopbackGrid) -> None:
    """It is ended, and no other member knows it any more."""
    emptied(grid)
    forget_everywhere(grid.state, [grid.kill(0)])


def gone(grid: LoopbackGrid) -> None:
    """Nor are its files there."""
    ended(grid)
    shutil.rmtree(grid.state.member(0).folder)


def thinned(grid: LoopbackGrid) -> None:
    """The replicas that are too many then are taken out in order."""
    emptied(grid)
    counts: dict[str, int] = {}
    for facts in grid.members():
        if facts.role == "replica":
            counts[facts.owner_id] = counts.get(facts.owner_id, 0) + 1
            if counts[facts.owner_id] > 1:
                remove("loopback", f"{facts.host}:{facts.port}", root=grid.root)
    grid.reread()


def _slots_known(grid: LoopbackGrid) -> int:
    """Of how many slots its first member knows an owner."""
    with grid.admin(0) as admin:
        return sum(len(span) for row in node_rows(admin).values() for span in row.slots)


def shape_of(state: GridState) -> list[int]:
    """How many replicas each owner of slots has."""
    there = Contacts.of_state(state)
    return [sum(other.follows == owner.id for other in there.members.values()) for owner in there.owners if owner.slots]


@pytest.mark.parametrize("spoil", [emptied, forgotten, ended, gone, thinned])
def test_heal_gives_the_grid_its_shape_again(spoil: object) -> None:
    """
    As many owners with as many slots, a replica for each, and all entries; then there is nothing to do.
    """
    assert callable(spoil)
    told: list[Operation] = []
    with LoopbackGrid(owners=3) as grid:
        with connect(grid.url) as there:
            there.cache("kept").set_many(ENTRIES)
        spoil(grid)
        heal("loopback", root=grid.root, way=Way(tell=told.append, is_rehearsal=True))
        heal("loopback", root=grid.root, way=Way(tell=told.append, timeout=15.0))
        assert any("an owner again" in step for step in told[0].steps)
        assert len(told[0].steps) == len(told[1].steps)
        state = grid.reread()
        assert [1, 1, 1] == shape_of(state)
        assert [5461, 5461, 5462] == sorted(facts.slots for facts in grid.members() if facts.role == "owner")
        assert (6, find("loopback", root=grid.root)) == (len(state.members), state)
        heal("loopback", root=grid.root, way=Way(tell=told.append))
        assert () == told[2].steps
        with connect(grid.url) as there:
            assert ENTRIES == there.cache("kept").get_many(ENTRIES)


def test_a_member_that_others_have_started_is_left_alone() -> None:
    """
    Its slots are not without an owner, and it is said how it gives them away.
    """
    told: list[Operation] = []
    with LoopbackGrid(owners=1, replicas=0, name="other") as other, LoopbackGrid(owners=2, replicas=0) as grid:
        guest = other.state.member(0)
        with other.admin(0) as admin:
            admin.run("CLUSTER", "RESET", "HARD")
            guest_id = admin.text("CLUSTER", "MYID")
            admin.run("CONFIG", "SET", "masterauth", grid.state.password)
            admin.run("ACL", "SETUSER", "default", f">{grid.state.password}")
        with grid.admin(0) as admin:
            admin.run("CLUSTER", "MEET", guest.host, guest.port, guest.bus_port)
        grid.wait_for(lambda: guest_id in Contacts.of_state(grid.state).members)
        agree(grid.state, 10.0)
        grid.wait_for(lambda: _slots_known(other) == SLOTS)
        there = Contacts.of_state(grid.state)
        carry_out(there, moves(there.owned, [*there.members]), pace=pace_of(fast=True))
        heal("loopback", root=grid.root, assign=True, way=Way(tell=told.append))
        assert [] == lost_slots(grid.state)
        (step,) = told[0].steps
        assert f"leave {guest.address}, which owns slots and was not started here" in step
        assert f"cachegrid remove {guest.address} --url" in step
        assert [5461, 5461, 5462] == sorted(sum(map(len, one.slots)) for one in there.again().owners)
