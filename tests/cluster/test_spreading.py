"""Which owners hand over so that hosts have as many as each other, and which are too many."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cachegrid.cluster.spreading import next_takeover, surplus_owners

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


def least(shards: list[list[str]], hosts: tuple[str, ...]) -> int:
    """The fewest owners that the fullest host can have, by trying all ways."""
    loads = {tuple(0 for _ in hosts)}
    for members in shards:
        loads = {
            tuple(load + (host == one) for load, one in zip(each, hosts, strict=True))
            for each in loads
            for host in {*members}
        }
    return min(max(each) for each in loads)


@given(shards)
def test_no_host_has_more_owners_than_it_has_to(shards: list[list[str]]) -> None:
    """
    However it begins, it comes to an end, after fewer takeovers than there are pairs of owners.
    """
    wanted = least(shards, HOSTS)
    for _ in range(len(shards) ** 2 + 1):
        heir = next_takeover(*taken(shards))
        if heir is None:
            break
        shards = after(shards, heir)
    assert heir is None
    assert wanted == max(Counter(hosts[0] for hosts in shards).values())


@given(shards)
def test_nothing_is_done_without_need(shards: list[list[str]]) -> None:
    """
    Where hosts have equally many, but for one, nobody takes over.
    """
    owners, replicas = taken(shards)
    there = {host for hosts in shards for host in hosts}
    count = Counter(owners.values())
    if max(count[host] for host in there) - min(count[host] for host in there) <= 1:
        assert next_takeover(owners, replicas) is None


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
