"""Who owns what is read back from what the members of a stopped grid wrote."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from cachegrid.cluster.layout import read_back
from cachegrid.cluster.plan import Shape
from cachegrid.cluster.state import GridState, MemberState, Phase
from cachegrid.errors import StartFailed

A, B, C, D = (letter * 40 for letter in "abcd")


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[Iterable[str]], GridState]:
    """Make the folder of a grid whose members believe what is given, each about itself: `flags owner epoch slots`."""

    def make(beliefs: Iterable[str]) -> GridState:
        members = []
        for index, (member_id, belief) in enumerate(zip((A, B, C, D), beliefs, strict=False)):
            folder = tmp_path / f"m{index + 1}"
            folder.mkdir()
            role, owner, epoch, *slots = belief.split()
            row = f"{member_id} 127.0.0.1:{7001 + index}@17001,,shard-id=x myself,{role} {owner} 0 0 {epoch} connected"
            other = f"{'e' * 40} 127.0.0.1:1@2 master - 0 0 99 connected 0-16383"
            (folder / "nodes.conf").write_text(
                f"{' '.join([row, *slots])}\n{other}\nvars currentEpoch 9 lastVoteEpoch 0\n"
            )
            members.append(
                MemberState(
                    index=index,
                    id=member_id,
                    host="127.0.0.1",
                    port=7001 + index,
                    bus_port=17001,
                    role="owner",
                    folder=folder,
                )
            )
        return GridState(
            name="kept",
            folder=tmp_path,
            shape=Shape(owners=2, replicas=1, persist=True),
            members=tuple(members),
            password="pw",
            secret=b"",
            server=Path("/bin/server"),
            version="Valkey 9.1.2",
            created=0,
            machine="here",
        )

    return make


def ids() -> Callable[[], str]:
    """New ids that are easy to tell apart."""
    numbers = itertools.count(1)
    return lambda: f"{next(numbers):040x}"


def test_a_grid_that_was_whole_comes_back_as_it_was(kept: Callable[[Iterable[str]], GridState]) -> None:
    """
    Owners keep their slots, however cut up, and replicas their owners; what a member says of others does not count.
    """
    state = kept(["master - 5 0-99 200 8192-16383", "master - 6 100-199 201-8191", f"slave {A} 5", f"slave {B} 6"])
    plan = read_back(state, ids())
    assert [None, None, 0, 1] == [member.follows for member in plan.members]
    first = (range(100), range(200, 201), range(8192, 16384))
    assert [first, (range(100, 200), range(201, 8192)), (), ()] == [member.slots for member in plan.members]
    assert [A, B, C, D] == [member.id for member in plan.members]
    assert plan.members[0].shard == plan.members[2].shard != plan.members[1].shard


def test_the_latest_owner_wins(kept: Callable[[Iterable[str]], GridState]) -> None:
    """
    An owner that died and was replaced still claims its slots; it becomes a replica of the one that took them.
    """
    state = kept(["master - 5 0-8191", "master - 6 8192-16383", "master - 7 0-8191", f"slave {B} 6"])
    plan = read_back(state, ids())
    assert [2, None, None, 1] == [member.follows for member in plan.members]
    assert [(), (range(8192, 16384),), (range(8192),), ()] == [member.slots for member in plan.members]


def test_a_replica_of_nobody_known_follows_somebody(kept: Callable[[Iterable[str]], GridState]) -> None:
    """
    Its owner may have been removed; it still has a place in the grid.
    """
    plan = read_back(kept(["master - 1 0-16383", f"slave {'f' * 40} 1"]), ids())
    assert [None, 0] == [member.follows for member in plan.members]


@pytest.mark.parametrize(
    "lost", [["master - 5 0-8191", f"slave {A} 5"], ["master - 5 0-8191", "master - 6 8192-16000"]]
)
def test_slots_without_owner_are_not_given_away(kept: Callable[[Iterable[str]], GridState], lost: list[str]) -> None:
    """
    Where the files do not tell who owns all slots, nothing is made up.
    """
    with pytest.raises(StartFailed, match=r"(8,192|383) of the 16,384 slots of grid 'kept' have no owner.*m\*"):
        read_back(kept(lost), ids())


@pytest.mark.parametrize("text", [None, "", "garbage", "a b c d\n", "\0\0\0"])
def test_a_damaged_file_is_replaced_by_what_the_others_knew_last(
    kept: Callable[[Iterable[str]], GridState], text: str | None
) -> None:
    """
    Of two that differ, the later one counts.
    """
    state = kept(["master - 5 0-8191", "master - 6 8192-16383", f"slave {A} 5", f"slave {B} 6"])
    path = state.members[1].folder / "nodes.conf"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(StartFailed, match="8,192 of the 16,384 slots"):
        read_back(state, ids())
    for index, row in ((0, "master - 0 0 3 connected 0-16383"), (2, "master - 0 0 6 connected 8192-16383")):
        with (state.members[index].folder / "nodes.conf").open("a") as file:
            file.write(f"{B} 127.0.0.1:7002@17001 {row}\n")
    plan = read_back(state, ids())
    assert [(range(8192),), (range(8192, 16384),), (), ()] == [member.slots for member in plan.members]


def test_members_that_were_about_to_join_become_what_they_came_for(kept: Callable[[Iterable[str]], GridState]) -> None:
    """
    An owner without slots, and its replica, which nobody had told yet whom to follow; whatever their indexes are.
    """
    state = kept(["master - 1 0-16383", f"slave {A} 1", "master - 0", "master - 0"])
    first, second, owner, replica = state.members
    joining = (
        replace(owner, index=7, phase=Phase.JOINING),
        replace(replica, index=9, phase=Phase.JOINING, role="replica", follows=7),
    )
    plan = read_back(replace(state, members=(first, second, *joining)), lambda: "f" * 40)
    assert [(0, None), (1, 0), (7, None), (9, 7)] == [(member.index, member.follows) for member in plan.members]
    assert [(range(16384),), (), (), ()] == [member.slots for member in plan.members]
