"""Engines that tell their listeners otherwise than promised."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

from cachegrid._core.events import Listener, Topic
from tests.engines.faults.fault import Engine, fault

__all__: list[str] = []


@contextmanager
def unheard(engine: Engine) -> Any:
    """Nobody hears what happens in this block."""
    listeners, engine._store._listeners = engine._store._listeners, {}
    yield
    engine._store._listeners = listeners


@fault("listen", "tells nobody", "listeners_are_told_of_entries")
async def _(self: Engine, topic: Topic, listener: Listener) -> None:
    self._heard[topic] = listener


@fault("store", "tells of it twice", "listeners_are_told_of_entries")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> None:
    self._store.store(address, frame, ttl)
    self._store._report("set", address)


@fault("fetch", "tells nobody that it has ended", "listeners_are_told_of_an_end")
async def _(self: Engine, address: bytes) -> bytes | None:
    with unheard(self):
        return self._store.fetch(address)


@fault("drop", "tells of what was not there", "listeners_are_not_told_of_nothing")
async def _(self: Engine, address: bytes) -> bool:
    if not self._store.drop(address):
        self._store._report("deleted", address)
        return False
    return True


@fault("listen", "tells of what begins nearly so", "listeners_are_told_of_their_own_topic")
async def _(self: Engine, topic: Topic, listener: Listener) -> None:
    self._heard[topic] = listener
    self._store.listen(Topic(topic.parent[:10], of_epochs=False), listener)


@fault("drop_many", "does not tell", "listeners_are_told_of_batches")
async def _(self: Engine, addresses: Sequence[bytes]) -> int:
    with unheard(self):
        return self._store.drop_many(addresses)


@fault("store_if_version", "does not tell", "listeners_are_told_of_what_depended_on_a_condition")
async def _(self: Engine, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
    with unheard(self):
        return self._store.store_if_version(address, version, frame, ttl)


@fault("add", "tells of the first sum only", "listeners_are_told_of_each_sum")
async def _(self: Engine, address: bytes, by: int, start: int, ttl: int | None) -> int:
    if self._store.fetch(address) is None:
        return self._store.add(address, by, start, ttl)
    with unheard(self):
        return self._store.add(address, by, start, ttl)


@fault("touch", "tells of it as of a new value", "listeners_are_not_told_of_other_ends")
async def _(self: Engine, address: bytes, ttl: int | None, now: int) -> bool:
    self._store._report("set", address)
    return self._store.touch(address, ttl, now)


@fault("land", "does not tell", "listeners_are_told_of_a_landing")
async def _(self: Engine, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
    with unheard(self):
        return self._store.land(address, token, frame, ttl)


@fault("epoch", "tells that there is one", "listeners_are_told_of_raised_epochs")
async def _(self: Engine, name: bytes) -> int:
    self._store._report_raise(name)
    return self._store.epoch(name)


@fault("raise_tags", "does not tell", "listeners_are_told_of_raised_tags")
async def _(self: Engine, names: Sequence[bytes]) -> None:
    with unheard(self):
        self._store.raise_tags(names)


@fault("listen", "goes on telling the first", "one_listener_has_a_topic")
async def _(self: Engine, topic: Topic, listener: Listener) -> None:
    self._heard[topic] = listener
    self._store.listen(topic, listener)


@fault("unlisten", "goes on", "who_listens_no_longer_is_told_nothing", "closing_ends_the_telling")
def _(self: Engine, topic: Topic) -> None:
    self._heard.pop(topic, None)


@fault("listen", "says nothing of an outage", "listening_to_a_grid_that_is_away_is_an_error")
async def _(self: Engine, topic: Topic, listener: Listener) -> None:
    pass
