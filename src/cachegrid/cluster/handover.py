"""Slots moved key by key, as servers without atomic migration need it: Redis, and Valkey before 9."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from cachegrid.cluster.admin import Admin
from cachegrid.cluster.balance import Move
from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.cluster.interrupts import held_back
from cachegrid.errors import EngineError, GridError, ServerRefused

__all__ = ["HalfMoved", "half_moved", "move", "settle"]

BATCH = 100  # keys of one MIGRATE: for so long the old owner answers nobody else
CARRY_MS = 5_000  # that one MIGRATE may take
ANSWER = 15.0  # seconds that a member may take to say that a MIGRATE is through, or that it timed out
TRIES = 3
AGREE = 10.0  # seconds until all know the new owner
PAUSE = 0.01
NO_OWNER = "is not a master"
OPEN_SLOT = re.compile(r"\[(\d+)-([<>])-([0-9a-f]+)\]")


@dataclass(frozen=True, slots=True)
class HalfMoved:
    """A slot that is on its way, as one of the two members says between which it is."""

    slot: int
    source: str
    target: str


def move(grid: Contacts, step: Move) -> None:
    """Move slots one after the other; it can be interrupted between two. Raises EngineError or GridError."""
    with _Hands(grid) as hands:
        hands.meet(step)
        there = hands.claimed(step.target)  # by a run that was cut short before all knew
        here = hands.claimed(step.source)  # what neither owns is given to the target in the end: see `agree`
        for slot in (slot for span in step.slots for slot in span):
            with held_back():
                if slot in there:
                    hands.give(slot, step.target)
                elif slot in here:
                    hands.over(slot, step.source, step.target)
        hands.agree(step)


def settle(grid: Contacts) -> list[Move]:
    """
    Move what is half-moved to its end, or back where whoever was to have it is gone; what moved. Raises as `move`.
    """
    moved: list[Move] = []
    for half in dict.fromkeys(half_moved(grid)):
        with _Hands(grid) as hands, held_back():
            moved += _settle(grid, hands, half)
    return moved


def half_moved(grid: Contacts) -> Iterator[HalfMoved]:
    """The slots that are on their way from one member to another."""
    for member in grid.owners:
        try:
            with grid.open(member) as admin:
                row = next(row for row in admin.text("CLUSTER", "NODES").splitlines() if "myself" in row)
        except EngineError:
            continue
        for slot, way, other in OPEN_SLOT.findall(row):
            both = (member.id, other) if way == ">" else (other, member.id)
            yield HalfMoved(int(slot), *both)


def _settle(grid: Contacts, hands: _Hands, half: HalfMoved) -> list[Move]:
    owner = next((member for member in grid.owners if any(half.slot in span for span in member.slots)), None)
    if owner is None:
        raise GridError(f"slot {half.slot} is half-moved, and nobody owns it: give it an owner with CLUSTER ADDSLOTS")
    target = grid.members.get(half.target)
    if target is not None and target.is_owner and target.is_up and owner.is_up:
        move = Move(half.source, target.id, (range(half.slot, half.slot + 1),))
        if owner.id != target.id:
            hands.over(half.slot, owner.id, target.id)
        else:
            hands.give(half.slot, target.id)
        hands.agree(move)
        return [move]
    if owner.is_up:
        hands.take_back(half.slot, owner.id)
    return []


@dataclass(slots=True)
class _Hands:
    """Connections to the members that a slot passes through."""

    grid: Contacts
    _admins: dict[str, Admin] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def meet(self, step: Move) -> None:
        """
        Wait until the new owner knows how new the old one's epoch is, at most as long as for agreement.

        It takes an epoch that is greater than all it knows: one that were less than the old owner's would lose it the
        slots again, at the next word of that one.
        """
        give_up = time.monotonic() + AGREE
        while self._epoch(step.target, step.source) < self._epoch(step.source, step.source):
            if time.monotonic() > give_up:
                return  # `agree` puts right what comes of it
            time.sleep(PAUSE)

    def over(self, slot: int, source: str, target: str) -> None:
        """Bring a slot with all its entries from its owner to another member."""
        try:
            self._set(target, slot, "IMPORTING", source)
            self._set(source, slot, "MIGRATING", target)
            self._carry(slot, source, target)
        except EngineError:
            self._leave_clean(slot, source, target)
            raise
        self.give(slot, target)

    def give(self, slot: int, owner: str) -> None:
        """Tell everybody whose a slot is: itself first, so that nobody is sent to one who does not know yet."""
        others = [member.id for member in self.grid.owners if member.id != owner and member.is_up]
        for member in (owner, *self._holding_first(slot, others)):
            self._set(member, slot, "NODE", owner)

    def take_back(self, slot: int, owner: str) -> None:
        """Let a slot stay with its owner, and bring there what others have of it already."""
        self._set(owner, slot, "STABLE")
        for member in self.grid.owners:
            if member.id != owner and member.is_up:
                if self._admin(member.id).run("CLUSTER", "COUNTKEYSINSLOT", slot):
                    self._set(member.id, slot, "IMPORTING", owner)  # else it would not let go of what is not its own
                    self._bring_back(slot, member.id, owner)
                self._set(member.id, slot, "STABLE")

    def agree(self, step: Move) -> None:
        """
        Wait until the new owner takes itself for it, and the old one does not.

        What the old owner said of itself before it was told may arrive later, and count for more where its epoch is
        newer than any that the new one knew. Then nobody owns the slot, and it is given once more, with a newer epoch.
        """
        wanted = {slot for span in step.slots for slot in span}
        give_up = time.monotonic() + AGREE
        while missing := wanted - self.claimed(step.target):
            if time.monotonic() > give_up:
                raise GridError(
                    f"{self.grid.members[step.target]} does not take itself for the owner of {len(missing)}"
                )
            with held_back():
                for slot in missing - self.claimed(step.source):
                    self._set(step.target, slot, "IMPORTING", step.source)
                    self.give(slot, step.target)
            time.sleep(PAUSE)

    def claimed(self, member: str) -> set[int]:
        """The slots that a member takes itself for the owner of."""
        row = next(row for row in self._admin(member).text("CLUSTER", "NODES").splitlines() if "myself" in row)
        spans = [word.partition("-") for word in row.split()[8:] if not word.startswith("[")]
        return {slot for first, _, last in spans for slot in range(int(first), int(last or first) + 1)}

    def _epoch(self, asked: str, member: str) -> int:
        """The epoch of a member, as another one knows it; 0 if it knows none."""
        rows = self._admin(asked).text("CLUSTER", "NODES").splitlines()
        return next((int(row.split()[6]) for row in rows if row.startswith(member)), 0)

    def _carry(self, slot: int, source: str, target: str) -> None:
        """Bring the entries of a slot over, in batches."""
        tries_left = TRIES
        while keys := self._keys(source, slot):
            try:
                # While a slot moves an entry is the old owner's to change for as long as it has it: what the new one
                # has of it is a copy of whose arrival nobody heard, and older.
                self._migrate(source, self.grid.members[target], keys, "REPLACE")
            except ServerRefused as error:  # such as IOERR: nobody knows whether it came through
                tries_left -= 1
                if not tries_left:
                    raise ServerRefused(f"an entry does not come through ({error})", where=error.where) from error

    def _bring_back(self, slot: int, member: str, owner: str) -> None:
        """Bring the entries of a slot to its owner, but for those that it has already: its own are newer."""
        while keys := self._keys(member, slot):
            for key in keys:
                try:
                    self._migrate(member, self.grid.members[owner], [key])
                except ServerRefused as error:
                    if "BUSYKEY" not in str(error):
                        raise
                    self._admin(member).run("ASKING")
                    self._admin(member).run("UNLINK", key)

    def _keys(self, member: str, slot: int) -> list[bytes]:
        """Some of the keys that a member has of a slot; none if it has no more."""
        keys = self._admin(member).run("CLUSTER", "GETKEYSINSLOT", slot, BATCH)
        return keys if isinstance(keys, list) else []

    def _migrate(self, source: str, target: Contact, keys: list[bytes], *words: str) -> None:
        said = self.grid.target
        auth: list[str] = []
        if said.password is not None or said.username:
            auth = ["AUTH2", said.username or "default", said.password or ""]
        place = (*target.endpoint, "", 0, CARRY_MS)
        self._admin(source).run("MIGRATE", *place, *words, *auth, "KEYS", *keys)

    def _leave_clean(self, slot: int, source: str, target: str) -> None:
        """If nothing has moved yet, let the slot be as it was; else the next run brings it to its end, or back."""
        try:
            if self._admin(target).run("CLUSTER", "COUNTKEYSINSLOT", slot) == 0:
                self._set(source, slot, "STABLE")
                self._set(target, slot, "STABLE")
        except EngineError:
            return

    def _holding_first(self, slot: int, members: list[str]) -> list[str]:
        """The old owner before the others: who asks it is to be sent on from the next moment."""
        owner = [member.id for member in self.grid.owners if any(slot in span for span in member.slots)]
        return sorted(members, key=lambda member: member not in owner)

    def _set(self, member: str, slot: int, *words: str) -> None:
        give_up = time.monotonic() + AGREE
        while True:
            try:
                self._admin(member).run("CLUSTER", "SETSLOT", slot, *words)
            except ServerRefused as error:
                # It has not heard yet that the other one has taken over from an owner.
                if NO_OWNER not in str(error) or time.monotonic() > give_up:
                    raise
                time.sleep(PAUSE)
            else:
                return

    def _admin(self, member: str) -> Admin:
        if member not in self._admins:
            admin = self._stack.enter_context(self.grid.open(member))
            admin.wait_at_most(ANSWER)
            self._admins[member] = admin
        return self._admins[member]
