"""Who arranges a grid across hosts says so for as long as it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cachegrid.cluster import start, stop
from cachegrid.cluster.admin import connect_to
from cachegrid.cluster.hosts import alone as module
from cachegrid.cluster.hosts.alone import HOLD, NOTE, alone
from cachegrid.cluster.operation import Way
from cachegrid.cluster.state import GridState
from cachegrid.errors import GridError
from tests.hosts.grids import wait_for

pytestmark = pytest.mark.grid
OTHER = b"10.0.0.9 abc"


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[GridState]:
    """A grid in which a note ends after a second."""
    monkeypatch.setattr(module, "ENDS", 1.0)
    monkeypatch.setattr(module, "RENEW", 0.05)
    yield start(owners=1, replicas=0)
    stop(purge=True)


def holder(state: GridState, *, instead_of: bytes = OTHER) -> object:
    """Whose note it is after another host has asked for it."""
    with connect_to(state, state.members[0]) as admin:
        return admin.run("EVAL", HOLD, 1, NOTE, OTHER, instead_of, 60_000)


def told(way: Way) -> str:
    """What progress raises."""
    try:
        way.progress("moved", 1, 2)
    except GridError as error:
        return str(error)
    return ""


def test_a_step_that_tells_nothing_keeps_others_out(state: GridState) -> None:
    """
    Longer than a note is good for; afterwards it is anybody's at once. No owner may evict it meanwhile.
    """
    with alone(state, Way()):
        end = time.monotonic() + 2 * module.ENDS
        while time.monotonic() < end:
            assert holder(state) != OTHER
        with connect_to(state, state.members[0]) as admin:
            assert -1 == admin.run("PTTL", NOTE)
    assert OTHER == holder(state)


def test_who_has_lost_it_stops_and_leaves_the_other_ones_note(state: GridState) -> None:
    """
    As after a minute in which it could not say that it is at work.
    """
    with alone(state, Way()) as (_, way):
        assert OTHER == holder(state, instead_of=b"")
        said = wait_for(lambda: told(way), "an end")
    assert "host 10.0.0.9 is changing grid" in said
    with connect_to(state, state.members[0]) as admin:
        found = admin.run("GET", NOTE)
    assert isinstance(found, bytes)
    assert found.endswith(OTHER)
