"""What stands around the commits of an engine, however they come about."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection, Dialect

from cachegrid.integrations._queries.drops import ALL, Drops, RefusedCommit
from cachegrid.integrations.sqlalchemy.transactions import transaction_of

__all__ = ["Commits"]


class Commits:
    """Tells the grid of what is committed by a dialect, before and after."""

    def __init__(self, dialect: Dialect, drops: Drops) -> None:
        self._dialect, self._drops = dialect, drops

    def begin(self) -> None:
        """Take the place of what commits: there is an event before it, and none after it; nor one for all rollbacks."""
        own: Any = self._dialect
        self._commit, self._rollback, self._commit_twophase = own.do_commit, own.do_rollback, own.do_commit_twophase
        own.do_commit, own.do_rollback = self._on_commit, self._on_rollback
        own.do_commit_twophase = self._on_commit_twophase

    def run(self, commit: Callable[[], Any], wrote: set[str], connection: Any) -> None:
        """Do what commits writes to these tables, on a connection of the pool. Raises what the grid does, before it."""
        try:
            with self._drops.around(wrote, partial(self._is_undone, connection)):
                commit()
        except RefusedCommit as refused:
            raise refused.trouble from None

    def _on_commit(self, connection: Any) -> None:
        about = transaction_of(connection)
        try:
            with self._drops.around(about.wrote, partial(self._is_undone, connection)):
                self._commit_surely(connection)
        except RefusedCommit as refused:
            self._dialect.do_rollback(connection)  # else it would be committed along with the next one
            raise refused.trouble from None
        about.begin()

    def _commit_surely(self, connection: Any) -> None:
        """Commit; where that fails, and the connection is there still, nothing is left to be committed later."""
        try:
            self._commit(connection)
        except Exception as error:
            if self._is_undone(connection, error):
                self._dialect.do_rollback(connection)  # some databases would let the transaction go on
            raise

    def _on_rollback(self, connection: Any) -> None:
        self._rollback(connection)
        transaction_of(connection).begin()

    def _on_commit_twophase(
        self,
        connection: Connection,
        xid: Any,
        is_prepared: bool = True,  # noqa: FBT001, FBT002 - as its base has it
        recover: bool = False,  # noqa: FBT001, FBT002 - as its base has it
    ) -> None:
        about = transaction_of(connection)
        # What was prepared by a process that is gone may have written anything.
        wrote = {ALL} if recover else about.wrote
        self.run(partial(self._commit_twophase, connection, xid, is_prepared, recover), wrote, connection.connection)
        about.begin()

    def _is_undone(self, connection: Any, error: BaseException) -> bool:
        """Whether an error of a commit says that nothing was committed; not so where the connection is lost."""
        driver = self._dialect.loaded_dbapi
        return isinstance(error, driver.Error) and not self._dialect.is_disconnect(error, connection, None)
