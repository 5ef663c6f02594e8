"""Plans are balanced, as small as they can be, and the same for the same question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid.cluster.balance import Move, moves, places, spans
from cachegrid.cluster.plan import slot_ranges
from cachegrid.engines.valkey.slots import SLOTS

MEMBERS = "abcdef"


@st.composite
def grids(draw: st.DrawFn) -> tuple[dict[str, list[range]], set[str]]:
    """Some slots with an owner each, or with none, and the members that shall own them."""
    owners = draw(st.lists(st.sampled_from([*MEMBERS, ""]), max_size=60))
    owned = {
        member: spans(slot for slot, owner in enumerate(owners) if owner == member)
        for member in draw(st.sets(st.sampled_from(MEMBERS))) | set(owners) - {""}
    }
    return owned, draw(st.sets(st.sampled_from(MEMBERS), min_size=1))


def carried_out(owned: Mapping[str, Sequence[range]], plan: Sequence[Move]) -> dict[str, set[int]]:
    """Who owns which slots after the plan; nobody gives what it does not have."""
    after = {member: {slot for span in slots for slot in span} for member, slots in owned.items()}
    for move in plan:
        given_away = {slot for span in move.slots for slot in span}
        assert given_away <= after[move.source]
        after[move.source] -= given_away
        after.setdefault(move.target, set()).update(given_away)
    return after


@given(grids())
def test_afterwards_those_who_shall_own_all_slots_evenly(grid: tuple[dict[str, list[range]], set[str]]) -> None:
    """Every slot is owned that was, by a member that shall own some, and their counts differ by one at most."""
    owned, into = grid
    after = carried_out(owned, moves(owned, into))
    assert {slot for slots in after.values() for slot in slots} == {
        slot for slots in owned.values() for span in slots for slot in span
    }
    assert all(not slots for member, slots in after.items() if member not in into)
    counts = [len(after.get(member, ())) for member in into]
    assert max(counts) - min(counts) <= 1


@given(grids())
def test_no_plan_moves_fewer_slots(grid: tuple[dict[str, list[range]], set[str]]) -> None:
    """What moves is what the best way to share out the slots needs, of all ways there are."""
    owned, into = grid
    assert sum(move.size for move in moves(owned, into)) == least_moved(owned, into)


def least_moved(owned: Mapping[str, Sequence[range]], into: Collection[str]) -> int:
    """How many slots have to move at least: tried for each choice of those who own one more."""
    sizes = {member: sum(map(len, slots)) for member, slots in owned.items()}
    each, over = divmod(sum(sizes.values()), len(into))
    return min(
        sum(max(0, size - (each + (one in more) if one in into else 0)) for one, size in sizes.items())
        for more in combinations(sorted(into), over)
    )


@given(grids())
def test_a_plan_is_short_and_always_the_same(grid: tuple[dict[str, list[range]], set[str]]) -> None:
    """There are fewer moves than members, each pair has one, and in which order they are named is no matter."""
    owned, into = grid
    plan = moves(owned, into)
    assert len(plan) < len({*owned, *into}) or not plan
    assert len({(move.source, move.target) for move in plan}) == len(plan)
    for move in plan:
        assert move.slots == tuple(spans(slot for span in move.slots for slot in span))
        assert move.source != move.target
        assert move.size > 0
    assert moves(dict(reversed(owned.items())), sorted(into, reverse=True)) == plan


@given(grids())
def test_what_is_balanced_stays_as_it_is(grid: tuple[dict[str, list[range]], set[str]]) -> None:
    """A plan that was carried out leaves nothing to do."""
    owned, into = grid
    after = {member: spans(slots) for member, slots in carried_out(owned, moves(owned, into)).items()}
    assert moves(after, into) == ()


def test_a_fourth_owner_gets_one_range_of_each() -> None:
    """An even grid that grows by one gives a quarter away, in as many ranges as there were owners."""
    owned = {str(index): [span] for index, span in enumerate(slot_ranges(3))}
    plan = moves(owned, ["0", "1", "2", "3"])
    assert [len(move.slots) for move in plan] == [1, 1, 1]
    assert sum(move.size for move in plan) == SLOTS // 4


def test_of_many_ranges_whole_ones_go_first() -> None:
    """What is given away is cut out of one range at most."""
    owned = {"a": [range(10), range(20, 26), range(30, 33)], "b": [range(40, 41)]}
    # 20 slots: b lacks 9, and takes the two whole ranges that are no longer than that.
    assert moves(owned, "ab") == (Move("a", "b", (range(20, 26), range(30, 33))),)


def test_nobody_can_own_nothing_for_everybody() -> None:
    """A plan that would leave slots without an owner is refused; where there are none there is nothing to do."""
    with pytest.raises(ValueError, match="no member is to own them"):
        moves({"a": [range(3)]}, [])
    assert moves({"a": []}, []) == ()


@st.composite
def placings(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, tuple[str, str | None]], int]:
    """Owners and replicas on some hosts, and how many replicas an owner shall have."""
    hosts = st.sampled_from(["h1", "h2", "h3"])
    owners = {name: draw(hosts) for name in "abc"[: draw(st.integers(1, 3))]}
    follows = st.sampled_from([*owners, "gone", None])
    replicas = {name: (draw(hosts), draw(follows)) for name in "uvwxyz"[: draw(st.integers(0, 6))]}
    return owners, replicas, draw(st.integers(0, 3))


@given(placings())
def test_each_owner_gets_the_replicas_that_are_wanted(
    placing: tuple[dict[str, str], dict[str, tuple[str, str | None]], int],
) -> None:
    """Where there are enough; and one each, where there are enough for that."""
    owners, replicas, wanted = placing
    plan = places(owners, replicas, wanted)
    assert set(plan) == set(replicas)
    loads = Counter(plan.values())
    least = min(loads[owner] for owner in owners)
    if len(replicas) >= len(owners):
        assert least >= min(wanted, 1)
    if len(replicas) >= wanted * len(owners):
        assert least >= wanted


@given(placings())
def test_no_replica_is_on_its_owners_host_while_another_has_room(
    placing: tuple[dict[str, str], dict[str, tuple[str, str | None]], int],
) -> None:
    """But for one whose owner would have none otherwise."""
    owners, replicas, wanted = placing
    plan = places(owners, replicas, wanted)
    loads = Counter(plan.values())
    for replica, owner in plan.items():
        host = replicas[replica][0]
        if host != owners[owner]:
            continue
        elsewhere = [other for other in owners if owners[other] != host and loads[other] < wanted]
        assert not elsewhere or (loads[owner] == 1 and all(loads[other] for other in elsewhere))


@given(placings())
def test_no_placing_is_better(placing: tuple[dict[str, str], dict[str, tuple[str, str | None]], int]) -> None:
    """Of all ways to place them none has fewer on their owner's host, nor, of those, lets fewer change."""
    owners, replicas, wanted = placing
    plan = places(owners, replicas, wanted)

    def badness(follows: Mapping[str, str]) -> tuple[int, ...]:
        loads = Counter(follows.values())
        wanted_ones = [min(load, wanted) for load in loads.values()]
        return (
            sum(loads.values()) - sum(wanted_ones),
            -sum(map(bool, wanted_ones)),
            sum(replicas[replica][0] == owners[owner] for replica, owner in follows.items()),
            sum(load * (load - 1) // 2 for load in wanted_ones),
            sum(replicas[replica][1] != owner for replica, owner in follows.items()),
        )

    ways = (dict(zip(replicas, way, strict=True)) for way in product(owners, repeat=len(replicas)))
    assert badness(plan) == min(map(badness, ways))


def test_without_owners_nobody_follows() -> None:
    """There is nobody to follow, and that is no error."""
    assert places({}, {"x": ("h1", None)}, 1) == {}
