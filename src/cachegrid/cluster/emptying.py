"""An owner of a grid that somebody else runs is emptied, so that it can be ended there."""

from __future__ import annotations

from collections.abc import Sequence

from cachegrid._core.units import size_text
from cachegrid.cluster.balance import Move, moves
from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.errors import GridError

__all__ = ["emptying_of", "refuse_overflow"]


def emptying_of(contacts: Contacts, owner: Contact, *, force: bool = False) -> Sequence[Move]:
    """
    What has to move so that an owner has nothing left; no moves if it has nothing, or follows another.

    Raises GridError for the last owner, where an owner does not answer, and where what it has would not fit into the
    others, unless `force` says to let them evict, and they do. Raises an EngineError if a member cannot be asked.
    """
    if not owner.slots:
        return ()
    others = [other for other in contacts.owners if other.id != owner.id and other.slots]
    if not others:
        raise GridError(f"{owner} is the last owner: nobody could have what it has")
    dead = [str(each) for each in (owner, *others) if not each.is_up]
    if dead:
        raise GridError(f"slots cannot move while an owner does not answer: {', '.join(dead)}")
    owned = {each.id: list(each.slots) for each in (owner, *others)}
    plan = _only_from(owner.id, owned, [other.id for other in others])
    refuse_overflow(contacts, plan, force=force)
    return plan


def refuse_overflow(contacts: Contacts, plan: Sequence[Move], *, force: bool = False) -> None:
    """
    Raise GridError where an owner would be given more than it has room for, and so would evict, or refuse it.

    With `force` only where it would refuse it: slots would stay where they are, half-way.
    """
    shares = {source: _per_slot(contacts, contacts.of(source)) for source in {move.source for move in plan}}
    for target in sorted({move.target for move in plan}):
        given = round(sum(shares[move.source] * move.size for move in plan if move.target == target))
        room, evicts = _room(contacts, contacts.of(target))
        if room is not None and given > room and not (force and evicts):
            raise GridError(
                f"{contacts.of(target)} would be given {size_text(given)}, and has room for {size_text(room)}: raise "
                f"its maxmemory{', or let it evict with --force' if evicts else '; it evicts nothing'}"
            )


def _only_from(owner: str, owned: dict[str, list[range]], others: Sequence[str]) -> Sequence[Move]:
    """The slots of one shared out among others, who keep what they have where it is."""
    return [move for move in moves(owned, others) if move.source == owner]


def _per_slot(contacts: Contacts, owner: Contact) -> float:
    """The bytes that an owner has for each of its slots."""
    with contacts.open(owner) as admin:
        used = int(admin.facts("memory").get("used_memory_dataset", 0))
    return used / max(sum(map(len, owner.slots)), 1)


def _room(contacts: Contacts, owner: Contact) -> tuple[int | None, bool]:
    """The bytes that an owner has left, None if it has no limit, and whether it evicts where they are too few."""
    with contacts.open(owner) as admin:
        facts = admin.facts("memory")
    limit = int(facts.get("maxmemory", 0))
    room = max(limit - int(facts.get("used_memory", 0)), 0) if limit else None
    return room, facts.get("maxmemory_policy") != "noeviction"
