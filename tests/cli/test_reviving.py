"""What is said about members that do not answer is what brings them back, and harms none that live."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cachegrid.cli import reviving
from cachegrid.cli.reviving import ways_back
from cachegrid.cluster.plan import Shape
from cachegrid.cluster.state import GridState, MemberState
from cachegrid.engines.facts import MemberFacts


@pytest.fixture
def state(tmp_path: Path) -> GridState:
    """A grid of an owner and a replica that do not run."""
    members = [
        MemberState(
            index=index, id=id_, host="10.0.0.1", port=7001 + index, bus_port=1, role="owner", folder=tmp_path / id_
        )
        for index, id_ in enumerate("ab")
    ]
    return GridState(
        name="shop",
        folder=tmp_path,
        shape=Shape(owners=1),
        members=tuple(members),
        password="x",
        secret=b"",
        server=tmp_path,
        version="Valkey 9.1.2",
        created=0.0,
        machine="",
    )


def facts(*up: str, elsewhere: str = "") -> list[MemberFacts]:
    """The members of this host, and those of another, of which some are up."""
    return [
        MemberFacts(host=host, port=7001 + at, role="owner", id=id_, up=id_ in up)
        for host, ids in (("10.0.0.1", "ab"), ("10.0.0.2", elsewhere))
        for at, id_ in enumerate(ids)
    ]


def test_dead_members_come_back_by_heal_where_others_live(state: GridState, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where nobody does, by the `up` that makes such a grid."""
    assert ["start dead members again with: cachegrid up --name shop --members 1 --replicas 1"] == [
        *ways_back(state, facts())
    ]
    monkeypatch.setattr(reviving, "pid_of", lambda member: 7 if member.id == "a" else 0)
    assert ["start dead members again with: cachegrid heal --name shop"] == [*ways_back(state, facts("a"))]


@pytest.mark.parametrize(("is_there", "said"), [(True, "this host may be cut off"), (False, "`kill -9 7`")])
def test_nobody_is_told_to_kill_one_that_answers(
    state: GridState, monkeypatch: pytest.MonkeyPatch, *, is_there: bool, said: str
) -> None:
    """It is asked by itself, whatever the grid says of it."""
    monkeypatch.setattr(reviving, "pid_of", lambda _: 7)
    monkeypatch.setattr(reviving, "answers", lambda *_: is_there)
    (line,) = ways_back(state, facts("a"))
    assert (True, not is_there) == (said in line, "kill" in line)


def test_a_host_that_hears_no_other_may_be_cut_off(state: GridState, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where some answer elsewhere, those that do not are dead."""
    monkeypatch.setattr(reviving, "pid_of", lambda _: 7)
    spread = replace(state, spread=True)
    assert ["no member on another host answers: this host may be cut off; see cachegrid doctor --name shop"] == [
        *ways_back(spread, facts("a", "b", elsewhere="cd"))
    ]
    assert ["10.0.0.2 may be cut off; start dead members again there with: cachegrid up --name shop"] == [
        *ways_back(spread, facts("a", "b", "c", elsewhere="cd"))
    ]
