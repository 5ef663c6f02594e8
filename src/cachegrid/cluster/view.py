"""What the members of a grid are doing: asked of each of them, and of the others about those that do not answer."""

from __future__ import annotations

from collections.abc import Mapping

from cachegrid.cluster.admin import Admin, connect_to
from cachegrid.cluster.state import GridState, MemberState
from cachegrid.engines.facts import MemberFacts
from cachegrid.engines.valkey.facts import Node, NodeRow, count_lag, read_facts, read_rows, silent_facts
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.errors import EngineError

__all__ = ["is_itself", "members", "members_if_alone", "node_rows"]

FACTS = (("INFO",), ("DBSIZE",))  # as `read_facts` takes the answers


def members(state: GridState, *, timeout: float = 0.5) -> list[MemberFacts]:
    """
    The facts of each member, owners first, replicas in the order of their owners; a dead one has `up=False`.

    A member that does not answer within `timeout` seconds counts as dead, and so does one that answers under another
    id than its own: to the others it is away. Raises nothing for that.
    """
    answers = [(member, _ask(state, member, timeout)) for member in state.members]
    view = next((rows for member, (rows, _) in answers if is_itself(member, rows)), {})
    found = [
        read_facts(_node(member, rows[member.id]), replies)
        if is_itself(member, rows)
        else silent_facts(_node(member, view.get(member.id)))
        for member, (rows, replies) in answers
    ]
    return _in_order(count_lag(found))


def members_if_alone(state: GridState) -> list[MemberFacts] | None:
    """
    The facts of each member of a grid across hosts, where none answers on another host; None where one does.

    All are asked at once, and none is waited for longer than a second.
    """
    from cachegrid.cluster.contacts import Contacts  # which needs what is here

    try:
        there = Contacts.of_state(state).members.values()
    except EngineError:  # nobody answers here either
        return None
    own = {member.id for member in state.members}
    away = [one for one in there if one.id not in own]
    if not away or any(one.is_up for one in away):
        return None
    kinds = [(one, "owner" if one.is_owner else "replica", sum(map(len, one.slots))) for one in away]
    silent = [silent_facts(Node(one.endpoint, one.id, role, one.follows, slots))[1] for one, role, slots in kinds]
    return _in_order([*members(state), *silent])


def is_itself(member: MemberState, rows: Mapping[str, NodeRow]) -> bool:
    """Whether a member, by its own view of the grid, goes by the id that it was given."""
    return member.id in rows and "myself" in rows[member.id].flags


def node_rows(admin: Admin) -> dict[str, NodeRow]:
    """The grid as one member sees it, by member id."""
    return read_rows(admin.text("CLUSTER", "NODES").splitlines())


def _ask(state: GridState, member: MemberState, timeout: float) -> tuple[dict[str, NodeRow], list[object]]:
    """A member's view of the grid, and its own facts; nothing of one that does not answer."""
    try:
        with connect_to(state, member, timeout=timeout) as admin:
            return node_rows(admin), [admin.run(*words) for words in FACTS]
    except EngineError:
        return {}, []


def _node(member: MemberState, seen: NodeRow | None) -> Node:
    """A member as it, or another one, sees it; as it was planned if nobody does."""
    endpoint = Endpoint(member.host, member.port)
    if seen is None:
        return Node(endpoint, member.id, member.role)
    return Node(endpoint, seen.id, "owner" if seen.is_owner else "replica", seen.owner_id, sum(map(len, seen.slots)))


def _in_order(found: list[MemberFacts]) -> list[MemberFacts]:
    owners = [facts for facts in found if facts.role == "owner"]
    rank = {facts.id: index for index, facts in enumerate(owners)}
    replicas = [facts for facts in found if facts.role != "owner"]
    return owners + sorted(replicas, key=lambda facts: rank.get(facts.owner_id, len(found)))
