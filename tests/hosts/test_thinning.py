"""Which owners of a host give their part up where there are too few replicas, decided from what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.cluster.hosts.thinning import lacking, surplus_here, surplus_left
from cachegrid.cluster.plan import Shape
from cachegrid.cluster.state import GridState, MemberState
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target


def grid(*members: str) -> Contacts:
    """Members such as `h1.a` for an owner on h1, and `h2.x>a` for a replica of it on h2."""
    found: dict[str, Contact] = {}
    for port, text in enumerate(members):
        host, _, rest = text.partition(".")
        one, _, follows = rest.partition(">")
        slots = () if follows else (range(port, port + 1),)
        endpoint = Endpoint(host, port)
        found[one] = Contact(id=one, endpoint=endpoint, is_owner=not follows, follows=follows, slots=slots)
    return Contacts(target=Target(seeds=(Endpoint("h1", 0),)), members=found)


def part(host: str, owners: int, replicas: int) -> GridState:
    """What is written down on a host."""
    member = MemberState(index=0, id="?", host=host, port=1, bus_port=2, role="owner", folder=Path("/m1"))
    return GridState(
        name="default",
        folder=Path("/"),
        shape=Shape(owners=owners, replicas=replicas),
        members=(member,),
        password="",
        secret=b"",
        server=Path("/server"),
        version="Valkey 9.1.2",
        created=0.0,
        machine="here",
        spread=True,
    )


AFTER_A_HOST_LEFT = ("h1.a", "h3.b", "h3.c", "h1.z>c")


@pytest.mark.parametrize(
    ("members", "host", "owners", "replicas", "expected"),
    [
        (AFTER_A_HOST_LEFT, "h3", 1, 1, ("b",)),
        (AFTER_A_HOST_LEFT, "h1", 1, 1, ()),  # it has what it began with
        (AFTER_A_HOST_LEFT, "h3", 2, 0, ()),  # so it was wished for there
        (("h1.a", "h2.b", "h2.c", "h1.x>b", "h1.y>c", "h2.z>a"), "h2", 1, 1, ()),  # each is copied
        (("h1.a", "h3.b", "h3.c", "h1.w>c", "h1.x>b", "h3.y>a"), "h3", 1, 2, ("c",)),
    ],
)
def test_a_host_gives_up_what_it_did_not_begin_with_where_replicas_are_missing(
    members: tuple[str, ...], host: str, owners: int, replicas: int, expected: tuple[str, ...]
) -> None:
    """
    It is one without a replica, if there is one; and no more than it takes.
    """
    assert expected == surplus_here(part(host, owners, replicas), grid(*members))


def test_who_has_no_copy_is_told() -> None:
    """
    Of the two that lack one it is either's own host, or another, that can make one.
    """
    assert ["a", "b"] == [one.id for one in lacking(grid(*AFTER_A_HOST_LEFT))]


@pytest.mark.parametrize(
    ("members", "gone", "expected"),
    [
        (("h1.a", "h2.b", "h3.c", "h1.x>b", "h2.y>c", "h3.z>a"), "h2", ()),
        (("h1.a", "h3.b", "h3.c", "h2.x>b", "h2.y>a", "h1.z>c"), "h2", ("b",)),
        (("h1.a", "h1.b", "h2.c", "h3.d", "h2.x>d", "h3.y>c"), "h3", ()),  # two owners without a copy were wished for
    ],
)
def test_owners_have_as_many_replicas_when_a_host_has_left(
    members: tuple[str, ...], gone: str, expected: tuple[str, ...]
) -> None:
    """
    As far as the others' owners are too many for that.
    """
    there = grid(*members)
    left = {one.id for one in there.members.values() if one.endpoint.host == gone}
    assert expected == surplus_left(there, there.without(left))
