"""How a grid on loopback is: who owns what, who follows whom, and whether all is as it should be."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.view import node_rows
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.engines.valkey.slots import SLOTS
from cachegrid.errors import EngineError
from cachegrid.testing.loopback import LoopbackGrid

__all__ = ["Health"]


class Health:
    """What the members of a grid say of themselves. Members are named by their index."""

    def __init__(self, grid: LoopbackGrid) -> None:
        self._grid = grid

    def wait_well(self, timeout: float = 30.0) -> None:
        """Wait until every slot has one owner, that a replica follows closely, and all know it."""
        self._grid.wait_for(self.is_well, timeout)

    def wait_served(self, without: Collection[int] = (), timeout: float = 60.0) -> None:
        """Wait until every slot has an owner that answers, as all members say but those that are left out."""
        self._grid.wait_for(lambda: self.is_served(without), timeout)

    def is_well(self) -> bool:
        """Whether every slot has one owner, that a replica follows closely, and all know it."""
        facts = self._grid.members()
        owners = {one.id for one in facts if one.role == "owner" and one.up and one.slots}
        followed = {one.owner_id for one in facts if one.role == "replica" and one.up and one.link_up}
        if len(facts) != len(self._grid.state.members) or owners != followed:
            return False
        slots = [slot for owned in self.owners().values() for slot in owned]
        return len(slots) == len(set(slots)) and self.is_served()

    def is_served(self, without: Collection[int] = ()) -> bool:
        """Whether every slot has an owner that answers, as all members say that run and are not left out."""
        members = [one for one in self._grid.state.members if one.index not in without and pid_of(one)]
        views = []
        for member in members:
            try:
                with self._grid.admin(member.index) as admin:
                    views.append((member.id, node_rows(admin)))
            except EngineError:
                return False
        owners = {own for own, rows in views if rows[own].is_owner}

        def covered(rows: Mapping[str, NodeRow]) -> int:
            there = (row for row in rows.values() if row.id in owners and "fail" not in row.flags)
            return sum(len(span) for row in there for span in row.slots)

        return bool(views) and all(covered(rows) == SLOTS for _, rows in views)

    def owners(self) -> dict[int, set[int]]:
        """The slots of each owner, as it says itself."""
        found = {}
        for member in self._grid.state.members:
            try:
                with self._grid.admin(member.index) as admin:
                    own = node_rows(admin)[member.id]
            except EngineError:
                continue
            if own.is_owner and own.slots:
                found[member.index] = {slot for span in own.slots for slot in span}
        return found

    def replica_of(self, owner: int) -> int:
        """A replica of an owner."""
        state = self._grid.state
        facts = [one for one in self._grid.members() if one.owner_id == state.member(owner).id]
        ports = {one.port for one in facts if one.role == "replica"}
        return next(member.index for member in state.members if member.port in ports)

    def in_step(self, owner: int) -> float:
        """When the owner had acknowledged nothing that its replica does not have by now, in monotonic seconds."""
        replica = self.replica_of(owner)
        with self._grid.admin(owner) as admin, self._grid.admin(replica) as follower:
            since = time.monotonic()
            offset = int(admin.facts("replication")["master_repl_offset"])
            self._grid.wait_for(lambda: int(follower.facts("replication").get("slave_repl_offset", -1)) >= offset)
        return since
