"""Engines whose writes last otherwise than promised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cachegrid._core.durability import Durability
from cachegrid.engines.memory import Store
from cachegrid.errors import NotDurable
from tests.engines.faults.fault import Engine, fault

__all__: list[str] = []

MANY = 100


def short(durability: Durability) -> None:
    """Tell of what falls short, as an engine without replicas has to."""
    if durability.replicas:
        raise NotDurable("nobody has them", wanted=durability.replicas)


def face(**methods: Callable[..., Any]) -> Callable[[Engine, Durability], Engine]:
    """What `lasting` gives: the engine with some methods that do something else, and all others as they should be."""

    def lasting(self: Engine, durability: Durability) -> Engine:
        def telling(name: str) -> Any:
            async def told(engine: Engine, *args: Any) -> Any:
                answer = await getattr(Engine, name)(engine, *args)
                short(durability)
                return answer

            return told

        right = {name: telling(name) for name in ("store", "drop", "store_many", "drop_many", "add", "raise_epoch")}
        made = type("Face", (Engine,), {**right, **methods})(self._store)
        made.durability = durability
        return made  # type: ignore[no-any-return]

    return lasting


def elsewhere(self: Engine, durability: Durability) -> Engine:
    """Another store."""
    return type(self)(Store())


fault("lasting", "keeps it to itself", "what_lasts_is_there_for_all", "batches_last", "an_epoch_lasts")(elsewhere)


async def store_for_ever(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> None:
    self._store.store(address, frame, None)


fault("lasting", "has no ends", "a_life_that_lasts_ends")(face(store=store_for_ever))


async def store_first(self: Engine, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
    self._store.store_many(items[:MANY])
    short(self.durability)  # type: ignore[attr-defined]


fault("lasting", "gives up a batch in the middle", "batches_last", "what_falls_short_is_done")(
    face(store_many=store_first)
)


async def add_twice(self: Engine, address: bytes, by: int, start: int, ttl: int | None) -> int:
    self._store.add(address, by, start, ttl)
    total = self._store.add(address, by, start, ttl)
    short(self.durability)  # type: ignore[attr-defined]
    return total


fault(
    "lasting",
    "counts again until it lasts",
    "what_depends_on_a_condition_answers_the_same",
    "counts_that_last_are_made_once",
    "what_falls_short_is_done",
)(face(add=add_twice))


def content(self: Engine, durability: Durability) -> Engine:
    """As if all were well."""
    return self


fault("lasting", "is content with less", "what_falls_short_is_told", "what_falls_short_is_done", "an_epoch_lasts")(
    content
)


async def refuse(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> None:
    short(self.durability)  # type: ignore[attr-defined]
    self._store.store(address, frame, ttl)


fault("lasting", "writes nothing where it falls short", "what_falls_short_is_told")(face(store=refuse))


async def raise_quietly(self: Engine, name: bytes) -> int:
    short(self.durability)  # type: ignore[attr-defined]
    return self._store.raise_epoch(name)


fault("lasting", "raises nothing where it falls short", "an_epoch_lasts")(face(raise_epoch=raise_quietly))
