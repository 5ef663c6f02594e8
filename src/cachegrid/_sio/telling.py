# Generated from src/cachegrid/_aio/telling.py by tools/colour.py. Edit that file, then run `make colour`.
"""An engine's writes, told to whoever keeps copies: when a write is over its caller's copies are gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from cachegrid._sio.ability import SyncAbleEngine

__all__ = ["SyncTelling"]

P = ParamSpec("P")
T = TypeVar("T")


class SyncTelling:
    """
    Writes to `engine` and calls `tell` with each address, whatever came of it: what failed may have been applied.

    Before the caller goes on: the news that the owner sends may take longer.
    """

    def __init__(self, engine: SyncAbleEngine, tell: Callable[[bytes], None]) -> None:
        self._tell = tell
        self.store = self._telling(engine.store)
        self.drop = self._telling(engine.drop)
        self.store_if_absent = self._telling(engine.store_if_absent)
        self.store_if_present = self._telling(engine.store_if_present)
        self.store_if_version = self._telling(engine.store_if_version)
        self.drop_if_version = self._telling(engine.drop_if_version)
        self.drop_if_strange = self._telling(engine.drop_if_strange)
        self.add = self._telling(engine.add)
        self.touch = self._telling(engine.touch)
        self.land = self._telling(engine.land)
        self.raise_epoch = engine.raise_epoch  # whoever raises it tells of the whole cache
        self.raise_tags = engine.raise_tags  # the same
        self._engine = engine

    def _telling(self, write: Callable[Concatenate[bytes, P], T]) -> Callable[Concatenate[bytes, P], T]:
        tell = self._tell

        def told(address: bytes, /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return write(address, *args, **kwargs)
            finally:
                tell(address)

        return told

    def store_many(self, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
        """Tells each address, as all do."""
        try:
            self._engine.store_many(items)
        finally:
            for address, _, _ in items:
                self._tell(address)

    def drop_many(self, addresses: Sequence[bytes]) -> int:
        """The same."""
        try:
            return self._engine.drop_many(addresses)
        finally:
            for address in addresses:
                self._tell(address)
