"""
SQLAlchemy: results of queries are kept in a grid, and dropped when a transaction that wrote to their tables commits.

    follow(engine, grid, database="shop")
    session.scalars(select(Product).options(cached("queries", ttl="5m")))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

try:
    import sqlalchemy as _sqlalchemy  # noqa: F401 - to say which extra is missing
except ModuleNotFoundError as error:
    needs = "cachegrid.integrations.sqlalchemy needs SQLAlchemy 2: pip install 'cachegrid[sqlalchemy]'"
    raise ModuleNotFoundError(needs) from error
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import ORMExecuteState, Session, UserDefinedOption

from cachegrid import AsyncGrid, Key, SyncGrid
from cachegrid.errors import ConfigError
from cachegrid.integrations.sqlalchemy_answers import OPTION, CachedOption, Plan, Said
from cachegrid.integrations.sqlalchemy_follower import Follower, is_followed

__all__ = ["cached", "follow", "uncached"]


def cached(
    cache: str = "queries",
    *,
    ttl: float | timedelta | str | None = None,
    tags: str | Iterable[str] = (),
    tables: str | Iterable[str] = (),
    vary: Key = (),
) -> UserDefinedOption:
    """
    An option of statements: the result is kept in a cache of the grid that the engine follows, for all processes.

    For `select(...).options(...)`, and for all that a session selects as `sessionmaker(..., info={"cachegrid": ...})`.
    It lives for `ttl`, or as long as the cache's policy says, and until a transaction that wrote to one of its tables
    commits. `tags` are further ones for `cache.invalidate`, `tables` what the statement reads besides those that it
    names (by a view, a function or a text), and `vary` who asks, where the database answers users differently.

    A statement may then raise ValueRefused for a column that the cache cannot keep, KeyRefused for a bound value that
    cannot be in a key, ConfigError where its tables cannot be told, and what `get_or_load` raises. What is selected by
    a session's choice only is answered by the database then.
    """
    times = {} if ttl is None else {"ttl": ttl}
    return CachedOption(Plan(cache, times, _several(tags), frozenset(map(str.lower, _several(tables))), vary))


def uncached() -> UserDefinedOption:
    """An option of statements: whatever the session says, the database answers."""
    return CachedOption(None)


def follow(
    engine: Engine | AsyncEngine,
    grid: SyncGrid | AsyncGrid,
    *,
    database: str,
    caches: str | Iterable[str] = "queries",
    effects: Mapping[str, Iterable[str]] | None = None,
    commit_within: float = 30.0,
) -> None:
    """
    Let what an engine selects be kept in a grid, and drop it when a transaction of this engine that wrote commits.

    Every process that writes to the database does this, with the same `database`, which names it whatever
    it is reached by, and the same `caches`: all those that `cached` names anywhere. An AsyncEngine takes a grid of
    `aconnect()`. `effects` says which tables change along with others, by triggers, or since they are views:
    `{"orders": ["order_totals"]}`; foreign keys that cascade are known. A COMMIT may take `commit_within` seconds, and
    hosts' clocks may differ by as much.

    A commit of a transaction that wrote raises EngineError, and rolls back, where the grid cannot be told, unless the
    policy of one of the caches has `on_outage="load"`. Raises ConfigError for an engine that is followed already.
    """
    engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    follower = Follower(engine, grid, database, _several(caches), commit_within, effects or {})
    follower.begin(engine)


def _several(said: str | Iterable[str]) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(said)


@event.listens_for(Session, "do_orm_execute")
def _choose(state: ORMExecuteState) -> None:
    """Hand the option that holds for a statement, or else for its session, on to the connection that executes it."""
    options = [option for option in state.user_defined_options if isinstance(option, CachedOption)]
    whole = state.session.info.get(OPTION)
    option = options[-1] if options else whole
    if option is None or not state.is_select:
        return
    plan = option.plan
    if state.is_column_load:  # of what is refreshed
        plan = None
    if plan is not None and options:
        engine = state.session.get_bind(**state.bind_arguments).engine
        if not is_followed(engine.dialect):
            raise ConfigError("the engine of a cached statement", engine, "one that `follow` was called for")
    state.update_execution_options(**{OPTION: Said(plan, is_explicit=bool(options))})
