"""What stands between an engine and its driver: it sees what is written, and lets a grid answer what is selected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Literal

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExecutionContext
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.ext.asyncio import AsyncEngine

from cachegrid import AsyncCache, AsyncGrid, SyncCache, SyncGrid
from cachegrid.errors import ConfigError
from cachegrid.integrations._queries.drops import ALL, Drops, marks_in, with_effects
from cachegrid.integrations._queries.functions import Ask, Functions
from cachegrid.integrations.sqlalchemy.answers import Answers, Execution
from cachegrid.integrations.sqlalchemy.commits import Commits
from cachegrid.integrations.sqlalchemy.known import Known
from cachegrid.integrations.sqlalchemy.noting import effect_of, is_followed, noting
from cachegrid.integrations.sqlalchemy.options import said_of, several
from cachegrid.integrations.sqlalchemy.tables import Named, bare, names_of
from cachegrid.integrations.sqlalchemy.transactions import commits_itself, transaction_of
from cachegrid.integrations.sqlalchemy.waiting import waiter

__all__ = ["follow"]

_MARKS: Final = "sqlalchemy-writes"  # the cache of marks


def follow(
    engine: Engine | AsyncEngine,
    grid: SyncGrid | AsyncGrid,
    *,
    database: str,
    caches: str | Iterable[str] = "queries",
    effects: Mapping[str, Named | Iterable[Named]] | None = None,
    commit_within: float = 30.0,
) -> None:
    """
    Let what an engine selects be kept in a grid, and drop it when a transaction of this engine that wrote commits.

    Every process that writes to the database does this, with the same `database`, which names it whatever
    it is reached by, and the same `caches`: all those that `cached` names anywhere. An AsyncEngine takes a grid of
    `aconnect()`. `effects` says which tables change along with others, by triggers, or since they are views:
    `{"orders": ["order_totals"]}`; foreign keys that cascade are known. It also says what a function writes to that is
    selected: `{"place_order": ["orders"]}`. A COMMIT may take `commit_within` seconds, and hosts' clocks may differ by
    as much.

    A commit of a transaction that wrote raises EngineError, and rolls back, where the grid cannot be told, unless the
    policy of one of the caches has `on_outage="load"`. Raises ConfigError for an engine that is followed already.
    """
    engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    if not isinstance(engine, Engine):
        want = "that of create_engine or create_async_engine, not an URL, a connection, or what makes sessions"
        raise ConfigError("the engine to follow", engine, want)
    follower = _Follower(engine, grid, database, several(caches), commit_within, effects or {})
    follower.begin(engine)


class _Follower:
    """Follows the transactions of an engine. It listens below sessions, so that nothing is written past it."""

    def __init__(
        self,
        engine: Engine,
        grid: SyncGrid | AsyncGrid,
        database: str,
        caches: Iterable[str],
        within: float,
        effects: Mapping[str, Named | Iterable[Named]],
    ) -> None:
        dialect = self._dialect = engine.dialect
        if not isinstance(grid, AsyncGrid if dialect.is_async else SyncGrid):
            way = "cachegrid.aconnect()" if dialect.is_async else "cachegrid.connect()"
            raise ConfigError(f"the grid for {engine!r}", grid, f"one of {way}")
        if not database or ":" in database:
            raise ConfigError("database", database, "a name for the database, the same in all processes, without ':'")
        if not within > 0:
            raise ConfigError("commit_within", within, "more than 0 seconds")
        opened = {name: _opened(grid, name) for name in caches}
        self._effects = {bare(table): names_of(more, "a table of effects") for table, more in effects.items()}
        self._functions = Functions("the effects of `follow`")
        self._known = Known([*self._effects, *frozenset().union(*self._effects.values())])
        drops = Drops(waiter(dialect.is_async), marks_in(grid, _MARKS), list(opened.values()), database, within)
        self._commits = Commits(dialect, drops)
        self._answers = Answers(dialect, opened, drops, self._known, database, engine.url.username)

    def begin(self, engine: Engine) -> None:
        """Listen from now on. Raises ConfigError where somebody does already."""
        dialect = self._dialect
        if is_followed(dialect):
            raise ConfigError("the engine", engine, "one that `follow` was not called for before")
        dialect.statement_compiler = noting(dialect.statement_compiler, self._known)
        engine.clear_compiled_cache()  # of what was compiled without notes
        event.listen(engine, "begin", _begun)
        event.listen(engine, "do_execute", self._on_execute)
        event.listen(engine, "do_executemany", self._on_executemany)
        event.listen(engine, "do_execute_no_params", self._on_execute_no_params)
        self._commits.begin()

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
        writes = effect.writes
        if effect.calls and ALL not in writes:
            is_read = said_of(it.context).is_explicit
            writes |= self._functions.written_by(effect.calls, self._effects, _asking(connection), is_read=is_read)
        if not (writes or effect.ends):
            if answer is not None and answer(it, effect, about):
                return True
            about.note_run(it.cursor)
            return None
        about.note_run(it.cursor)
        about.wrote |= with_effects(writes, self._effects)
        if not effect.ends and not commits_itself(connection):
            return None
        self._commits.run(it.run, about.wrote, connection.connection)
        return True


def _opened(grid: SyncGrid | AsyncGrid, name: str) -> SyncCache | AsyncCache:
    cache = grid.cache(name)
    policy = cache.policy
    if policy.codec not in {"plain", "pickle"}:
        raise ConfigError(f"the codec of cache {cache.name!r}", policy.codec, '"plain" or "pickle", to keep rows')
    if policy.grace is not None or policy.early:
        want = "without grace and early: a statement runs only while its transaction lasts"
        raise ConfigError(f"the policy of cache {cache.name!r}", policy, want)
    return cache


def _asking(connection: Connection) -> Ask | None:
    """What asks the server of a connection about functions, if it knows."""
    return partial(_asked, connection) if connection.dialect.name == "postgresql" else None


def _asked(connection: Connection, question: str) -> set[str]:
    transaction_of(connection).has_run = True
    cursor = connection.connection.cursor()
    try:
        cursor.execute(question)
        return {row[0] for row in cursor.fetchall()}
    finally:
        cursor.close()


def _begun(connection: Connection) -> None:
    if commits_itself(connection):  # then nothing need say that the last one has ended
        transaction_of(connection).begin()
