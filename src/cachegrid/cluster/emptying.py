"""An owner of a grid that somebody else runs is emptied, so that it can be ended there."""

from __future__ import annotations

from collections.abc import Sequence

from cachegrid._core.units import size_text
from cachegrid.cluster.balance import Move, moves
from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.errors import GridError

__all__ = ["emptying_of"]


def emptying_of(contacts: Contacts, owner: Contact, *, force: bool = False) -> Sequence[Move]:
    """
    What has to move so that an owner has nothing left; no moves if it has nothing, or follows another.

    Raises GridError for the last owner, where an owner does not answer, and, unless `force` says to let them evict,
    where what it has would not fit into the others. Raises an EngineError if a member cannot be asked.
    """
    if not owner.slots:
        return ()
    others = [other for other in contacts.owners if other.id != owner.id and other.slots]
    if not others:
        raise GridError(f"{owner} is the last owner: nobody could have what it has")
    dead = [str(each) for each in (owner, *others) if not each.is_up]
    if dead:
        raise GridError(f"slots cannot move while an owner does not answer: {', '.join(dead)}")
    used, room = _used(contacts, owner), _room(contacts, others)
    if room is not None and used > room and not force:
        raise GridError(
            f"{owner} has {size_text(used)}, and the others have room for {size_text(room)}: raise their maxmemory, or "
            "let them evict with --force"
        )
    owned = {each.id: list(each.slots) for each in (owner, *others)}
    return _only_from(owner.id, owned, [other.id for other in others])


def _only_from(owner: str, owned: dict[str, list[range]], others: Sequence[str]) -> Sequence[Move]:
    """The slots of one shared out among others, who keep what they have where it is."""
    return [move for move in moves(owned, others) if move.source == owner]


def _used(contacts: Contacts, owner: Contact) -> int:
    with contacts.open(owner) as admin:
        return int(admin.facts("memory").get("used_memory_dataset", 0))


def _room(contacts: Contacts, owners: Sequence[Contact]) -> int | None:
    """The bytes that owners have left; None if one of them has no limit."""
    room = 0
    for owner in owners:
        with contacts.open(owner) as admin:
            facts = admin.facts("memory")
        limit = int(facts.get("maxmemory", 0))
        if not limit:
            return None
        room += max(limit - int(facts.get("used_memory", 0)), 0)
    return room
