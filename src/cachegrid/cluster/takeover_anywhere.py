"""A replica takes over from its owner in any grid, whoever runs it: planned, and without losing a write."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from cachegrid.cluster.agreement import wait_until
from cachegrid.cluster.contacts import Contact, Contacts
from cachegrid.cluster.view import node_rows
from cachegrid.errors import EngineError, GridError, ServerRefused

__all__ = ["failover_at", "failover_pair", "refuse_empty", "wait_for_votes"]

ASK_AGAIN = 6.0  # seconds: a server gives a takeover up after five
VOTES = 2.2  # node timeouts, and a little: for two, nobody votes once more for a replica of the same owner
NODE_TIMEOUT = 1.0  # seconds, where a member does not tell it
_taken: dict[str, float] = {}  # members that took part in a takeover, and until when they would get no vote; monotonic


def failover_pair(contacts: Contacts, member: str) -> tuple[Contact, Contact]:
    """
    Who would take over, and from whom, where an owner shall hand over or a replica take over.

    Of several replicas it is the one that has most of its owner's writes. Raises ConfigError for what names no member,
    and GridError where nobody could take over.
    """
    chosen = contacts.named(member)
    owner = chosen if chosen.is_owner else contacts.members.get(chosen.follows)
    if owner is None or not owner.is_up:
        raise GridError(f"the owner of {chosen} does not answer: others decide who takes its place")
    able = [replica for replica in contacts.replicas if replica.follows == owner.id and chosen in {owner, replica}]
    offsets = {replica.id: _offset(contacts, replica) for replica in able}
    refuse_empty(owner, sum(map(len, owner.slots)))
    linked = [replica for replica in able if offsets[replica.id] >= 0]
    if not linked:
        raise GridError(f"owner {owner} has no replica that follows it and could take over")
    return max(linked, key=lambda replica: offsets[replica.id]), owner


def refuse_empty(owner: object, slots: int, begun: Sequence[str] = ()) -> None:
    """Raise GridError for an owner without slots; `begun` says what was not ended that may have left it so."""
    if not slots:
        more = begun or ["a rebalance gives it some, where it is to have any"]
        raise GridError(f"owner {owner} has no slots, and so nothing to hand over; {'; '.join(more)}")


def failover_at(contacts: Contacts, heir: Contact, *, timeout: float = 60.0) -> Contacts:
    """
    Let a replica take over, and return, with the members as they are then, when all that answer take it for the owner.

    Its owner lets writes wait until the replica has them all, and so none is lost. A replica gives up by itself where
    its owner, or most others, say nothing, and is asked again. Raises an EngineError, such as EngineTimeout.
    """
    # Without the votes it would come to nothing, and its owner let writes wait for five seconds.
    wait_for_votes(heir.id, heir.follows)
    asked_at = -ASK_AGAIN

    def not_taken() -> str:
        nonlocal asked_at
        with contacts.open(heir, timeout=2.0) as admin:
            if node_rows(admin)[heir.id].is_owner:
                return ""
            if time.monotonic() - asked_at > ASK_AGAIN:
                with suppress(ServerRefused):  # its link to the owner is being made anew
                    admin.run("CLUSTER", "FAILOVER")
                    asked_at = time.monotonic()
        return f"{heir} has not taken over"

    wait_until(not_taken, timeout)
    _taken[heir.id] = _taken[heir.follows] = time.monotonic() + VOTES * _node_timeout(contacts, heir)
    wait_until(lambda: _unknowing(contacts, heir), timeout)
    return contacts.again()


def wait_for_votes(*members: str) -> None:
    """Wait until members that took part in a takeover, as far as is known here, get votes for another; or all."""
    until = max([_taken.get(member, 0.0) for member in members or _taken], default=0.0)
    time.sleep(max(0.0, until - time.monotonic()))


def _node_timeout(contacts: Contacts, member: Contact) -> float:
    with suppress(EngineError), contacts.open(member) as admin:
        told = admin.run("CONFIG", "GET", "cluster-node-timeout")
        words = list(told.values()) if isinstance(told, dict) else told
        if isinstance(words, list) and words:
            return int(words[-1]) / 1000
    return NODE_TIMEOUT


def _unknowing(contacts: Contacts, heir: Contact) -> str:
    """Who does not know yet that it took over from whom it followed."""
    for member in contacts.members.values():
        if not member.is_up:
            continue
        try:
            with contacts.open(member) as admin:
                rows = node_rows(admin)
        except EngineError:
            continue  # it has gone meanwhile
        is_to_have_slots = heir.follows in contacts.members and bool(contacts.of(heir.follows).slots)
        if heir.id not in rows or not rows[heir.id].is_owner or (is_to_have_slots and not rows[heir.id].slots):
            return f"{member} does not take {heir} for the owner"
        if heir.follows in rows and rows[heir.follows].slots:
            return f"{member} takes {contacts.of(heir.follows)} for an owner still"
    return ""


def _offset(contacts: Contacts, replica: Contact) -> int:
    """How far a replica is in the stream of its owner's writes; -1 if it does not follow it at the moment."""
    try:
        with contacts.open(replica) as admin:
            facts = admin.facts("replication")
    except EngineError:
        return -1
    return int(facts.get("slave_repl_offset", -1)) if facts.get("master_link_status") == "up" else -1
