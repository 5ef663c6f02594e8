"""Sees what is written to which table, and has what was made of it dropped when that is committed."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.signals import connection_created
from django.db.models import Model

from cachegrid.integrations.django import commits
from cachegrid.integrations.django.effects import changed_by, names_of
from cachegrid.integrations.django.notes import forget, is_in_transaction, note, note_read
from cachegrid.integrations.django.tables import ends_in

__all__ = ["begin", "changed"]


def begin() -> None:
    """Watch every connection of this process, those that are there and those to come."""
    connection_created.connect(_watch, dispatch_uid=__name__)
    for connection in connections.all(initialized_only=True):
        _watch(connection=connection)


def changed(*models: type[Model] | str, using: str = DEFAULT_DB_ALIAS) -> None:
    """
    Drop what was read of the tables of these models, for everybody: when the transaction commits, or else now.

    For what Django does not see: another program, a trigger, or `COPY` past its cursors. `using` is the database whose
    transaction it is.
    """
    connection, names = connections[using], names_of(models)
    if is_in_transaction(connection):
        note(connection, names, commits.drop)
    else:
        commits.drop(names)


def _watch(*, connection: Any, **_: Any) -> None:
    commits.begin(connection)
    if _execute not in connection.execute_wrappers:
        # In front: a connection may be opened within `execute_wrapper` of another, which takes off the last one.
        connection.execute_wrappers.insert(0, _execute)
    if "make_cursor" not in vars(connection):
        connection.make_cursor = partial(_cursor, connection.make_cursor)
        connection.make_debug_cursor = partial(_cursor, connection.make_debug_cursor)


def _cursor(make: Callable[[Any], Any], cursor: Any) -> Any:
    made = make(cursor)
    kind: Any = type(made)
    made.__class__ = _calling(kind)
    return made


@lru_cache(maxsize=16)
def _calling(kind: type[Any]) -> type[Any]:
    """The same kind of cursor, of which procedures are seen when they are called: Django's wrappers are not told."""

    def callproc(cursor: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        word = "select" if cursor.db.vendor == "postgresql" else "call"  # as the drivers do
        text = f"{word} {name}()"
        return _run(cursor.db, text, partial(kind.callproc, cursor, name, *args, **kwargs))

    return type(kind.__name__, (kind,), {"callproc": callproc, "__module__": kind.__module__})


def _execute(execute: Callable[..., Any], sql: Any, params: Any, many: Any, context: dict[str, Any]) -> Any:
    connection = context["connection"]
    note_read(connection, context["cursor"].cursor)
    text = sql if isinstance(sql, str) else str(sql)
    return _run(connection, text, partial(execute, sql, params, many, context))


def _run(connection: Any, text: str, run: Callable[[], Any]) -> Any:
    names = changed_by(connection, text)
    if not names:
        return _ended(connection, ends_in(text), run)
    if not is_in_transaction(connection):
        with commits.around(connection, names):
            return run()
    try:
        return run()
    finally:
        note(connection, names, commits.drop)  # also where it failed: of many rows some may have been written


def _ended(connection: Any, how: str, run: Callable[[], Any]) -> Any:
    """Run what writes nothing, and may end a transaction past Django."""
    if how == "commit":
        return commits.commit(connection, run)
    done = run()
    if how == "rollback":
        forget(connection)
    return done
