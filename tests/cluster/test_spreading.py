"""Which owners hand over so that hosts have as many as each other, and which are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from cachegrid.cluster.hosts.spreading import next_takeover, surplus_owners

HOSTS = ("h1", "h2", "h3", "h4")
shards = st.lists(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3), min_size=1, max_size=9)


def taken(shards: list[list[str]]) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """Owners and replicas of shards, each of which is a list of hosts, its owner's first."""
    owners = {f"{at}.0": hosts[0] for at, hosts in enumerate(shards)}
    replicas = {f"{at}.{n}": (host, f"{at}.0") for at, hosts in enumerate(shards) for n, host in enumerate(hosts) if n}
    return owners, replicas


def after(shards: list[list[str]], heir: str) -> list[list[str]]:
    at, number = map(int, heir.split("."))
    hosts = list(shards[at])
    hosts[0], hosts[number] = hosts[number], hosts[0]
    return [*shards[:at], hosts, *shards[at + 1 :]]


def unevenness(shards: list[list[str]], counts: Mapping[str, int]) -> int:
    """How far hosts with so many owners are from their shares, which go by their members."""
    sizes = Counter(host for hosts in shards for host in hosts)
    return sum((counts.get(host, 0) * sizes.total() - len(shards) * size) ** 2 for host, size in sizes.items())


def least(shards: list[list[str]]) -> int:
    """The least that can be had, by trying all ways."""
    ways: set[tuple[int, ...]] = {(0,) * len(HOSTS)}
    for members in shards:
        ways = {
            tuple(load + (host == one) for load, one in zip(each, HOSTS, strict=True))
            for each in ways
            for host in {*members}
        }
    return min(unevenness(shards, dict(zip(HOSTS, each, strict=True))) for each in ways)


@given(shards)
def test_hosts_have_as_many_owners_as_is_their_share(shards: list[list[str]]) -> None:
    """
    However it begins, it comes to an end, and no other way would be more even.
    """
    wanted = least(shards)
    for _ in range(len(shards) ** 2 + 1):
        heir = next_takeover(*taken(shards))
        if heir is None:
            break
        shards = after(shards, heir)
    assert heir is None
    assert wanted == unevenness(shards, Counter(hosts[0] for hosts in shards))


@given(shards)
def test_nothing_is_done_without_need(shards: list[list[str]]) -> None:
    """
    Where no way is more even, nobody takes over.
    """
    if least(shards) == unevenness(shards, Counter(hosts[0] for hosts in shards)):
        assert next_takeover(*taken(shards)) is None


def test_a_larger_host_keeps_more_owners() -> None:
    """
    Three owners with their replicas there, and one with one here: as each host was told when it joined.
    """
    shards = [["h1", "h1"], ["h1", "h1"], ["h1", "h2"], ["h2", "h1"]]
    assert next_takeover(*taken(shards)) is None


@given(shards, st.integers(0, 9))
def test_so_many_owners_stay(shards: list[list[str]], wanted: int) -> None:
    """
    And one at least; those that go are owners, each once.
    """
    owners, replicas = taken(shards)
    gone = surplus_owners(owners, replicas, wanted)
    assert min(len(owners), max(wanted, 1)) == len(owners) - len(gone)
    assert {*gone} <= {*owners}
    assert len(gone) == len({*gone})
