"""What both colours of the back end stand on: keys and times as the cache takes them, and the way to the cache."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from cachegrid.errors import ValueRefused
from cachegrid.integrations.django.grids import LoopPlace, place_of
from cachegrid.integrations.places import fitting
from cachegrid.units import seconds_of

if TYPE_CHECKING:
    from cachegrid import AsyncCache, Entry, Key, SyncCache

__all__ = ["GONE", "REFUSALS", "Ground", "NotStored", "beyond", "moved"]

GONE: Final = object()


class NotStored(ValueRefused, pickle.PicklingError):
    """The codec cannot keep a value, such as a lock or a lambda; nothing was stored."""


class Ground(BaseCache):  # type: ignore[misc] # Django ships no types
    """A back end without its methods."""

    def __init__(self, location: object, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        said = params.get("timeout", params.get("TIMEOUT"))
        if isinstance(said, (str, timedelta)):  # of a text that is no number Django makes 300 seconds
            self.default_timeout = _seconds("TIMEOUT", said)
        self._location, self._options = location, params.get("OPTIONS", {})

    @property
    def native(self) -> SyncCache:
        """The named cache, for what Django has no word for. Its keys are those of `make_key`, if not too long."""
        return self.place.cache()

    @property
    def anative(self) -> AsyncCache:
        """The named cache, for the event loop that runs."""
        return self.place.here()

    def get_backend_timeout(self, timeout: Any = DEFAULT_TIMEOUT) -> float | None:
        """Seconds that an entry shall live: 0 is not at all, None without end."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return None if seconds is None else max(0, _seconds("timeout", seconds))

    @cached_property
    def place(self) -> LoopPlace:
        """Where the named cache is, and its grid."""
        return place_of(self._location, self._options)

    def _key(self, key: Any, version: Any) -> Key:
        return fitting(self.make_and_validate_key(key, version=version))

    def _said(self, key: Any, timeout: Any, version: Any) -> tuple[Key, float | None]:
        return self._key(key, version), self.get_backend_timeout(timeout)

    def _asked(self, keys: Iterable[Any], version: Any) -> dict[Key, Any]:
        """What the app calls each key, by what the cache does."""
        return {self._key(key, version): key for key in keys}

    def _named(self, data: Mapping[Any, Any], version: Any) -> dict[Key, Any]:
        return {self._key(key, version): value for key, value in data.items()}


def _seconds(name: str, said: float | str | timedelta) -> float:
    """A number as it is; of a timedelta, or of text such as "5m", its seconds. Raises ConfigError."""
    if isinstance(said, (int, float)):
        return said
    return 0 if said in ("0", timedelta(0)) else seconds_of(name, said)


class _Refusals:
    """Raises what a codec refuses as what Django's own back ends raise, too."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ValueRefused):
            raise NotStored(str(error), path=error.path, kind=error.kind) from error.__cause__


REFUSALS: Final = _Refusals()


def beyond(delta: int) -> int:
    """Where to count from if nothing is there: past 64 bits, so that the owner refuses it, and stores nothing."""
    return 2**63 if delta >= 0 else -(2**63) - 1


def moved(key: Key, entry: Entry | None) -> dict[str, Any]:
    """What to store of an entry elsewhere: its value, its tags, and what it has left of its time. Raises ValueError."""
    if entry is None:
        raise ValueError(f"Key {key!r} not found")
    left = None if entry.expires is None else max(0.001, (entry.expires - datetime.now(UTC)).total_seconds())
    return {"value": entry.value, "ttl": left, "tags": entry.tags}
