# hand-written in both colours
"""What only one colour of cache has: a sync one is a mapping, as a dict is, over the grid."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast, overload

from cachegrid._core.address import Key
from cachegrid._core.miss import MISS, UNSAID
from cachegrid._core.units import Span
from cachegrid.errors import ConfigError, EntryNotFound, KeyRefused

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem

    # Any key, for the checker: so that a cache may stand where a mapping of str is asked for.
    _Mapping = MutableMapping[Any, Any]
else:
    _Mapping = object  # registered below: inherited, equality would compare entries, and no cache could be hashed

__all__ = ["SyncFace", "SyncGridFace"]

T = TypeVar("T")
_OURS: Final = ("fn", "default", "ttl", "idle")  # what `update` calls its own arguments


class SyncFace(_Mapping):
    """
    The mapping face of a sync cache.

    `len()` and iteration walk the whole cache, and read nothing of it: see `keys`. A cache is always true, so that `if cache:` asks no member; it equals
    only itself.
    """

    is_async = False
    other_way = "cachegrid.aconnect()"  # to a cache of the other colour

    if TYPE_CHECKING:
        name: str

        def _read(self, key: Key) -> Any: ...
        def _keys(self, match: str | None) -> Iterator[Key]: ...
        def _items(self) -> Iterator[tuple[Key, Any]]: ...
        def _change(
            self, key: Key, fn: Callable[[Any], T], *, default: Any = UNSAID, ttl: Span = UNSAID, idle: Span = UNSAID
        ) -> T: ...
        def set(self, key: Key, value: Any) -> None: ...
        def set_many(self, values: Mapping[Key, Any]) -> None: ...
        def add(self, key: Key, value: Any) -> bool: ...
        def delete(self, key: Key) -> bool: ...

    def __getitem__(self, key: Key) -> Any:
        value = self._read(key)
        if value is MISS:
            raise EntryNotFound(self.name, key)
        return value

    def __setitem__(self, key: Key, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: Key) -> None:
        if not self.delete(key):
            raise EntryNotFound(self.name, key)

    def __contains__(self, key: object) -> bool:
        return self._read(cast("Key", key)) is not MISS

    def __len__(self) -> int:
        return sum(1 for _ in self._keys(None))

    def __bool__(self) -> bool:
        return True

    def keys(self, match: str | None = None) -> KeysView[Key]:
        """
        Every key, each once; with `match`, those str keys that fit a pattern such as "user:*".

        A view: each time it is gone through it walks all members page by page, and remembers what it has seen. For
        operators, not for a request. Only `in` asks for one entry, and counts as a read. Nothing else is read: what a
        tag has dropped, what is kept for its grace, and a failure that is remembered may be among the keys.
        """
        return _Keys(self, lambda: self._keys(match), match)

    def items(self) -> ItemsView[Key, Any]:
        """Every entry's key and value, as a view; an entry that comes or goes meanwhile may be missing."""
        return _Items(self, self._items)

    def values(self) -> ValuesView[Any]:
        """Every entry's value, as a view; an entry that comes or goes meanwhile may be missing."""
        return _Values(self, self._items)

    @overload
    def update(
        self, /, key: Key, fn: Callable[[Any], T], *, default: Any = UNSAID, ttl: Span = UNSAID, idle: Span = UNSAID
    ) -> T: ...
    @overload
    def update(self, values: SupportsKeysAndGetItem[Any, Any], /, **more: Any) -> None: ...
    @overload
    def update(self, values: Iterable[tuple[Any, Any]], /, **more: Any) -> None: ...
    @overload
    def update(self, /, **more: Any) -> None: ...
    def update(self, /, *args: Any, **kwargs: Any) -> Any:
        """
        Replace a value by `fn(value)`, atomically: `fn` is called again when another write came in between.

        Where there is no entry, `fn(default)` is stored; without `default` it is EntryNotFound. Returns the new value.
        Called with a mapping, pairs or names it does what that of a dict does, as `set_many` would: not in one step.
        """
        if len(args) > 1 or "fn" in kwargs:
            return self._change(*args, **kwargs)
        return self.set_many(_merged(*args, **kwargs))

    def pop(self, key: Key, default: Any = UNSAID) -> Any:
        """Drop an entry and return its value; without one `default`, or EntryNotFound. Not atomic."""
        value = self._read(key)
        if value is not MISS and self.delete(key):
            return value
        if default is UNSAID:
            raise EntryNotFound(self.name, key)
        return default

    def popitem(self) -> tuple[Key, Any]:
        """Drop some entry and return its key and value; EntryNotFound when the cache is empty."""
        for key, value in self._items():
            if self.delete(key):
                return key, value
        raise EntryNotFound(self.name, "any key")

    def setdefault(self, key: Key, default: Any = None) -> Any:
        """The entry's value, or `default` after storing it; of several callers at once one stores."""
        while True:
            value = self._read(key)
            if value is not MISS:
                return value
            if self.add(key, default):
                return default


class _Keys(KeysView[Key]):
    def __init__(self, cache: SyncFace, walk: Callable[[], Iterator[Key]], match: str | None) -> None:
        super().__init__(cache)
        self._cache, self._walk, self._match = cache, walk, match

    def __iter__(self) -> Iterator[Key]:
        return self._walk()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        fits = self._match is None or (isinstance(key, str) and fnmatch.fnmatchcase(key, self._match))
        return fits and key in self._cache


class _Items(ItemsView[Key, Any]):
    def __init__(self, cache: SyncFace, walk: Callable[[], Iterator[tuple[Key, Any]]]) -> None:
        super().__init__(cache)
        self._walk = walk

    def __iter__(self) -> Iterator[tuple[Key, Any]]:
        return self._walk()


class _Values(ValuesView[Any]):
    def __init__(self, cache: SyncFace, walk: Callable[[], Iterator[tuple[Key, Any]]]) -> None:
        super().__init__(cache)
        self._walk = walk

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._walk())

    def __contains__(self, value: object) -> bool:
        return any(value is other or value == other for other in self)


def _merged(values: Any = (), /, **more: Any) -> dict[Key, Any]:
    """What `dict` makes of these; refused where `update(key, fn)` or `set_many(..., ttl=)` was meant."""
    if isinstance(values, (str, bytes, int)):
        raise KeyRefused(f"update({values!r:.60}) lacks the function that makes the new value; or give it a mapping")
    for name in _OURS:
        if name in more:
            want = "part of the mapping where it is a key; how long the entries live says set_many(values, ttl=...)"
            raise ConfigError(f"{name} of update", more[name], want)
    # Of another cache the items: between its keys and their values an entry may go.
    return dict(values.items() if isinstance(values, SyncFace) else values, **more)


class SyncGridFace:
    """What only a sync grid has: nothing that can be used."""

    if not TYPE_CHECKING:  # which knows by itself, as Python does, but would not say what else to do

        async def __aenter__(self) -> NoReturn:
            want = "used as `with`; for `async with`, take one from cachegrid.aconnect()"
            raise ConfigError("the sync grid", self, want)

        async def __aexit__(self, *error: object) -> None:
            pass


MutableMapping.register(cast("type[Any]", SyncFace))
