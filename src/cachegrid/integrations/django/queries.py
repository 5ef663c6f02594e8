"""Results of the ORM, kept in a grid until a transaction commits that wrote to one of their tables."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.db import connections
from django.db.models import Manager, Model, QuerySet

from cachegrid import Key
from cachegrid.errors import ConfigError, EngineError, LoadFailed
from cachegrid.integrations._queries.drops import ALL, Written
from cachegrid.integrations.django.backend import CacheGridCache
from cachegrid.integrations.django.commits import alias, drops_of
from cachegrid.integrations.django.effects import KEEPS, names_of
from cachegrid.integrations.django.notes import is_in_transaction, is_read, pending
from cachegrid.integrations.django.statements import alone, ambient, digest_of, statement_of
from cachegrid.integrations.django.tables import read_in

__all__ = ["acached", "cached"]

APP = "cachegrid.integrations.django"
Load: TypeAlias = Callable[[], list[Any]]


def cached(
    queryset: QuerySet[Any],
    *,
    ttl: Any = DEFAULT_TIMEOUT,
    tables: type[Model] | str | Iterable[type[Model] | str] = (),
    tags: str | Iterable[str] = (),
    vary: Any = (),
) -> list[Any]:
    """
    The rows of a queryset, as a list: from the grid, or from the database, once for all who ask at the same time.

    Dropped in every process when a transaction commits that wrote to a table which the statement names, or that is
    named in `tables`; or by `invalidate` of a tag. `ttl` is seconds or text such as "5m", and `vary` says who asks,
    where the database answers users differently. A transaction reads what it has written itself, and lets nothing be
    kept that others could not see. Raises ConfigError where INSTALLED_APPS lack this app, or where more tables are
    read than are named, as with `prefetch_related`, and for what is no queryset; KeyRefused where a part of it cannot
    be in a key.
    """
    if not isinstance(queryset, (QuerySet, Manager)):
        want = "a queryset, such as User.objects.all(); a number such as count() gives is none, nor are rows of raw()"
        raise ConfigError("what is to be cached", queryset, want)
    if not apps.is_installed(APP):
        raise ConfigError("INSTALLED_APPS", "without it", f"with {APP!r}, which sees what is written")
    queryset = alone(queryset).using(queryset.db)  # a router may choose another one each time
    connection = connections[queryset.db]
    statement = statement_of(queryset)
    if statement is None:
        return []
    names = read_in(statement.sql) | names_of(tables)
    if not names:
        raise ConfigError("the tables of a queryset", None, "those of models in INSTALLED_APPS: others are not seen")
    load = _loader(queryset, statement.sql, names)
    written = pending(connection)
    if queryset.query.select_for_update or ALL in written or names & written:
        return load()

    cache = _cache()
    # `make_key` has what an app says of all its keys, such as whose site it is.
    more = cache.make_key("rows"), vary, sorted(names), ambient(queryset, names)
    key = ("rows", queryset.db, digest_of(queryset, statement, *more))
    is_within = is_in_transaction(connection)
    if is_within or is_read(connection):
        found: list[Any] | None = cache.native.get(key)
        if found is not None:
            return found
        # Who holds locks in the database waits for nobody, who may wait for those.
        if written or not is_within or not _sees_what_is_committed(connection):
            return load()
    seconds = cache.get_backend_timeout() if ttl is DEFAULT_TIMEOUT else ttl
    if seconds == 0:  # as Django says that nothing shall be kept
        return load()
    others = [tags] if isinstance(tags, str) else tags
    return _kept(cache, key, load, names, ttl=seconds, tags=others)


acached = sync_to_async(cached)  # as the ORM itself: in a thread


def _cache() -> CacheGridCache:
    found = caches[alias()]
    if not isinstance(found, CacheGridCache):
        raise ConfigError("CACHEGRID_QUERIES", alias(), "the name of a cache in CACHES that is kept on a grid")
    return found


def _kept(
    cache: CacheGridCache, key: Key, load: Load, names: frozenset[str], *, ttl: Any, tags: Iterable[str]
) -> list[Any]:
    """What is kept, or what the database has, then kept; while that is being written it is not."""
    native, drops = cache.native, drops_of(cache)
    if drops.is_busy(names):
        # Those who wait for one who may not keep what he reads would read one after the other.
        found: list[Any] | None = native.get(key)
        if found is not None:
            return found
        if _is_written(cache, names):
            return load()

    def load_to_keep() -> list[Any]:
        # After the epochs of the tags were noted, and before the statement: see `Drops`.
        if _is_written(cache, names):
            raise Written
        return load()

    try:
        return native.get_or_load(key, load_to_keep, ttl=ttl, tags=[*map(drops.tag, (*names, ALL)), *tags])
    except Written:
        return load()
    except LoadFailed as failed:
        if Written.is_told_by(failed):
            return load()
        raise


def _is_written(cache: CacheGridCache, names: frozenset[str]) -> bool:
    try:
        return drops_of(cache).is_written(names)
    except EngineError:
        if cache.native.policy.on_outage == "load":
            return True
        raise


def _loader(queryset: Any, sql: str, names: frozenset[str]) -> Load:
    asker = threading.get_ident()

    def load() -> list[Any]:
        connection = connections[queryset.db]
        mark = KEEPS.set(True)
        try:
            with connection.execute_wrapper(_only(sql, names)):
                return list(queryset.all())
        finally:
            KEEPS.reset(mark)
            if threading.get_ident() != asker:
                connection.close()  # of a thread that loads in the background, and has nobody else to close it

    return load


def _only(known: str, names: frozenset[str]) -> Callable[..., Any]:
    """Refuses to read what nobody would know of when it is written; what others add to a known statement is theirs."""

    def execute(execute: Callable[..., Any], sql: Any, params: Any, many: Any, context: Any) -> Any:
        text = sql if isinstance(sql, str) else str(sql)
        more = frozenset() if known in text else read_in(text) - names
        if more:
            want = f"named, as in cached(..., tables={sorted(more | names)}): it is read, too"
            raise ConfigError("a table of this queryset", ", ".join(sorted(more)), want)
        return execute(sql, params, many, context)

    return execute


def _sees_what_is_committed(connection: Any) -> bool:
    """Whether each statement of a transaction sees all that was committed before it, not what was at the begin."""
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        return bool(cursor.fetchone()[0] == "read committed")
