"""What transactions have written to so far: noted with what Django does on commit, which it forgets as they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final
from weakref import WeakSet

__all__ = ["forget", "is_in_transaction", "is_read", "note", "note_read", "pending"]

_IDLE: Final = 0  # the state of a connection in libpq's words
_READ: Final = "_cachegrid_read"


class Note:
    """What a transaction wrote to. Who runs hooks though nothing is committed, as tests do, drops it."""

    def __init__(self, names: frozenset[str], drop: Callable[[Iterable[str]], None]) -> None:
        self.names, self._drop = names, drop

    def __call__(self) -> None:
        self._drop(self.names)


def note(connection: Any, names: frozenset[str], drop: Callable[[Iterable[str]], None]) -> None:
    """A transaction has written to these tables; what is rolled back to a savepoint takes the note along."""
    fresh = names - pending(connection)
    if fresh:
        # In front: what the app does on commit reads what is true then.
        connection.run_on_commit.insert(0, (set(connection.savepoint_ids), Note(fresh, drop), False))


def pending(connection: Any) -> frozenset[str]:
    """The tables to which the transaction of a connection has written, and what it wrote was not rolled back."""
    if not connection.run_on_commit:
        return frozenset()
    hooks = [hook[1] for hook in connection.run_on_commit]
    return frozenset().union(*[hook.names for hook in hooks if isinstance(hook, Note)])


def forget(connection: Any) -> None:
    """What was noted is told by now, or was rolled back."""
    connection.run_on_commit = [hook for hook in connection.run_on_commit if not isinstance(hook[1], Note)]


def is_in_transaction(connection: Any) -> bool:
    """Whether a statement commits nothing by itself; also where somebody said BEGIN past Django."""
    driver = connection.connection
    if driver is None and not connection.in_atomic_block:
        return not connection.settings_dict["AUTOCOMMIT"]  # who finds what he asks for need not connect
    if connection.in_atomic_block or not connection.get_autocommit():
        return True
    if connection.vendor == "sqlite":
        return bool(getattr(driver, "in_transaction", False))
    info = getattr(driver, "info", None)
    return bool(getattr(info, "transaction_status", _IDLE) != _IDLE)


def note_read(connection: Any, cursor: Any) -> None:
    """
    A statement runs whose rows are read whenever somebody wants them.

    SQLite shows all statements that run meanwhile what that one sees, which may be old by then.
    """
    if connection.vendor == "sqlite":
        vars(connection).setdefault(_READ, WeakSet()).add(cursor)


def is_read(connection: Any) -> bool:
    """Whether there may be rows on SQLite that somebody has not read yet."""
    return any(cursor.description is not None for cursor in list(vars(connection).get(_READ, ())))
