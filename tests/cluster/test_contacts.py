"""Who is in a grid, and who owns what, is what most of those say that answer."""

from __future__ import annotations

import pytest

from cachegrid.cluster.contacts import Contact, Contacts, agreed
from cachegrid.engines.valkey.facts import NodeRow, read_rows
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import AccessDenied, ConfigError, EngineError, Unsupported
from cachegrid.testing.loopback import LoopbackGrid
from tests.engines import servers


def seen(**views: dict[str, str]) -> dict[str, Contact]:
    """The members as those say that answer: `flags owner slots` of each member, whose port ends like its id."""
    return agreed({me: view(me, rows) for me, rows in views.items()}, Endpoint("10.0.0.9", 7009))


def view(me: str, rows: dict[str, str]) -> dict[str, NodeRow]:
    """The lines that a member tells; of itself it does not know the address."""
    return read_rows(
        f"{member} {'' if member == me else '10.0.0.1'}:700{member[-1]}@1 {'myself,' if member == me else ''}{flags} "
        f"{owner} 0 0 1 connected {' '.join(slots)}"
        for member, (flags, owner, *slots) in ((member, row.split()) for member, row in rows.items())
    )


def test_a_slot_belongs_to_whom_most_give_it() -> None:
    """One that has not heard of a move yet, or takes itself for the owner still, is outvoted."""
    new = {"a1": "master - 0-4", "b2": "master - 5-9"}
    old = {"a1": "master - 0-9", "b2": "master -"}
    members = seen(a1=old, b2=new, c3=new | {"c3": "slave a1"})
    assert [range(5)] == list(members["a1"].slots)
    assert [range(5, 10)] == list(members["b2"].slots)
    assert (False, "a1") == (members["c3"].is_owner, members["c3"].follows)


def test_each_slot_is_voted_on_for_itself() -> None:
    """Where rows overlap in part, each part belongs to whom most give it: the first by id, if it is a draw."""
    members = seen(
        a1={"a1": "master - 0-6 9", "b2": "master - 7-8"},
        b2={"a1": "master - 0-3", "b2": "master - 4-9 12"},
        c3={"a1": "master - 0-1", "b2": "master - 2-7 12", "c3": "slave a1"},
    )
    assert [range(4), range(9, 10)] == list(members["a1"].slots)
    assert [range(4, 9), range(12, 13)] == list(members["b2"].slots)


def test_nobody_is_given_what_it_says_it_does_not_own() -> None:
    """An owner that has come back without its files is taken for the owner still by all others: they are lost."""
    late = {"a1": "master - 0-4", "b2": "master - 5-9", "c3": "slave b2"}
    members = seen(a1=late | {"a1": "master -"}, b2=late, c3=late)
    assert [(), (range(5, 10),)] == [members[one].slots for one in ("a1", "b2")]


def test_members_are_where_the_others_know_them() -> None:
    """One that nobody else knows is where it was asked; who does not answer is known by others, and said to be away."""
    members = seen(a1={"a1": "master - 0-9", "b2": "master,fail -"})
    assert (Endpoint("10.0.0.9", 7001), True) == (members["a1"].endpoint, members["a1"].is_up)
    assert (Endpoint("10.0.0.1", 7002), False) == (members["b2"].endpoint, members["b2"].is_up)


def test_what_a_member_is_it_knows_best_itself() -> None:
    """Others may take a replica that was promoted for a replica for a while, and it is none."""
    late = {"a1": "master,fail - 0-9", "b2": "slave a1"}
    members = seen(b2={"a1": "master,fail -", "b2": "master - 0-9"}, c3=late | {"c3": "master -"})
    assert members["b2"].is_owner
    assert [range(10)] == [*members["a1"].slots, *members["b2"].slots]


def test_only_those_are_named_that_a_word_may_mean() -> None:
    """On several hosts members may have the same port."""
    places = {"a" * 8: Endpoint("10.0.0.1", 7001), "b" * 8: Endpoint("10.0.0.2", 7001), "c" * 8: Endpoint("::1", 7002)}
    members = {one: Contact(id=one, endpoint=place, is_owner=True) for one, place in places.items()}
    grid = Contacts(target=parse("valkey://10.0.0.1:7001", timeout=1.0), members=members)
    with pytest.raises(ConfigError, match=r"must be clearer, as it could be 10.0.0.1:7001, 10.0.0.2:7001$"):
        grid.named("7001")
    with pytest.raises(ConfigError, match=r"must be one of 10.0.0.1:7001, 10.0.0.2:7001, \[::1\]:7002$"):
        grid.named("7003")


@pytest.mark.grid
def test_members_are_found_by_what_people_call_them() -> None:
    """By address, port, or the beginning of their id; what is none, or more than one, is refused with all there are."""
    with LoopbackGrid() as grid:
        contacts, member = Contacts.at_url(grid.url), grid.state.members[4]
    for text in (member.address, str(member.port), member.id, member.id[:12]):
        assert member.id == contacts.named(text).id
    for text in ("nobody", "1", member.id[:3]):
        with pytest.raises(ConfigError, match=f"MEMBER is '{text}'; it must be one of .*{member.address}"):
            contacts.named(text)
    assert [3, 3] == [len(contacts.owners), len(contacts.replicas)]
    assert set(contacts.owned) == {replica.follows for replica in contacts.replicas}


@pytest.mark.grid
def test_what_is_no_grid_is_said_to_be_none() -> None:
    """A server alone has no slots, at a wrong port is nobody, and a wrong password opens nothing."""
    with servers.Server(settings={"requirepass": "right"}) as server:
        with pytest.raises(Unsupported, match="is no cluster"):
            Contacts.at_url(server.url("default:right"))
        with pytest.raises(AccessDenied, match="refuses AUTH"):
            Contacts.at_url(server.url("default:wrong"))
    with pytest.raises(EngineError, match="cannot be reached"):
        Contacts.at_url(f"valkey://127.0.0.1:{servers.free_port()}")
