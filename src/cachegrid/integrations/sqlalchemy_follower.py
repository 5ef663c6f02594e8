"""What stands between an engine and its driver: it sees what is written, and lets a grid answer what is selected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal

from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect, Engine, ExecutionContext
from sqlalchemy.engine.interfaces import DBAPICursor

from cachegrid import AsyncGrid, SyncGrid
from cachegrid.errors import ConfigError
from cachegrid.integrations.sqlalchemy_answers import Answers, Execution
from cachegrid.integrations.sqlalchemy_statements import ALL, effect_of, is_noting, noting
from cachegrid.integrations.sqlalchemy_transactions import commits_itself, transaction_of
from cachegrid.integrations.sqlalchemy_writes import Drops, RefusedCommit, waiter

__all__ = ["Follower", "is_followed"]


def is_followed(dialect: Dialect) -> bool:
    """Whether a follower has begun to listen there."""
    return is_noting(dialect.statement_compiler)


class Follower:
    """Follows the transactions of an engine. It listens below sessions, so that nothing is written past it."""

    def __init__(
        self,
        engine: Engine,
        grid: SyncGrid | AsyncGrid,
        database: str,
        caches: Iterable[str],
        within: float,
        effects: Mapping[str, Iterable[str]],
    ) -> None:
        dialect = self._dialect = engine.dialect
        if isinstance(grid, AsyncGrid) is not dialect.is_async:
            way = "cachegrid.aconnect()" if dialect.is_async else "cachegrid.connect()"
            raise ConfigError(f"the grid for {engine!r}", grid, f"one of {way}")
        if not database or ":" in database:
            raise ConfigError("database", database, "a name for the database, the same in all processes, without ':'")
        if not within > 0:
            raise ConfigError("commit_within", within, "more than 0 seconds")
        opened = {name: grid.cache(name) for name in caches}
        self._effects = {table.lower(): frozenset(map(str.lower, more)) for table, more in effects.items()}
        self._drops = Drops(waiter(dialect.is_async), grid, list(opened.values()), database, within)
        self._answers = Answers(dialect, opened, self._drops, database, engine.url.username)

    def begin(self, engine: Engine) -> None:
        """Listen from now on. Raises ConfigError where somebody does already."""
        dialect = self._dialect
        if is_followed(dialect):
            raise ConfigError("the engine", engine, "one that `follow` was not called for before")
        dialect.statement_compiler = noting(dialect.statement_compiler)
        engine.clear_compiled_cache()  # of what was compiled without notes
        event.listen(engine, "begin", _begun)
        event.listen(engine, "do_execute", self._on_execute)
        event.listen(engine, "do_executemany", self._on_executemany)
        event.listen(engine, "do_execute_no_params", self._on_execute_no_params)
        # There is an event before a commit, and none after it; nor one for all that is rolled back.
        self._commit, self._rollback = dialect.do_commit, dialect.do_rollback
        self._commit_twophase = dialect.do_commit_twophase
        own: Any = dialect
        own.do_commit, own.do_rollback = self._on_commit, self._on_rollback
        own.do_commit_twophase = self._on_commit_twophase

    # Commits.

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
        try:
            with self._drops.around(wrote, partial(self._is_undone, connection.connection)):
                self._commit_twophase(connection, xid, is_prepared, recover)
        except RefusedCommit as refused:
            raise refused.trouble from None
        about.begin()

    def _is_undone(self, connection: Any, error: BaseException) -> bool:
        """Whether an error of a commit says that nothing was committed; not so where the connection is lost."""
        driver = self._dialect.loaded_dbapi
        return isinstance(error, driver.Error) and not self._dialect.is_disconnect(error, connection, None)

    # Statements.

    def _on_execute(
        self, cursor: DBAPICursor, statement: str, parameters: Any, context: ExecutionContext
    ) -> Literal[True] | None:
        run = partial(self._dialect.do_execute, cursor, statement, parameters, context)
        execution = Execution(cursor, statement, parameters, context, run)
        return self._execute(execution, self._answers.give)

    def _on_executemany(
        self, cursor: DBAPICursor, statement: str, parameters: Any, context: ExecutionContext
    ) -> Literal[True] | None:
        run = partial(self._dialect.do_executemany, cursor, statement, parameters, context)
        return self._execute(Execution(cursor, statement, parameters, context, run))

    def _on_execute_no_params(
        self, cursor: DBAPICursor, statement: str, context: ExecutionContext
    ) -> Literal[True] | None:
        run = partial(self._dialect.do_execute_no_params, cursor, statement, context)
        return self._execute(Execution(cursor, statement, (), context, run))

    def _execute(self, it: Execution, answer: Callable[..., bool] | None = None) -> Literal[True] | None:
        """Note what a statement does, and answer it if that can be; None leaves it to the driver."""
        connection = it.context.root_connection
        about, effect = transaction_of(connection), effect_of(it.context, it.statement)
        about.note_setting(effect.sets)
        if not (effect.writes or effect.ends):
            if answer is not None and answer(it, effect, about):
                return True
            about.has_run = True
            return None
        about.has_run = True
        about.wrote |= self._changed(effect.writes)
        if not effect.ends and not commits_itself(connection):
            return None
        try:
            with self._drops.around(about.wrote, partial(self._is_undone, connection.connection)):
                it.run()
        except RefusedCommit as refused:
            raise refused.trouble from None
        return True

    def _changed(self, tables: Iterable[str]) -> set[str]:
        """The tables, and those that change along with them."""
        found = todo = set(tables)
        while todo:
            todo = {more for table in todo for more in self._effects.get(table, ())} - found
            found = found | todo
        return found


def _begun(connection: Connection) -> None:
    if commits_itself(connection):  # then nothing need say that the last one has ended
        transaction_of(connection).begin()
