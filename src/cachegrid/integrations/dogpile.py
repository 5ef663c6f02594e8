"""
dogpile.cache on a grid: regions whose values all processes share, and one creator at a time in all of them.

    region = make_region().configure("cachegrid", expiration_time=300, arguments={"url": "valkey://a:7001,b:7001"})
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

try:
    from dogpile.cache.api import NO_VALUE, CacheBackend, CachedValue, CacheMutex
except ModuleNotFoundError as error:
    message = "cachegrid.integrations.dogpile needs dogpile.cache: pip install 'cachegrid[dogpile]'"
    raise ModuleNotFoundError(message) from error

from cachegrid.errors import LockLost, LockTimeout
from cachegrid.integrations.places import Place, fitting

if TYPE_CHECKING:
    from dogpile.cache.api import BackendFormatted, BackendSetType, SerializedReturnType

    from cachegrid import Key, SyncCache

__all__ = ["CacheGridBackend", "CacheGridMutex"]

_logger: Final = logging.getLogger(__name__)


class CacheGridBackend(CacheBackend):
    """
    Keeps the values of regions in a named cache of a grid.

    `arguments` are `url`, `name` or what else `connect` takes (with none, the grid of this host), or `grid`, one that
    is connected; `cache`, the name of the cache ("dogpile"); and the settings of its policy. It connects at its first
    use. A region's `expiration_time` says when a value is created anew; `ttl` says for how long it is kept at all.

    Values are kept by type; with `codec="pickle"` they may be any objects, and are signed, as is what a region's own
    serializer makes. The policy's `lease` and `wait` are those of the locks that creators hold, too. An outage is no
    miss: it raises.
    """

    # Not dogpile's back end of bytes: that one pickles by itself, and reads what nobody has signed.

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        # Regions share their arguments with proxies, so what is like nothing that we know is not for us.
        self._place = Place(arguments, cache="dogpile", lenient=True)

    def get(self, key: str) -> BackendFormatted:
        """A value with its metadata, or NO_VALUE."""
        return _value_in(self._cache.get(fitting(key)))

    def get_multi(self, keys: Iterable[str]) -> Sequence[BackendFormatted]:
        """Values with their metadata, or NO_VALUE, in the order of the keys; one trip to each member."""
        return [_value_in(stored) for stored in self._get_many(keys)]

    def get_serialized(self, key: str) -> SerializedReturnType:
        """What a region's own serializer has made, or NO_VALUE."""
        return _bytes_in(self._cache.get(fitting(key)))

    def get_serialized_multi(self, keys: Iterable[str]) -> Sequence[SerializedReturnType]:
        """What a region's own serializer has made, or NO_VALUE, in the order of the keys; one trip to each member."""
        return [_bytes_in(stored) for stored in self._get_many(keys)]

    def set(self, key: str, value: BackendSetType) -> None:
        """Store a value with its metadata, or bytes."""
        self._cache.set(fitting(key), _stored(value))

    def set_multi(self, mapping: Mapping[str, BackendSetType]) -> None:
        """Store many, with one trip to each member."""
        self._cache.set_many({fitting(key): _stored(value) for key, value in mapping.items()})

    def delete(self, key: str) -> None:
        """Drop a value, if there is one."""
        self._cache.delete(fitting(key))

    def delete_multi(self, keys: Iterable[str]) -> None:
        """Drop many, with one trip to each member."""
        self._cache.delete_many([fitting(key) for key in keys])

    def get_mutex(self, key: str) -> CacheMutex:
        """A lock in the grid: while it is held, nobody else creates the value, in any process."""
        return CacheGridMutex(self._cache, fitting(key))

    @property
    def _cache(self) -> SyncCache:
        return self._place.cache()

    def _get_many(self, keys: Iterable[str]) -> list[Any]:
        wanted = [fitting(key) for key in keys]
        found = self._cache.get_many(wanted)
        return [found.get(key) for key in wanted]


class CacheGridMutex(CacheMutex):
    """
    One creator at a time in all processes. It ends by itself when its holder dies, and is renewed until then.

    Who waits longer than the policy's `wait` gets LockTimeout. Taken once, it has to be released before it is taken
    again, also by the same thread; any thread may release it.
    """

    def __init__(self, cache: SyncCache, key: Key) -> None:
        self._cache, self._key = cache, key
        self._give_back: Callable[[], None] | None = None  # while it is held

    def acquire(self, wait: bool = True) -> bool:  # noqa: FBT001, FBT002 - dogpile's signature
        """Take the lock, and wait for it if so asked; whether it was taken. Raises LockTimeout."""
        policy = self._cache.policy
        lock = self._cache.lock(self._key, lease=policy.lease, wait=policy.wait if wait else 0)
        try:
            lock.acquire()
        except LockTimeout:
            if wait:
                raise
            return False
        self._give_back = lock.release
        return True

    def release(self) -> None:
        """Give the lock back."""
        give_back, self._give_back = self._give_back, None
        if give_back is None:
            raise LockLost(f"the lock of {self._key!r} was not acquired, or was released before")
        try:
            give_back()
        except LockLost as error:
            # Its value was created, and is stored. At worst another process has created it, too.
            _logger.warning("a value may have been created twice: %s", error)

    def locked(self) -> bool:
        """Whether somebody holds it, in any process."""
        return self._cache.lock(self._key).locked()


def _stored(value: BackendSetType) -> bytes | tuple[Any, dict[str, Any]]:
    """A value as the codec takes it: of a plain tuple every process knows the class."""
    return value if isinstance(value, bytes) else (value.payload, dict(value.metadata))


def _value_in(stored: Any) -> BackendFormatted:
    return CachedValue(*stored) if isinstance(stored, tuple) else NO_VALUE


def _bytes_in(stored: Any) -> SerializedReturnType:
    """Values that were stored before the region had a serializer are none that it could read."""
    return cast("SerializedReturnType", stored) if isinstance(stored, bytes) else NO_VALUE
