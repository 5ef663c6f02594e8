"""Sees what is written to which table, and drops what was made of it when that is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.signals import connection_created
from django.db.models import Model

from cachegrid.errors import ConfigError
from cachegrid.integrations.django.backend import CacheGridCache
from cachegrid.integrations.django.tables import tables, written_in

__all__ = ["alias", "begin", "changed", "names_of", "pending", "tag_of"]


def alias() -> str:
    """The name in CACHES of the cache that keeps what is read of tables."""
    return str(getattr(settings, "CACHEGRID_QUERIES", "default"))


def begin() -> None:
    """Watch every connection of this process, those that are there and those to come."""
    connection_created.connect(_watch, dispatch_uid=__name__)
    for connection in connections.all(initialized_only=True):
        _watch(connection=connection)


def pending(connection: Any) -> frozenset[str]:
    """The tables to which the transaction of a connection has written, and what it wrote was not rolled back."""
    hooks = [hook[1] for hook in connection.run_on_commit]
    return frozenset().union(*[hook.names for hook in hooks if isinstance(hook, _Drop)])


def changed(*models: type[Model] | str, using: str = DEFAULT_DB_ALIAS) -> None:
    """
    Drop what was read of the tables of these models, for everybody: when the transaction commits, or else now.

    For what Django does not see: another program, a trigger, `COPY`, or a transaction that is managed by hand. `using`
    is the database whose transaction it is.
    """
    _note(connections[using], names_of(models))


def names_of(models: type[Model] | str | Iterable[type[Model] | str]) -> frozenset[str]:
    """The names of tables, given as models or by name. Raises ConfigError for one that no model has."""
    several = models if isinstance(models, Iterable) and not isinstance(models, str) else [models]
    return frozenset([_name_of(model) for model in several])


def _name_of(model: type[Model] | str) -> str:
    name = model if isinstance(model, str) else getattr(getattr(model, "_meta", None), "db_table", None)
    if name not in tables():
        raise ConfigError("a table", model, "that of a model, or the model: writes to others are not seen")
    return str(name)


def tag_of(name: str) -> str:
    """What entries carry that were made of a table."""
    return f"table:{name}"


class _Drop:
    """What has to be done when a transaction is committed."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def __call__(self) -> None:
        cache = caches[alias()]
        if self.names and isinstance(cache, CacheGridCache):  # else nothing is kept, as where an app is tested
            cache.invalidate([tag_of(name) for name in self.names])


def _watch(*, connection: Any, **_: Any) -> None:
    if _execute not in connection.execute_wrappers:
        # In front: a connection may be opened within `execute_wrapper` of another, which takes off the last one.
        connection.execute_wrappers.insert(0, _execute)


def _execute(execute: Callable[..., Any], sql: Any, params: Any, many: Any, context: dict[str, Any]) -> Any:
    try:
        return execute(sql, params, many, context)
    finally:
        # Also where it failed: of many rows some may have been written.
        names = written_in(sql if isinstance(sql, str) else str(sql))
        if names:
            _note(context["connection"], names)


def _note(connection: Any, names: frozenset[str]) -> None:
    """Drop when the transaction is committed; at once where it is by now, or where nobody would tell."""
    fresh = _Drop(names - pending(connection))
    if not connection.in_atomic_block:
        fresh()
    elif fresh.names:
        transaction.on_commit(fresh, using=connection.alias)
        # To the front: what the app does on commit reads what is true then.
        connection.run_on_commit.insert(0, connection.run_on_commit.pop())
