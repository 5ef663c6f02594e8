"""Loads that go past a grid that cannot answer: run once for all who wait in this process, and kept nowhere."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

from cachegrid._aio.flights import AsyncFlights, AsyncLanding, Landed, is_loading
from cachegrid.errors import EngineError, EngineTimeout, Unreachable

__all__ = ["OUTAGE", "AsyncOutage"]

T = TypeVar("T")
OUTAGE: Final = (EngineTimeout, Unreachable)  # that the grid, or the owner of an entry, cannot answer
_GAP: Final = 30.0  # seconds without trouble after which it is another outage


class _Carried(bytes):
    """A value, past the codec, which may not even be known while the grid was never reached."""

    value: Any


class AsyncOutage:
    """What a cache does while the grid cannot answer it."""

    def __init__(self, cache: str) -> None:
        self._cache = cache
        self._met = self._passed = float("-inf")  # when trouble was last met, and last gone past; monotonic seconds

    def begins(self) -> bool:
        """Note that the grid could not answer; whether that is another outage."""
        now = time.monotonic()
        met, self._met = self._met, now
        return now - met > _GAP

    def note(self, trouble: EngineError) -> None:
        """Report that loads go past an outage, once."""
        now = time.monotonic()
        if now - self._passed > _GAP:
            logging.getLogger("cachegrid").warning(
                "cache %r: the grid cannot answer (%s); loads go past it, and are kept nowhere, until it does",
                self._cache,
                trouble,
            )
        self._passed = now

    async def load(self, flights: AsyncFlights, address: bytes, loader: Callable[[], Awaitable[T]], wait: float) -> T:
        """What the loader gives; those who ask for the same meanwhile get copies of it."""
        address = b"outage:" + address
        if is_loading(address):
            return await loader()
        mine: list[_Carried] = []

        async def load() -> bytes:
            carried = _Carried()
            carried.value = await loader()
            mine.append(carried)
            return carried

        carried = await flights.land(AsyncLanding(address, address, _nothing, load, _nowhere, None, 0, wait))
        value = cast("_Carried", carried).value
        return cast("T", value if mine and mine[0] is carried else _copied(value))


def _copied(value: object) -> object:
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - whatever a class does against it: then all have the same one
        return value


async def _nothing() -> None:
    """The grid is not asked."""


async def _nowhere(_frame: bytes, _token: bytes | None) -> Landed:
    return Landed(is_for_all=True, is_released=False)
