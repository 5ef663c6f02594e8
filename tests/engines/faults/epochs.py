"""Engines with epochs, walks and members otherwise than promised."""

from __future__ import annotations

import fnmatch
from collections.abc import AsyncIterator
from typing import Any

from cachegrid.engines.facts import MemberFacts
from tests.engines.faults.fault import Engine, fault

__all__: list[str] = []


@fault("epoch", "asks nobody", "a_new_name_gets_one_for_all")
async def _(self: Engine, name: bytes) -> int:
    return self.seen.setdefault(name, self._store.raise_epoch(name))  # type: ignore[no-any-return]


@fault("epoch", "begins at 1", "a_new_epoch_equals_no_earlier_one")
async def _(self: Engine, name: bytes) -> int:
    return self._store.epoch(name) - self.seen.setdefault(name, self._store.epoch(name)) + 1  # type: ignore[no-any-return]


@fault("epoch", "trusts itself", "a_raise_brings_doubt_to_all", "raising_gives_a_greater_one")
async def _(self: Engine, name: bytes) -> int:
    return self.seen.setdefault(name, self._store.epoch(name))  # type: ignore[no-any-return]


@fault("raise_epoch", "gives the time", "raising_gives_a_greater_one", "nobody_raises_in_vain")
async def _(self: Engine, name: bytes) -> int:
    self._store.raise_epoch(name)
    return self._store._wall_ms()


@fault("raise_epoch", "raises all", "raising_leaves_other_names")
async def _(self: Engine, name: bytes) -> int:
    return max(self._store.raise_epoch(one) for one in [*self._store._epochs._epochs, name])


@property  # type: ignore[misc]
def _doubts_itself(self: Engine) -> int:
    return len(self.seen)


@property  # type: ignore[misc]
def _doubts_late(self: Engine) -> int:
    """What was true when this was asked before."""
    self.seen[b"asked"], late = self._store.doubt, self.seen.get(b"asked", 0)
    return late  # type: ignore[no-any-return]


@property  # type: ignore[misc]
def _doubts_always(self: Engine) -> int:
    self.seen[b"asked"] = self.seen.get(b"asked", 0) + 1
    return self.seen[b"asked"]  # type: ignore[no-any-return]


fault("doubt", "does not hear of others", "a_raise_brings_doubt_to_all", "a_raise_among_other_requests_brings_doubt")(
    _doubts_itself
)
fault("doubt", "hears of others late", "a_raise_brings_doubt_to_all", "a_raise_among_other_requests_brings_doubt")(
    _doubts_late
)
fault("doubt", "trusts nothing", "without_a_raise_there_is_no_doubt")(_doubts_always)


@fault("walk", "has one page", "a_walk_lists_everything", "a_walk_goes_on_among_changes", "a_walk_may_be_left")
async def _(self: Engine, prefix: bytes) -> AsyncIterator[list[bytes]]:
    yield self._store.listed(prefix)[:1000]


@fault("walk", "takes a prefix for a pattern", "a_walk_lists_only_what_begins_so")
async def _(self: Engine, prefix: bytes) -> AsyncIterator[list[bytes]]:
    yield [address for address in self._store.listed(b"") if fnmatch.fnmatchcase(address, prefix + b"*")]


@fault("walk", "leaks what others have", "a_walk_lists_only_what_begins_so", "a_walk_over_nothing_ends")
async def _(self: Engine, prefix: bytes) -> AsyncIterator[list[bytes]]:
    yield self._store.listed(prefix) or [prefix]
    yield self._store.listed(prefix[:-1])


@fault("walk", "lists what was there", "a_walk_lists_what_is_there")
async def _(self: Engine, prefix: bytes) -> AsyncIterator[list[bytes]]:
    yield self._store.present(self._store.listed(prefix))
    yield [prefix + b"2"]


@fault("walk", "counts places in a list that changes", "a_walk_goes_on_among_changes")
async def _(self: Engine, prefix: bytes) -> AsyncIterator[list[bytes]]:
    at = 0
    while page := sorted(self._store.listed(prefix))[at : at + 100]:
        yield page
        at += 100


@fault("walk", "goes only once", "a_walk_may_be_left")
async def _(self: Engine, prefix: bytes) -> AsyncIterator[list[bytes]]:
    assert not self.seen, "a walk is still under way"
    self.seen[prefix] = True
    for address in self._store.listed(prefix):
        yield [address]
    self.seen.clear()


def _member(**facts: Any) -> MemberFacts:
    return MemberFacts(**{"host": "here", "port": 1, "role": "owner", "id": "1", **facts})


@fault("members", "lists replicas first", "members_are_listed_owners_first")
async def _(self: Engine) -> list[MemberFacts]:
    return [_member(role="replica", port=2), _member()]


@fault("members", "lists a member twice", "members_are_listed_owners_first")
async def _(self: Engine) -> list[MemberFacts]:
    return [_member(), _member()]


@fault("members", "does not know who follows whom", "replicas_name_their_owner")
async def _(self: Engine) -> list[MemberFacts]:
    return [_member(), _member(role="replica", port=2, owner_id="7")]


@fault("members", "counts nothing", "members_tell_what_they_hold")
async def _(self: Engine) -> list[MemberFacts]:
    return [_member()]
