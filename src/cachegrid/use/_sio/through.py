# Generated from src/cachegrid/use/_aio/through.py by tools/colour.py. Edit that file, then run `make colour`.
"""A cache in front of a source: what is missing is loaded from there, and what is changed is written there."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from cachegrid._core.address import Key, unique
from cachegrid._core.miss import MISS
from cachegrid._core.tags import Tags
from cachegrid.errors import ConfigError, EntryNotFound
from cachegrid.use._sio.behind import SyncBehind
from cachegrid.use._sio.mapping import SyncThroughFace
from cachegrid.use.backlog import Backlog, ThroughStats
from cachegrid.use.nothing import NOTHING
from cachegrid.waits._sio import together

if TYPE_CHECKING:
    from cachegrid._sio.cache import SyncCache

__all__ = ["SyncThrough"]

T = TypeVar("T")


class _OtherColour(ConfigError):
    """A function is of the other colour, as was seen when it was called."""


class SyncThrough(SyncThroughFace):
    """
    A cache with a source behind it, as `cachegrid.through` makes it.

    Reads find what is in the cache, else what the source has, which is loaded once for all in the grid and kept. Writes
    go to the source: before the cache is changed or, if it writes behind, some time after.
    """

    def __init__(
        self,
        cache: SyncCache,
        *,
        loader: Callable[[Any], Any] | None = None,
        load_many: Callable[[list[Any]], Mapping[Any, Any]] | None = None,
        writer: Callable[[dict[Any, Any]], object] | None = None,
        refusals: tuple[type[Exception], ...] = (),
        tags: Tags | Callable[[Any], Tags] = (),
        behind: Callable[..., SyncBehind] | None = None,
    ) -> None:
        self.cache = cache
        self._loader, self._many, self._writer, self._refusals, self._tags = loader, load_many, writer, refusals, tags
        self._counts = Backlog(0)  # of what is written at once; nothing waits there
        self._misfit: ConfigError | None = None  # why the writer is not called any more
        self._behind: SyncBehind | None = None
        if behind is not None:
            self._behind = behind(self._call_writer, self._see_to_written, self._drop_given_up)
            cache.attach(self._behind)

    # Reading.

    def get(self, key: Key, default: Any = None) -> Any:
        """The value of a key, from the cache or the source; `default` where neither has one."""
        return (self.get_many([key])).get(key, default)

    def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """The values of those keys that the cache or the source has, in the order asked for."""
        keys = unique(keys)
        if self._loader is not None or self._many is not None:
            found: dict[Any, Any] = self.cache.get_or_load_many(keys, self._load, tags=self._tags)
            return found
        values: dict[Any, Any] = self.cache.get_many(keys)
        missing = [key for key in keys if key not in values]
        return values | self._pending(missing)[0] if missing else values

    def _load(self, keys: list[Any]) -> dict[Any, Any]:
        """What the source has, or will have when all is written."""
        # The backlog first: what was written from there since is in the source by now.
        values, keys = self._pending(keys)
        if self._many is not None and keys:
            values |= self._told(self._many, keys)
        elif self._loader is not None and keys:
            found = together([partial(self._called, self._loader, key) for key in keys])
            values |= dict(zip(keys, found, strict=True))
        return {key: value for key, value in values.items() if value is not NOTHING}

    def _told(self, load_many: Callable[[list[Any]], Any], keys: list[Any]) -> Mapping[Any, Any]:
        found = self._called(load_many, keys)
        if not isinstance(found, Mapping):
            said = f"what load_many for {self.cache.name!r} gave"
            raise ConfigError(said, found, "a mapping of each key to its value")
        return found

    def _pending(self, keys: list[Any]) -> tuple[dict[Any, Any], list[Any]]:
        """The values that wait to be written, and the keys of which nothing does; without what waits to be deleted."""
        if self._behind is None or not len(self._behind.backlog):
            return {}, keys
        found = {key: self._behind.backlog.value(key) for key in keys}
        values = {key: value for key, value in found.items() if value is not MISS and value is not NOTHING}
        return values, [key for key, value in found.items() if value is MISS]

    # Writing.

    def set(self, key: Key, value: Any) -> None:
        """Write a value to the source, and keep it; what `set_many` says of one."""
        self.set_many({key: value})

    def set_many(self, values: Mapping[Any, Any]) -> None:
        """
        Write values to the source with one call of the writer, and keep them.

        What the writer raises comes to the caller. Then the cache is as it was if it is one of `refusals`; else nobody
        knows whether something was written, and what the cache has of these keys is dropped. Who writes behind hears
        nothing of that; where there is no room for what waits, it is BacklogFull after `timeout`.
        """
        values = dict(values)
        if not values:
            return
        if self._behind is not None:
            self._behind.reserve(values)
            try:
                self._keep_all(values)
            except BaseException:
                self._behind.backlog.cancel(values)
                raise
            self._behind.put(values)
            return
        entries = together([partial(self.cache.entry, key) for key in values])
        self._write(values)
        versions = {key: None if entry is None else entry.version for key, entry in zip(values, entries, strict=True)}
        together([partial(self._keep, key, value, versions[key]) for key, value in values.items()])

    def delete(self, key: Key) -> None:
        """Let the writer delete a key in the source, and drop it; what `set_many` says holds here, too."""
        changes = {key: NOTHING}
        if self._behind is not None:
            self._behind.reserve(changes)
            # First: who loads it from here on finds that it is deleted, and who does already, keeps nothing.
            self._behind.put(changes)
        else:
            self._write(changes)
        self.cache.delete(key)

    def _write(self, changes: dict[Any, Any]) -> None:
        """Write at once. What may have been written is dropped from the cache."""
        try:
            self._call_writer(changes)
        except BaseException as error:
            self._counts.failed += len(changes)
            if not isinstance(error, self._refusals):
                self.cache.delete_many(changes)
            raise
        self._counts.written += len(changes)

    def _keep(self, key: Key, value: Any, version: bytes | None) -> None:
        """
        Keep what was written, if the entry is as it was before that.

        Else another one has written meanwhile, too, and nobody knows whose value the source has: it is loaded again.
        """
        is_kept = False
        try:
            tags = self._tags_of(key)
            if version is None:
                is_kept = self.cache.add(key, value, tags=tags)
            else:
                is_kept = self.cache.compare_and_set(key, version, value, tags=tags)
        finally:
            if not is_kept:
                self.cache.delete(key)

    def _keep_all(self, values: Mapping[Any, Any]) -> None:
        if callable(self._tags):
            together([partial(self.cache.set, key, it, tags=self._tags_of(key)) for key, it in values.items()])
        else:
            self.cache.set_many(values, tags=self._tags)

    def _tags_of(self, key: Key) -> Tags:
        return self._tags(key) if callable(self._tags) else self._tags

    def _call_writer(self, changes: dict[Any, Any]) -> None:
        if self._writer is None:
            raise ConfigError(f"the writer for {self.cache.name!r}", None, "given to `through`, for it to take changes")
        if self._misfit is not None:  # what it writes is not to be written again and again, to be refused each time
            raise self._misfit.renamed(self._misfit.name)
        try:
            self._called(self._writer, changes)
        except _OtherColour as error:
            self._misfit = error
            raise

    # Behind.

    def _see_to_written(self, changes: Mapping[Any, Any]) -> None:
        """
        Drop entries that are not what was written.

        While that waited, another process may have loaded what was there before. What is on its way is dropped along.
        """
        found = self.cache.get_many(changes)
        strange = [key for key, value in changes.items() if not _is_same(found.get(key, MISS), value)]
        # What was changed again meanwhile is looked at when that is written.
        self.cache.delete_many([key for key in strange if self._newest(key) is changes[key]])

    def _newest(self, key: Key) -> Any:
        return MISS if self._behind is None else self._behind.backlog.value(key)

    def _drop_given_up(self, key: Key) -> None:
        self.cache.delete(key)

    def flush(self, timeout: float = 5.0) -> bool:
        """Write now what waits to be written; whether all of it was, in so many seconds."""
        return self._behind is None or self._behind.drain(timeout)

    def stats(self) -> ThroughStats:
        """What this process has written, and what of it waits."""
        return (self._counts if self._behind is None else self._behind.backlog).stats(time.monotonic())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.cache!r})"

    def _read(self, key: Key) -> Any:
        """The value of a key. Raises EntryNotFound."""
        value = self.get(key, MISS)
        if value is MISS:
            raise EntryNotFound(self.cache.name, key)
        return value

    def _called(self, function: Callable[..., T], *args: Any) -> T:
        """What a loader or a writer gives. Raises ConfigError for one of the other colour."""
        made = function(*args)
        if inspect.isawaitable(made) is not self.cache.is_async:
            if inspect.iscoroutine(made):
                made.close()  # else it is told, much later, that nobody awaited it
            want = "an async function" if self.cache.is_async else "a sync function"
            want = f"{want}; for this one take the cache from {self.cache.other_way}"
            raise _OtherColour(f"what {self.cache.name!r} loads and writes with", function, want)
        return made


def _is_same(found: Any, value: Any) -> bool:
    if found is MISS or value is NOTHING:
        return False
    try:
        return bool(found == value)
    except Exception:  # noqa: BLE001 - whatever a class does against it, such as an array
        return False
