"""`cachegrid.through`: a source behind a cache, for both colours."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast, overload

from cachegrid._core.tags import Tags
from cachegrid._core.units import Duration, patience_of, seconds_of
from cachegrid.errors import ConfigError

if TYPE_CHECKING:
    from cachegrid._aio.cache import AsyncCache
    from cachegrid._sio.cache import SyncCache
    from cachegrid.use._aio.through import AsyncThrough
    from cachegrid.use._sio.through import SyncThrough

__all__ = ["through"]


@overload
def through(
    cache: SyncCache,
    *,
    loader: Callable[[Any], Any] | None = None,
    load_many: Callable[[list[Any]], Mapping[Any, Any]] | None = None,
    writer: Callable[[dict[Any, Any]], object] | None = None,
    refusals: tuple[type[Exception], ...] = (),
    tags: Tags | Callable[[Any], Tags] = (),
    behind: Duration | None = None,
    batch: int = 500,
    queue: int = 10_000,
    retries: int | None = None,
    timeout: Duration = "5s",
) -> SyncThrough: ...
@overload
def through(
    cache: AsyncCache,
    *,
    loader: Callable[[Any], Awaitable[Any]] | None = None,
    load_many: Callable[[list[Any]], Awaitable[Mapping[Any, Any]]] | None = None,
    writer: Callable[[dict[Any, Any]], Awaitable[object]] | None = None,
    refusals: tuple[type[Exception], ...] = (),
    tags: Tags | Callable[[Any], Tags] = (),
    behind: Duration | None = None,
    batch: int = 500,
    queue: int = 10_000,
    retries: int | None = None,
    timeout: Duration = "5s",
) -> AsyncThrough: ...
def through(  # noqa: PLR0913 - settings, each with its default
    cache: SyncCache | AsyncCache,
    *,
    loader: Any = None,
    load_many: Any = None,
    writer: Any = None,
    refusals: tuple[type[Exception], ...] = (),
    tags: Tags | Callable[[Any], Tags] = (),
    behind: Duration | None = None,
    batch: int = 500,
    queue: int = 10_000,
    retries: int | None = None,
    timeout: Duration = "5s",
) -> Any:
    """
    A cache with a source behind it: reads load what is missing from there, writes go there.

    `loader(key)` gives a value, or NOTHING where the source has none; or `load_many(keys)` a mapping of what it has.
    For an async cache these, and the writer, are async functions. Raises ConfigError for what the cache cannot call.
    `writer(changes)` takes a mapping of keys to their values, or to NOTHING where they are deleted. It is called before
    the cache is changed; what it raises, its caller gets, and what the cache had is dropped, unless the error is one of
    `refusals`, by which a writer says that nothing was written.

    With `behind="2s"` it is called in the background, so long after the oldest change at the latest, with `batch`
    changes at most and of each key the newest. What fails is tried again, `retries` times or without end, with growing
    pauses. While `queue` changes wait, a caller waits for room, `timeout` at most, and gets BacklogFull then. To close
    the grid writes what is left, within `timeout`, or raises ChangesLost. What waits is in this process's memory only.
    """
    if loader is None and load_many is None and writer is None:
        raise ConfigError("through", None, "given a loader=, load_many= or writer=")
    if loader is not None and load_many is not None:
        raise ConfigError("loader", loader, "left out where load_many= is said: that loads single keys, too")
    for name, function in (("loader", loader), ("load_many", load_many), ("writer", writer)):
        if function is not None:
            _check(name, function, cache)
    _check_refusals(refusals)
    if behind is not None and writer is None:
        raise ConfigError("behind", behind, "left out where there is no writer=")
    if behind is None:
        _refuse_idle(batch=(batch, 500), queue=(queue, 10_000), retries=(retries, None), timeout=(timeout, "5s"))
    for name, number in (("batch", batch), ("queue", queue)):
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ConfigError(name, number, "a whole number from 1 on")
    if retries is not None and (not isinstance(retries, int) or isinstance(retries, bool) or retries < 0):
        raise ConfigError("retries", retries, "a whole number from 0 on, or None for as often as it takes")
    if cache.is_async:
        from cachegrid.use._aio.behind import AsyncBehind as Behind
        from cachegrid.use._aio.through import AsyncThrough as Through
    else:
        from cachegrid.use._sio.behind import SyncBehind as Behind  # type: ignore[assignment] # of the other colour
        from cachegrid.use._sio.through import SyncThrough as Through  # type: ignore[assignment] # as above
    made = None
    if behind is not None:
        made = partial(
            Behind,
            name=cache.name,
            delay=patience_of("behind", behind),
            batch=batch,
            room=queue,
            retries=retries,
            timeout=seconds_of("timeout", timeout),
        )
    return Through(
        cast("Any", cache), loader=loader, load_many=load_many, writer=writer, refusals=refusals, tags=tags, behind=made
    )


def _check_refusals(refusals: object) -> None:
    """Refuse what no error can be compared with, before there is one that nobody would hear of. Raises ConfigError."""
    for refusal in refusals if isinstance(refusals, tuple) else [refusals]:
        if not isinstance(refusal, type) or not issubclass(refusal, Exception):
            raise ConfigError("refusals", refusals, "a tuple of exceptions, such as (IntegrityError,)")


def _refuse_idle(**settings: tuple[object, object]) -> None:
    """Refuse what only those who write behind have; each with what it is where nobody says it. Raises ConfigError."""
    for name, (said, unsaid) in settings.items():
        if said != unsaid:
            raise ConfigError(name, said, "left out without behind=: it is for what is written in the background")


def _check(name: str, function: Any, cache: SyncCache | AsyncCache) -> None:
    """
    Refuse what a cache of this colour cannot call. Raises ConfigError.

    What a lambda or an object gives when it is called is seen only then, and checked again.
    """
    outer = function.func if isinstance(function, functools.partial) else function
    if not callable(function) or inspect.isgeneratorfunction(outer) or inspect.isasyncgenfunction(outer):
        raise ConfigError(name, function, "a function that returns, and no generator")
    is_async = inspect.iscoroutinefunction(outer) or inspect.iscoroutinefunction(type(function).__call__)
    if cache.is_async and not is_async:
        # What is wrapped around an async function may well give what that gives.
        is_plain = hasattr(outer, "__code__") and outer.__name__ != "<lambda>"
        is_async = not is_plain or inspect.iscoroutinefunction(inspect.unwrap(outer))
    if is_async is not cache.is_async:
        want = "an async function" if cache.is_async else "a sync function"
        raise ConfigError(name, function, f"{want}; for this one take the cache from {cache.other_way}")
