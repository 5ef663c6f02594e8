# hand-written in both colours
"""What only one colour has: an async cache is no mapping, since its reads are awaited; an async grid can be awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from cachegrid._core.address import Key
from cachegrid._core.miss import UNSAID
from cachegrid._core.units import Span
from cachegrid.errors import ConfigError

__all__ = ["AsyncFace", "AsyncGridFace"]

T = TypeVar("T")


class AsyncFace:
    """What only an async cache has."""

    is_async = True
    other_way = "cachegrid.connect()"  # to a cache of the other colour

    if TYPE_CHECKING:

        def _keys(self, match: str | None) -> AsyncIterator[Key]: ...
        def _items(self) -> AsyncIterator[tuple[Key, Any]]: ...
        async def _change(
            self, key: Key, fn: Callable[[Any], T], *, default: Any = UNSAID, ttl: Span = UNSAID, idle: Span = UNSAID
        ) -> T: ...

    def keys(self, match: str | None = None) -> AsyncIterator[Key]:
        """
        Every key, each once; with `match`, those str keys that fit a pattern such as "user:*".

        Walks all members page by page and remembers what it has seen: for operators, not for a request. Nothing is
        read: what a tag has dropped, what is kept for its grace, and a failure that is remembered may be among them.
        """
        return self._keys(match)

    def items(self) -> AsyncIterator[tuple[Key, Any]]:
        """Every entry's key and value; an entry that comes or goes meanwhile may be missing."""
        return self._items()

    async def update(
        self, key: Key, fn: Callable[[Any], T], *, default: Any = UNSAID, ttl: Span = UNSAID, idle: Span = UNSAID
    ) -> T:
        """
        Replace a value by `fn(value)`, atomically: `fn` is called again when another write came in between.

        Where there is no entry, `fn(default)` is stored; without `default` it is EntryNotFound. Returns the new value.
        """
        return await self._change(key, fn, default=default, ttl=ttl, idle=idle)


class AsyncGridFace:
    """What only an async grid has: `grid = await cachegrid.aconnect()` connects at once."""

    if TYPE_CHECKING:

        async def connect(self) -> Self: ...

    def __await__(self) -> Generator[Any, None, Self]:
        return self.connect().__await__()

    if not TYPE_CHECKING:  # which knows by itself, as Python does, but would not say what else to do

        def __enter__(self) -> NoReturn:
            want = "used as `async with`; for `with`, take one from cachegrid.connect()"
            raise ConfigError("the async grid", self, want)

        def __exit__(self, *error: object) -> None:
            pass
