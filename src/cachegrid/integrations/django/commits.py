"""What stands around the commits of Django's connections, so that a crash leaves nothing old in the grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, Final

from django.conf import settings
from django.core.cache import caches
from django.db import Error, InterfaceError, OperationalError

from cachegrid import SyncCache
from cachegrid.integrations._queries.drops import Drops, RefusedCommit, marks_in
from cachegrid.integrations.django.backend import CacheGridCache
from cachegrid.integrations.django.grids import LoopPlace
from cachegrid.integrations.django.notes import forget, pending
from cachegrid.units import seconds_of

__all__ = ["alias", "around", "begin", "commit", "drop", "drops_of"]

_MARKS: Final = "django-writes"  # the cache of marks
_WITHIN: Final = 30.0  # seconds that a COMMIT may take
_NAME: Final = "CACHEGRID_COMMIT_WITHIN"


def alias() -> str:
    """The name in CACHES of the cache that keeps what is read of tables."""
    return str(getattr(settings, "CACHEGRID_QUERIES", "default"))


def drops_of(cache: CacheGridCache) -> Drops:
    """What drops the rows that a cache keeps. Raises ConfigError for a time that is none."""
    return _drops(cache.place, cache.native, seconds_of(_NAME, getattr(settings, _NAME, _WITHIN)))


@lru_cache(maxsize=4)
def _drops(place: LoopPlace, cache: SyncCache, within: float) -> Drops:
    return Drops(_itself, marks_in(place.grid(), _MARKS), [cache], cache.name, within)


def _itself(result: Any) -> Any:
    return result


def _drops_here() -> Drops | None:
    """None where nothing is kept, as where an app is tested."""
    cache = caches[alias()]
    return drops_of(cache) if isinstance(cache, CacheGridCache) else None


def drop(names: Iterable[str]) -> None:
    """Drop what is kept of these tables, now."""
    drops = _drops_here()
    if drops is not None:
        drops.drop(names)


def begin(connection: Any) -> None:
    """Take the place of what commits, whoever asks for it."""
    if "_commit" not in vars(connection):
        connection._commit = partial(commit, connection, connection._commit)
        connection._set_autocommit = partial(_set_autocommit, connection, connection._set_autocommit)


def commit(connection: Any, run: Callable[[], Any]) -> Any:
    """Do what commits a transaction. Raises what the grid does, before it; then it is rolled back."""
    names = pending(connection)
    if not names:
        return run()
    try:
        with _told(connection, names):
            done = run()
    except RefusedCommit as refused:
        connection.rollback()
        raise refused.trouble from None
    forget(connection)
    return done


def _set_autocommit(connection: Any, run: Callable[[bool], None], autocommit: bool) -> None:  # noqa: FBT001 - Django's
    if autocommit:
        commit(connection, partial(run, autocommit))  # as some drivers do then
    else:
        run(autocommit)


@contextmanager
def around(connection: Any, names: Iterable[str]) -> Iterator[None]:
    """Around a statement that commits by itself. Raises what the grid does, before it."""
    try:
        with _told(connection, names):
            yield
    except RefusedCommit as refused:
        raise refused.trouble from None


@contextmanager
def _told(connection: Any, names: Iterable[str]) -> Iterator[None]:
    drops = _drops_here()
    if drops is None:
        yield
        return
    with drops.around(names, partial(_is_over, connection)):
        yield


def _is_over(connection: Any, error: BaseException) -> bool:
    """Whether nothing is under way any more after an error; not so where the connection is lost."""
    if connection.connection is None:
        return False
    closed = getattr(connection.connection, "closed", None)
    if closed is not None or connection.vendor == "sqlite" or not isinstance(error, Error):
        return not closed
    return not isinstance(error, (OperationalError, InterfaceError))
