"""Slots, and the routes that members tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid.engines.valkey.leases import lease_key
from cachegrid.engines.valkey.slots import (
    SLOTS,
    Endpoint,
    Routes,
    read_routes,
    single_route,
    slot_of,
    slots_of,
    tag_in,
    tag_of,
)

ASKED = Endpoint("10.0.0.1", 7000)
A, B, C = Endpoint("10.0.0.1", 7001), Endpoint("10.0.0.2", 7002), Endpoint("10.0.0.3", 7003)


def member(endpoint: Endpoint, *more: object) -> list[object]:
    """As CLUSTER SLOTS tells it."""
    return [endpoint.host.encode(), endpoint.port, b"id", *more]


def crc16(text: bytes) -> int:
    """CRC16 (XMODEM), as the cluster specification defines it: bit by bit."""
    crc = 0
    for byte in text:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
            crc &= 0xFFFF
    return crc


@pytest.mark.parametrize(
    ("address", "slot"),
    [
        (b"123456789", 0x31C3 % SLOTS),
        (b"123456789", 12739),
        (b"foo", 12182),
        (b"bar", 5061),
        (b"hello", 866),
        (b"", 0),
        (b"a", 15495),
    ],
)
def test_slots_are_those_of_the_specification(address: bytes, slot: int) -> None:
    """
    An address has the slot that every other client and every member computes.
    """
    assert slot == slot_of(address)


@pytest.mark.parametrize(
    ("address", "counts"),
    [
        (b"{user1000}.following", b"user1000"),
        (b"foo{bar}{zap}", b"bar"),  # the first one counts
        (b"foo{{bar}}zap", b"{bar"),  # up to the first end
        (b"foo{}{bar}", b"foo{}{bar}"),  # an empty one does not count, and neither does a later one
        (b"{}{x}", b"{}{x}"),
        (b"{}", b"{}"),
        (b"a}b{c}", b"c"),  # an end before a beginning is no end
        (b"a}b{c", b"a}b{c"),
        (b"{abc", b"{abc"),
        (b"abc}", b"abc}"),
        (b"x{\x00\xff}y", b"\x00\xff"),
    ],
)
def test_only_a_tag_counts(address: bytes, counts: bytes) -> None:
    """
    What stands in the first pair of braces counts alone, if there is anything in it.
    """
    assert crc16(counts) % SLOTS == slot_of(address)


@given(st.binary(max_size=300))
def test_any_address_has_a_slot(address: bytes) -> None:
    """
    Every address has one of the 16,384 slots, and an address without a tag has that of its checksum.
    """
    assert 0 <= slot_of(address) < SLOTS
    if b"{" not in address:
        assert crc16(address) % SLOTS == slot_of(address)


@given(st.binary(max_size=20).filter(lambda tag: tag and b"}" not in tag), st.binary(max_size=20), st.binary())
def test_a_tag_keeps_addresses_together(tag: bytes, one: bytes, other: bytes) -> None:
    """
    Addresses with the same tag have the same slot, whatever surrounds it.
    """
    one = one.replace(b"{", b"")
    assert slot_of(b"{" + tag + b"}") == slot_of(one + b"{" + tag + b"}" + other)


@given(st.lists(st.integers(0, SLOTS - 1), min_size=1, max_size=4))
def test_a_tag_is_found_for_any_slots(firsts: list[int]) -> None:
    """
    There is a short tag for whatever slots an owner has, be it a single one.
    """
    ranges = [(first, min(first + 1, SLOTS - 1)) for first in firsts]
    tag = tag_in(ranges)
    assert any(first <= slot_of(b"x{" + tag + b"}") <= last for first, last in ranges)
    assert len(tag) < 8


def test_routes_are_read() -> None:
    """
    Owners come with their ranges of slots and with their replicas, in the order of the reply.
    """
    reply = [
        [0, 99, member(A), member(C)],
        [100, 16382, member(B, [])],
        [16383, 16383, member(A), member(C, {b"hostname": b"c.example"})],
    ]
    routes = read_routes(reply, ASKED)
    assert Routes({A: [(0, 99), (16383, 16383)], B: [(100, 16382)]}, {A: [C], B: []}) == routes
    assert [A, B, C] == routes.endpoints()
    assert SLOTS == routes.covered()
    assert routes.clustered


def test_slots_without_an_owner_are_counted() -> None:
    """
    While the grid is being repaired, not every slot has an owner.
    """
    assert 11 == read_routes([[5, 15, member(A)]], ASKED).covered()
    assert 0 == read_routes([], ASKED).covered()


@pytest.mark.parametrize("host", [None, b"", b"?"])
def test_a_member_may_not_know_its_host(host: bytes | None) -> None:
    """
    A member that does not tell its host has that of the member that was asked.
    """
    routes = read_routes([[0, 1, [host, 7009, b"id"], [host, 7010, b"id"]]], ASKED)
    assert {Endpoint("10.0.0.1", 7009): [Endpoint("10.0.0.1", 7010)]} == routes.replicas


def test_a_host_that_was_not_announced_may_stand_beside() -> None:
    """
    Members that are to be known by names, and one has none: then it is known by the address that it tells besides.
    """
    routes = read_routes([[0, 1, [b"?", 7009, b"id", {b"ip": b"10.0.0.9"}]]], ASKED)
    assert [Endpoint("10.0.0.9", 7009)] == list(routes.owners)


def test_a_member_that_was_asked_at_a_socket_is_on_this_host() -> None:
    """
    The path of a unix socket is no host for the members that do not tell theirs.
    """
    routes = read_routes([[0, 1, [b"", 7009, b"id"]]], Endpoint("/run/valkey.sock", 0))
    assert [Endpoint("127.0.0.1", 7009)] == list(routes.owners)


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"OK",
        {},
        [b"0"],
        [[0, 1]],
        [[b"0", 1, member(A)]],
        [[0, 1, A.host]],
        [[0, 1, [b"host", b"7000", b"id"]]],
        [[0, 1, [7000]]],
        [[0, 1, [b"\xff\xfe", 7000]]],
    ],
)
def test_another_form_is_refused(reply: object) -> None:
    """
    A reply that is not as it should be is a ValueError that says so, and no wrong route.
    """
    with pytest.raises(ValueError, match="CLUSTER SLOTS|utf-8"):
        read_routes(reply, ASKED)


def test_a_server_that_is_no_cluster_owns_everything() -> None:
    """
    One server, all slots, no replicas.
    """
    routes = single_route(A)
    assert [A] == routes.endpoints()
    assert SLOTS == routes.covered()
    assert not routes.clustered


def test_endpoints_are_shown_as_they_are_written() -> None:
    """
    Host and port, in brackets where the host has colons; a socket is its path.
    """
    assert "10.0.0.1:7001" == str(A)
    assert "[::1]:7001" == str(Endpoint("::1", 7001))
    assert "/run/valkey.sock" == str(Endpoint("/run/valkey.sock", 0))


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"{a}b", b"x{a}", b"{}", b"}{"])))
def test_slots_of_many_are_the_slots_of_each(addresses: list[bytes]) -> None:
    """
    With tags among them, and without.
    """
    assert [slot_of(address) for address in addresses] == slots_of(addresses)


def test_every_slot_has_a_tag() -> None:
    """
    A key with the tag of a slot belongs to it, whatever follows.
    """
    assert list(range(SLOTS)) == [slot_of(b"x{" + tag_of(slot) + b"}y{z}") for slot in range(SLOTS)]


@given(name=st.lists(st.sampled_from([b"{", b"}", b"a", b"\xff", b":"])).map(b"".join))
def test_a_lease_is_in_the_slot_of_its_name(name: bytes) -> None:
    """
    Also where the name has braces in it, in whatever order.
    """
    assert slot_of(name) == slot_of(lease_key(name))


@given(names=st.sets(st.lists(st.sampled_from([b"{", b"}", b"a", b"{a}"])).map(b"".join), min_size=2))
def test_two_names_have_two_leases(names: set[bytes]) -> None:
    """
    No name ends where another begins.
    """
    assert len(names) == len({lease_key(name) for name in names})
