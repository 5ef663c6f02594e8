"""Who shall own which slots, and which replica shall follow whom: decided from plain values, before anything moves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Move", "moves", "places", "spans"]


@dataclass(frozen=True, slots=True)
class Move:
    """Slots that one member, by its id, gives to another."""

    source: str
    target: str
    slots: tuple[range, ...]

    @property
    def size(self) -> int:
        """How many slots move."""
        return sum(map(len, self.slots))


def moves(owned: Mapping[str, Sequence[range]], into: Collection[str]) -> tuple[Move, ...]:
    """
    What has to move so that the members `into`, and no others, own all slots that are owned, and equally many.

    Their counts differ by at most one, and no plan moves fewer slots. The same question has the same answer. Members of
    `into` that own nothing yet may be missing in `owned`. Raises ValueError where nobody is to own what is owned.

    >>> moves({"a": [range(0, 8)], "b": [range(8, 16)]}, ["a", "b", "c"])
    (Move(source='a', target='c', slots=(range(6, 8),)), Move(source='b', target='c', slots=(range(13, 16),)))
    """
    held = {member: spans(slot for span in slots for slot in span) for member, slots in sorted(owned.items())}
    sizes = {member: sum(map(len, held.get(member, ()))) for member in sorted({*held, *into})}
    if not into and any(sizes.values()):
        raise ValueError("slots are owned, and no member is to own them")
    shares = _shares(sizes, sorted(into))
    found: list[Move] = []
    for source, target, size in _paired({member: sizes[member] - shares.get(member, 0) for member in sizes}):
        given, held[source] = _split(held[source], size)
        found.append(Move(source, target, tuple(given)))
    return tuple(found)


def spans(slots: Iterable[int]) -> list[range]:
    """
    Slots as few ranges, in order.

    >>> spans([3, 1, 2, 7])
    [range(1, 4), range(7, 8)]
    """
    ordered = sorted(set(slots))
    breaks = [at for at, (one, next_one) in enumerate(pairwise(ordered), 1) if next_one != one + 1]
    bounds = [0, *breaks, len(ordered)]
    return [range(ordered[start], ordered[end - 1] + 1) for start, end in pairwise(bounds) if end > start]


def _shares(sizes: Mapping[str, int], into: Sequence[str]) -> dict[str, int]:
    """How many slots each shall own; who has most already gets the one more that cannot be split."""
    if not into:
        return {}
    each, over = divmod(sum(sizes.values()), len(into))
    by_size = sorted(into, key=lambda member: (-sizes[member], member))
    return {member: each + (rank < over) for rank, member in enumerate(by_size)}


def _paired(surplus: Mapping[str, int]) -> Iterator[tuple[str, str, int]]:
    """Who gives how many slots to whom; no more pairs than there are givers and takers."""
    gives = {member: size for member, size in surplus.items() if size > 0}
    takes = {member: -size for member, size in surplus.items() if size < 0}
    while gives:
        source, target = next(iter(gives)), next(iter(takes))
        size = min(gives[source], takes[target])
        yield source, target, size
        for left, member in ((gives, source), (takes, target)):
            left[member] -= size
            if not left[member]:
                del left[member]


def _split(held: Sequence[range], size: int) -> tuple[list[range], list[range]]:
    """Take `size` slots out of ranges: what is taken, and what is left. Whole ranges first, and at most one is cut."""
    taken: list[range] = []
    left = list(held)
    for span in sorted(held, key=lambda span: (-len(span), span.start)):
        if len(span) <= size:
            taken.append(span)
            left.remove(span)
            size -= len(span)
    if size:
        cut = min(left, key=lambda span: (len(span), span.start))  # all that are left are longer than what is missing
        taken.append(cut[-size:])
        left[left.index(cut)] = cut[:-size]
    return sorted(taken, key=_start), left


def _start(span: range) -> int:
    return span.start


def places(owners: Mapping[str, str], replicas: Mapping[str, tuple[str, str | None]], wanted: int) -> dict[str, str]:
    """
    Which owner each replica shall follow; `owners` are hosts by id, `replicas` hosts and whom they follow now.

    Each owner gets `wanted` replicas where there are enough of them, and one at least where there are enough for that.
    No replica is on its owner's host while an owner on another host has room for it. As few as possible change whom
    they follow. Without owners the answer is empty.

    >>> places({"a": "h1", "b": "h2"}, {"x": ("h1", "a"), "y": ("h2", "b")}, wanted=1)
    {'x': 'b', 'y': 'a'}
    """
    if not owners:
        return {}
    placing = _Placing(owners, replicas, wanted)
    for replica in sorted(replicas):
        placing.add(replica)
    return dict(sorted(placing.follows.items()))


class _Placing:
    """
    Replicas given to owners one after the other, each so that all of them together cost the least.

    One more replica may push others aside, along the cheapest chain of owners: what an owner asks for each further
    replica never falls, and so the cheapest chain leads from one best answer to the next.
    """

    def __init__(self, owners: Mapping[str, str], replicas: Mapping[str, tuple[str, str | None]], wanted: int) -> None:
        self._owners, self._replicas, self._wanted = dict(sorted(owners.items())), replicas, wanted
        self.follows: dict[str, str] = {}
        # Each counts for more than all that comes after it, summed over all replicas.
        most = len(replicas) + 1
        self._uneven = most
        self._same_host = self._uneven * most**2
        self._not_first = self._same_host * most
        self._too_many = self._not_first * most**2

    def add(self, replica: str) -> None:
        """Give a replica to an owner."""
        chain = self._cheapest_chain(replica)
        for pushed, owner in chain:
            self.follows[pushed] = owner

    def _cost(self, replica: str, owner: str) -> int:
        host, follows = self._replicas[replica]
        return self._same_host * (host == self._owners[owner]) + (follows != owner)

    def _fee(self, owner: str) -> int:
        """What an owner asks for one more replica than it has."""
        load = sum(owner == followed for followed in self.follows.values())
        if load >= self._wanted:
            return self._too_many
        return (self._not_first + self._uneven * load) if load else 0

    def _cheapest_chain(self, replica: str) -> list[tuple[str, str]]:
        """Who follows whom anew when this replica has come: itself, and those that are pushed aside."""
        costs = {owner: self._cost(replica, owner) for owner in self._owners}
        chains = {owner: [(replica, owner)] for owner in self._owners}
        pushes = self._pushes()
        while shorter := {
            target: (costs[source] + cost, [*chains[source], (pushed, target)])
            for (source, target), (cost, pushed) in pushes.items()
            if costs[source] + cost < costs[target]
        }:
            for target, (cost, chain) in shorter.items():
                costs[target], chains[target] = cost, chain
        return chains[min(self._owners, key=lambda owner: costs[owner] + self._fee(owner))]

    def _pushes(self) -> dict[tuple[str, str], tuple[int, str]]:
        """From each owner to each other one: what it costs to push a replica over, and which is the cheapest."""
        found: dict[tuple[str, str], tuple[int, str]] = {}
        for replica, source in sorted(self.follows.items()):
            for target in self._owners:
                cost = self._cost(replica, target) - self._cost(replica, source)
                if target != source and (cost, replica) < found.get((source, target), (cost + 1, "")):
                    found[source, target] = cost, replica
        return found
