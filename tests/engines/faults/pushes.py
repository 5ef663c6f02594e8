"""Engines that tell what changes otherwise than promised."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

from cachegrid.errors import EngineError
from cachegrid.near.copies import ENDLESS, Guard
from cachegrid.near.nearby import Sink
from tests.engines.faults.fault import Engine, fault

__all__: list[str] = []


@contextmanager
def quietly(engine: Engine) -> Any:
    """Nobody is told of what happens in this block."""
    followers, engine._store._followers = engine._store._followers, {}
    yield
    engine._store._followers = followers


@fault("follow", "tells nobody", "every_change_is_told", "who_follows_is_told_of_his_own_prefix")
def _(self: Engine, prefix: bytes, sink: Sink, staleness: float) -> None:
    self._followed[prefix] = sink


@fault("drop_many", "does not tell", "batches_are_told")
async def _(self: Engine, addresses: Sequence[bytes]) -> int:
    with quietly(self):
        return self._store.drop_many(addresses)


@fault("drop_if_strange", "does not tell", "what_depended_on_a_condition_is_told")
async def _(self: Engine, address: bytes) -> bool:
    with quietly(self):
        return self._store.drop_if_strange(address)


@fault("add", "tells only of what is new", "counting_is_told")
async def _(self: Engine, address: bytes, by: int, start: int, ttl: int | None) -> int:
    if self._store.fetch(address) is None:
        return self._store.add(address, by, start, ttl)
    with quietly(self):
        return self._store.add(address, by, start, ttl)


@fault("touch", "does not tell", "another_end_is_told")
async def _(self: Engine, address: bytes, ttl: int | None, now: int) -> bool:
    with quietly(self):
        return self._store.touch(address, ttl, now)


@fault("land", "does not tell", "a_landing_is_told")
async def _(self: Engine, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
    with quietly(self):
        return self._store.land(address, token, frame, ttl)


@fault("fetch", "tells nobody that nothing is there", "the_end_of_a_time_to_live_is_told")
async def _(self: Engine, address: bytes) -> bytes | None:
    with quietly(self):
        return self._store.fetch(address)


@fault("follow", "tells of what others follow", "who_follows_is_told_of_his_own_prefix")
def _(self: Engine, prefix: bytes, sink: Sink, staleness: float) -> None:
    self._followed[prefix] = sink
    self._store.follow(prefix.rpartition(b"-")[0], sink)


@fault("unfollow", "goes on", "who_follows_no_longer_is_not_told")
def _(self: Engine, prefix: bytes) -> None:
    self._followed.pop(prefix, None)


@fault("guard", "guards everything", "nothing_is_guarded_while_nobody_listens")
def _(self: Engine, address: bytes, prefix: bytes) -> Guard | None:
    return self._store.guard


@fault("guard", "is another one each time", "what_an_owner_answers_can_be_kept")
def _(self: Engine, address: bytes, prefix: bytes) -> Guard | None:
    guard = Guard()
    guard.heard = ENDLESS
    return guard


class Late:
    """Passes on what it is told with the next thing that it is told."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self._late = sink, b""

    def changed(self, address: bytes) -> None:
        """One entry."""
        if address != self._late:
            self._sink.changed(self._late)
        self._late = address

    def changed_if(self, is_lost: Callable[[bytes], bool]) -> None:
        """Many."""

    def refused(self) -> None:
        """Never."""


@fault("follow", "tells late", "what_changed_before_a_guard_was_heard_has_been_told")
def _(self: Engine, prefix: bytes, sink: Sink, staleness: float) -> None:
    self._followed[prefix] = sink
    self._store.follow(prefix, Late(sink))


@fault("fetch", "forgets its trouble", "trouble_is_noted")
async def _(self: Engine, address: bytes) -> bytes | None:
    raise EngineError("lost", where="here")


@property  # type: ignore[misc]
def _doubts_nothing(self: Engine) -> int:
    return 0


fault(
    "doubt",
    "hears only when it is asked",
    "who_asks_for_nothing_hears_of_a_raise",
    "who_suspects_a_raise_doubts_at_once",
)(_doubts_nothing)


@fault("follow", "leaves a thread", "closing_ends_the_listening")
def _(self: Engine, prefix: bytes, sink: Sink, staleness: float) -> None:
    self._followed[prefix] = sink
    self._store.follow(prefix, sink)
    threading.Thread(target=threading.Event().wait, args=[0.2]).start()


@fault("aclose", "goes on", "closing_ends_the_listening")
async def _(self: Engine) -> None:
    pass
