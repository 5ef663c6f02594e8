"""Which replica shall take over so that owners are spread over hosts: decided from plain values."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["needed_hosts", "next_takeover", "surplus_owners"]


def next_takeover(owners: Mapping[str, str], replicas: Mapping[str, tuple[str, str]]) -> str | None:
    """
    The replica that shall take over next; None where owners are spread over hosts as evenly as replicas allow.

    `owners` are hosts by id, `replicas` their host and the owner that they follow. A host that has more members than
    others is to have so many more owners. Repeated with what is then true, it comes to an end. The same question has
    the same answer.

    >>> next_takeover({"a": "h1", "b": "h1", "c": "h2"}, {"x": ("h2", "a"), "y": ("h3", "b"), "z": ("h3", "c")})
    'y'
    >>> next_takeover({"a": "h1", "b": "h2", "c": "h3"}, {"x": ("h2", "a"), "y": ("h3", "b"), "z": ("h1", "c")}) is None
    True
    """
    sizes = Counter([*owners.values(), *(host for host, _ in replicas.values())])
    count, total = Counter(owners.values()), sizes.total()
    # How many owners a host has beyond its share, in whole numbers: one owner more or less is `total`.
    beyond = {host: count[host] * total - len(owners) * sizes[host] for host in sizes}
    for most in sorted(beyond, key=lambda host: (-beyond[host], host)):
        if heir := _first_of_chain(most, beyond, total, owners, replicas):
            return heir
    return None


def needed_hosts(owners: Sequence[str]) -> list[str]:
    """
    The hosts without which the others are not most of the owners, given each owner's host: nobody is replaced then.

    >>> needed_hosts(["h1", "h2", "h3"]), needed_hosts(["h1", "h2"]), needed_hosts(["h1", "h1", "h2"])
    ([], ['h1', 'h2'], ['h1'])
    """
    count = Counter(owners)
    return sorted(host for host in count if 2 * count[host] >= len(owners))


def surplus_owners(owners: Mapping[str, str], replicas: Mapping[str, tuple[str, str]], wanted: int) -> tuple[str, ...]:
    """
    The owners that are to be replicas where there are more than `wanted`: those on hosts that have most.

    Of a host's owners they are such without a replica, as after a failover.

    >>> surplus_owners({"a": "h1", "b": "h1", "c": "h2"}, {"x": ("h2", "a")}, wanted=2)
    ('b',)
    """
    left, found = dict(sorted(owners.items())), list[str]()
    copied = {owner for _, owner in replicas.values()}
    while len(left) > max(wanted, 1):
        count = Counter(left.values())
        one = max(left, key=lambda owner: (count[left[owner]], owner not in copied, owner))
        found.append(one)
        del left[one]
    return tuple(found)


def _first_of_chain(
    most: str,
    beyond: Mapping[str, int],
    one: int,
    owners: Mapping[str, str],
    replicas: Mapping[str, tuple[str, str]],
) -> str | None:
    """
    The takeover that begins the shortest chain from a host to one that has less of its share, by more than one owner.

    It is the chain's last one that is named: after each, what is left is a shorter chain, and no host is worse off.
    """
    seen, left = {most}, deque([most])
    while left:
        giver = left.popleft()
        for heir, taker in _heirs(giver, owners, replicas):
            if taker in seen:
                continue
            seen.add(taker)
            left.append(taker)
            if beyond[most] - beyond[taker] > one:
                return heir
    return None


def _heirs(giver: str, owners: Mapping[str, str], replicas: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The replicas on other hosts that could take over from owners on that one, each with its host."""
    for replica, (host, owner) in sorted(replicas.items()):
        if owners.get(owner) == giver and host != giver:
            yield replica, host
