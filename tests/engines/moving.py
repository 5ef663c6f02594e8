"""Slots that move between the members of a grid: by hand, step by step, or all at once."""

from __future__ import annotations

import itertools

from cachegrid.cluster.view import node_rows
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.engines.valkey.slots import Endpoint, slot_of
from cachegrid.testing.loopback import LoopbackGrid

__all__ = ["Move", "addresses_of", "move_at_once", "owned_by"]


class Move:
    """The slot of an address, on its way from its owner to another one; what callers meet depends on how far it is."""

    def __init__(self, grid: LoopbackGrid, address: bytes) -> None:
        self._grid = grid
        self.slot = slot_of(address)
        grid.wait_for(self._is_settled)
        self.source = self._claimants()[0]
        owners = {member.port for member in grid.members() if member.role == "owner"}
        members = grid.state.members
        self.target = next(one.index for one in members if one.port in owners and one.index != self.source)

    @property
    def source_endpoint(self) -> Endpoint:
        """Where the old owner listens."""
        return Endpoint("127.0.0.1", self._grid.state.members[self.source].port)

    @property
    def target_endpoint(self) -> Endpoint:
        """Where the new owner listens."""
        return Endpoint("127.0.0.1", self._grid.state.members[self.target].port)

    def begin(self) -> None:
        """From now on the old owner sends those who ask for what it does not have to the new one (ASK)."""
        self._set(self.target, "IMPORTING", self._id(self.source))
        self._set(self.source, "MIGRATING", self._id(self.target))

    def carry(self, *addresses: bytes) -> None:
        """Bring entries of the slot over to the new owner; all of them, if none are named."""
        state, member = self._grid.state, self._grid.state.members[self.target]
        with self._grid.admin(self.source) as admin:
            keys = addresses or admin.run("CLUSTER", "GETKEYSINSLOT", self.slot, 1000)
            assert isinstance(keys, (tuple, list))
            if keys:
                place = (member.host, member.port, "", 0, 5000)
                admin.run("MIGRATE", *place, "AUTH2", "default", state.password, "KEYS", *keys)

    def finish(self) -> None:
        """Carry over what is left; from now on the old owner sends everybody to the new one (MOVED)."""
        self.carry()
        self._hand_over()
        self._grid.wait_for(lambda: self._claimants() == [self.target])

    def errors(self, index: int, word: str) -> int:
        """How often a member has answered with an error of a kind."""
        with self._grid.admin(index) as admin:
            counted = admin.facts("errorstats").get(f"errorstat_{word}", "count=0")
        return int(counted.removeprefix("count="))

    def _is_settled(self) -> bool:
        """
        Whether an earlier move is over, and everybody has heard of everybody's epoch.

        The epoch that the new owner takes has to be newer than all others. Else what the old one said of itself before
        it was told may arrive at any time after the move, and count for more: each would name the other for ever.
        """
        views = [self._rows(member.index) for member in self._grid.state.members]
        is_known = len({frozenset((row.id, row.epoch) for row in view.values()) for view in views}) == 1
        return is_known and len(self._claimants()) == 1

    def _hand_over(self) -> None:
        everybody = (member.index for member in self._grid.state.members)
        for index in dict.fromkeys([self.target, self.source, *everybody]):
            self._set(index, "NODE", self._id(self.target))

    def _claimants(self) -> list[int]:
        """The members that take themselves for the owner."""
        return [one.index for one in self._grid.state.members if self.slot in owned_by(self._grid, one.index)]

    def _rows(self, index: int) -> dict[str, NodeRow]:
        with self._grid.admin(index) as admin:
            return node_rows(admin)

    def _id(self, index: int) -> str:
        return self._grid.state.members[index].id

    def _set(self, index: int, *words: str) -> None:
        with self._grid.admin(index) as admin:
            admin.run("CLUSTER", "SETSLOT", self.slot, *words)


def move_at_once(grid: LoopbackGrid, first: int, last: int, source: int, target: int) -> None:
    """Move a range of slots as newer servers do it by themselves, and return when their owner is the new one."""
    with grid.admin(source) as admin:
        where = ("SLOTSRANGE", first, last, "NODE", grid.state.members[target].id)
        admin.run("CLUSTER", "MIGRATESLOTS", *where)

    grid.wait_for(lambda: {first, last} <= owned_by(grid, target))


def owned_by(grid: LoopbackGrid, index: int) -> set[int]:
    """The slots that a member says it owns."""
    with grid.admin(index) as admin:
        row = next(row for row in admin.text("CLUSTER", "NODES").splitlines() if "myself" in row)
    spans = [span.partition("-") for span in row.split()[8:] if not span.startswith("[")]
    return {slot for first, _, last in spans for slot in range(int(first), int(last or first) + 1)}


def addresses_of(grid: LoopbackGrid, index: int, count: int = 1) -> list[bytes]:
    """Addresses that a member owns."""
    numbered = (b"cg:owned:%d" % number for number in itertools.count())
    return list(itertools.islice((one for one in numbered if index == grid.owner_of(one)), count))
