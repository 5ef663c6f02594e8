"""Statements that are answered from a grid: which may be, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy.engine import Dialect, ExecutionContext
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.util import greenlet_spawn

from cachegrid import AsyncCache, Key, SyncCache
from cachegrid.errors import (
    CacheError,
    ConfigError,
    EngineError,
    EngineTimeout,
    KeyRefused,
    LoadFailed,
    Unreachable,
    ValueRefused,
    ValueTooLarge,
)
from cachegrid.integrations._queries.drops import ALL, Drops, Written
from cachegrid.integrations.sqlalchemy.effects import Effect
from cachegrid.integrations.sqlalchemy.known import Known
from cachegrid.integrations.sqlalchemy.options import Plan, said_of
from cachegrid.integrations.sqlalchemy.results import Rows, key_of, refusal, rows_of
from cachegrid.integrations.sqlalchemy.transactions import Sight, Transaction, sight_of, transaction_of, view_of
from cachegrid.integrations.sqlalchemy.waiting import waiter

__all__ = ["Answers", "Execution"]

_MISS: Final = object()


class Execution(NamedTuple):
    """A statement on its way to the driver; `run` hands it over."""

    cursor: DBAPICursor
    statement: str
    parameters: Any
    context: ExecutionContext
    run: Callable[[], Any]


class _Asked(NamedTuple):
    """A statement whose result may be kept, and where."""

    it: Execution
    cache: SyncCache | AsyncCache
    key: Key
    plan: Plan
    tables: frozenset[str]


class _Unkept(Exception):
    """What was read cannot be kept."""

    def __init__(self, error: CacheError, rows: Rows) -> None:
        self.error, self.rows = error, rows


class Answers:
    """Answers statements of one database with rows that are kept in a grid."""

    def __init__(
        self,
        dialect: Dialect,
        caches: Mapping[str, SyncCache | AsyncCache],
        drops: Drops,
        known: Known,
        database: str,
        user: str | None,
    ) -> None:
        self._dialect, self._caches, self._drops, self._known = dialect, caches, drops, known
        self._database, self._user = database, user
        self._wait = waiter(dialect.is_async)

    def give(self, it: Execution, effect: Effect, about: Transaction) -> bool:
        """Whether a statement was answered: then its result is there as if the driver had it."""
        plan, is_explicit = said_of(it.context)
        if plan is None:
            return False
        tables = effect.reads | plan.tables
        try:
            if not self._may_be_kept(it, plan, effect, about, tables):
                return False
            sight = sight_of(it.context.root_connection, about)
            if sight is Sight.OTHER:
                return False
            cache = self._cache(plan)
            self._known.doubt(plan.told)
            who = self._user, view_of(it.context.root_connection, about)
            key = key_of(self._dialect, self._database, who, it.statement, it.parameters, plan)
            asked = _Asked(it, cache, key, plan, tables)
            # Who holds locks in the database waits for nobody, who may wait for those.
            rows = self._found(asked) if about.wrote or sight is not Sight.ALL else self._rows(asked)
        except (ConfigError, KeyRefused):
            if is_explicit:
                raise
            return False
        except _Unkept as unkept:
            if is_explicit:
                raise unkept.error from unkept.error.__cause__
            rows = unkept.rows
        if rows is None:
            return False
        context: Any = it.context  # of which the protocol says less than all have
        context.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(it.cursor, rows.description, rows.tuples())
        return True

    def _cache(self, plan: Plan) -> SyncCache | AsyncCache:
        cache = self._caches.get(plan.cache)
        if cache is None:
            want = f"one of those that `follow` was told of: {', '.join(self._caches)}"
            raise ConfigError("the cache of a statement", plan.cache, want)
        return cache

    def _may_be_kept(
        self, it: Execution, plan: Plan, effect: Effect, about: Transaction, tables: frozenset[str]
    ) -> bool:
        """Whether the rows that this transaction would see are those that any other would see, too."""
        options = it.context.execution_options
        if not effect.is_shareable or options.get("stream_results") or options.get("yield_per"):
            return False
        if not plan.tables and (not effect.is_known or not tables):
            want = "a statement whose tables are known; a text has none: say cached(..., tables=[...])"
            raise ConfigError("a cached statement", it.statement, want)
        if ALL in about.wrote or not about.wrote.isdisjoint(tables):
            return False
        return not about.is_changed or plan.vary != ()

    def _found(self, asked: _Asked) -> Rows | None:
        """What is kept, if it is."""
        found = self._wait(asked.cache.get(asked.key, _MISS))
        return None if found is _MISS else Rows(*found)

    def _rows(self, asked: _Asked) -> Rows | None:
        """What is kept, or what the database has, then kept; None where it cannot be kept now."""
        goes_on = asked.cache.policy.on_outage == "load"
        if goes_on or self._drops.is_busy(asked.tables):
            # Those who wait for one who may not keep what he reads would get it, too, or read one after the other.
            try:
                found = self._found(asked)
                if found is not None or self._drops.is_written(asked.tables):
                    return found
            except (EngineTimeout, Unreachable):
                if goes_on:
                    return None
                raise
        return self._loaded(asked)

    def _loaded(self, asked: _Asked) -> Rows | None:
        it, cache, plan, mine = asked.it, asked.cache, asked.plan, list[Rows]()

        def load() -> list[Any]:
            # After the epochs of the tags were noted, and before the statement: see `Drops`.
            if self._is_written(asked):
                raise Written
            transaction_of(it.context.root_connection).has_run = True
            it.run()
            mine.append(rows_of(it.cursor))
            return list(mine[0])

        tags = [*map(self._drops.tag, (*sorted(asked.tables), ALL)), *plan.tags]
        try:
            return Rows(*self._wait(cache.get_or_load(asked.key, self._loader(load), tags=tags, **plan.times)))
        except Written:
            return None
        except LoadFailed as failed:
            if Written.is_told_by(failed):
                return None
            raise
        except (ValueRefused, ValueTooLarge) as error:
            if not mine:  # it is about a tag
                raise
            told = refusal(error, mine[0].columns, plan.cache) if isinstance(error, ValueRefused) else error
            raise _Unkept(told, mine[0]) from None

    def _is_written(self, asked: _Asked) -> bool:
        try:
            return self._drops.is_written(asked.tables)
        except EngineError:
            if asked.cache.policy.on_outage == "load":
                return True
            raise

    def _loader(self, load: Callable[[], Any]) -> Any:
        if not self._dialect.is_async:
            return load

        async def load_in_greenlet() -> Any:
            return await greenlet_spawn(load)

        return load_in_greenlet
