"""What is known of a transaction: what it wrote, and what its next statement sees."""

from __future__ import annotations

import enum
from typing import Any, Final, cast
from weakref import WeakSet

from sqlalchemy.engine import Connection

__all__ = ["Sight", "Transaction", "commits_itself", "sight_of", "transaction_of", "view_of"]

# What a server's rows depend on besides the statement, where a connection has it from its engine, or from an event.
_VIEW: Final = ("search_path", "role", "timezone")
_PLACE: Final = "cachegrid"  # in the `info` of a connection, which the driver's own connection keeps in its pool


class Sight(enum.Enum):
    """What a statement sees of what others have committed before it runs."""

    ALL = enum.auto()
    PERHAPS_ALL = enum.auto()  # so that it may be given what is kept, and nobody else what it finds
    OTHER = enum.auto()


class Transaction:
    """What a transaction of a driver's connection has done so far."""

    __slots__ = ("_is_changed_for_good", "_may_be_read", "_unread", "has_run", "is_changed", "level", "view", "wrote")

    def __init__(self) -> None:
        self.level = ""  # of isolation, where no option of a connection says another one; empty until it was asked for
        self.view: tuple[str, ...] = ()  # of the server's tables; empty until it was asked for
        self._is_changed_for_good = False
        self._unread: WeakSet[Any] = WeakSet()  # cursors, also of earlier transactions
        self.begin()

    def begin(self) -> None:
        """The next one: this one was committed, or rolled back."""
        self.wrote: set[str] = set()
        self.has_run = False  # a statement: from then on there may be a snapshot
        self._may_be_read = False  # by a cursor of which nobody learns when it is gone
        self.is_changed = self._is_changed_for_good  # a setting, so that it may see other rows than others do

    def note_run(self, cursor: Any) -> None:
        """The driver runs a statement, and its rows are read whenever somebody wants them, or never."""
        self.has_run = True
        try:
            self._unread.add(cursor)
        except TypeError:
            self._may_be_read = True

    @property
    def is_read(self) -> bool:
        """Whether there may be rows that were not read yet: such a result may outlive its transaction."""
        return self._may_be_read or bool(self._unread)

    def note_setting(self, lasts: str) -> None:
        """A setting was changed, of this "transaction" or of the "connection" from here on; or none was."""
        self.is_changed |= bool(lasts)
        self._is_changed_for_good |= lasts == "connection"


def transaction_of(connection: Any) -> Transaction:
    """That of a connection, or of what a pool gave out for it."""
    try:
        info = connection.info
    except NotImplementedError:  # while a dialect finds out about its server
        return Transaction()
    found = info.get(_PLACE)
    if found is None:
        found = info[_PLACE] = Transaction()
    return cast("Transaction", found)


def sight_of(connection: Connection, about: Transaction) -> Sight:
    """
    What the next statement of a transaction sees.

    A snapshot begins with the first statement that runs: this one sees all that is committed, and later ones do not.
    A serializable transaction asks for more: the database has to know of all that it reads. SQLite's are called so, but
    its readers have snapshots and no more; and one for each statement outside of transactions, which its driver begins
    late. There a result that was not read to its end keeps its snapshot, and shares it with what is read beside it.
    """
    level, dialect = _level(connection, about), connection.dialect.name
    if level == "READ UNCOMMITTED":
        level = "READ COMMITTED" if dialect == "postgresql" else "SERIALIZABLE"  # as it means; or nobody may know
    if level in {"READ COMMITTED", "AUTOCOMMIT"}:
        return Sight.ALL
    if dialect != "sqlite":
        return Sight.OTHER if about.has_run or level == "SERIALIZABLE" else Sight.ALL
    if about.has_run and getattr(connection.connection.driver_connection, "in_transaction", True):
        return Sight.OTHER
    return Sight.PERHAPS_ALL if about.is_read else Sight.ALL


def view_of(connection: Connection, about: Transaction) -> tuple[str, ...]:
    """
    Which tables the names in a statement mean, and as whom it is run, as far as that is known.

    PostgreSQL is asked once for each connection of the driver's. What statements set later is for `vary` to say.
    """
    if connection.dialect.name != "postgresql":
        return ()
    if about.is_changed:
        return ("changed",)
    if not about.view:
        about.view = tuple([_shown(connection, setting) for setting in _VIEW])
    return about.view


def _shown(connection: Connection, setting: str) -> str:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"show {setting}")  # which begins no snapshot
        row = cursor.fetchone()
    finally:
        cursor.close()
    return str(row and row[0])


def commits_itself(connection: Connection) -> bool:
    """Whether a statement commits by itself. Where it only seems so, its commit counts, too."""
    if _option(connection) == "AUTOCOMMIT":
        return True
    driver = connection.connection.dbapi_connection
    try:
        return driver is not None and connection.dialect.detect_autocommit_setting(driver)
    except NotImplementedError:
        return _level(connection, transaction_of(connection)) == "AUTOCOMMIT"


def _level(connection: Connection, about: Transaction) -> str:
    option = _option(connection)
    if option:
        return option
    if not about.level:  # once for each connection of the driver's: what changes it later is seen as a setting
        about.level = _plain(connection.get_isolation_level())
    return about.level


def _option(connection: Connection) -> str:
    return _plain(connection.get_execution_options().get("isolation_level") or "")


def _plain(level: str) -> str:
    return level.upper().replace("_", " ")
