"""What statements and sessions say of the results that are to be kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import event
from sqlalchemy.engine import ExecutionContext
from sqlalchemy.orm import ORMExecuteState, Session, UserDefinedOption

from cachegrid import Key
from cachegrid.errors import ConfigError
from cachegrid.integrations.sqlalchemy.noting import is_followed
from cachegrid.integrations.sqlalchemy.tables import Named, bare, each, names_of
from cachegrid.units import seconds_of

__all__ = ["Plan", "Said", "cached", "said_of", "several", "uncached"]

_OPTION: Final = "cachegrid"  # among execution options, and in the `info` of a session


class Plan(NamedTuple):
    """How results of statements are kept."""

    cache: str
    times: Mapping[str, Any]
    tags: tuple[str, ...]
    tables: frozenset[str]
    told: frozenset[str]  # those of them that were told by name
    vary: Key


class Said(NamedTuple):
    """What holds for a statement: its own option, or that of its session. Without a plan nothing is kept."""

    plan: Plan | None = None
    is_explicit: bool = False


class _CachedOption(UserDefinedOption):
    """How the results of a statement are kept; what it loads along, or lazily later, has the same option."""

    propagate_to_loaders = True

    def __init__(self, plan: Plan | None) -> None:
        super().__init__(plan)
        self.plan = plan


def cached(
    cache: str = "queries",
    *,
    ttl: float | timedelta | str | None = None,
    tags: str | Iterable[str] = (),
    tables: Named | Iterable[Named] = (),
    vary: Key = (),
) -> UserDefinedOption:
    """
    An option of statements: the result is kept in a cache of the grid that the engine follows, for all processes.

    For `select(...).options(...)`, and for all that a session selects as `sessionmaker(..., info={"cachegrid": ...})`.
    It lives for `ttl`, or as long as the cache's policy says, and until a transaction that wrote to one of its tables
    commits. `tags` are further ones for `cache.invalidate`, `tables` what the statement reads besides those that it
    names (by a view, a function or a text): their names, Tables or mapped classes. `vary` says who asks, where the
    database answers users differently. Raises ConfigError for a time that is none, or a table.

    A statement may then raise ValueRefused for a column that the cache cannot keep, KeyRefused for a bound value that
    cannot be in a key, ConfigError where its tables cannot be told, and what `get_or_load` raises. What is selected by
    a session's choice only is answered by the database then.
    """
    if not isinstance(cache, str):
        want = 'the name of a cache, in an option of a statement: select(...).options(cached("queries"))'
        raise ConfigError("the cache of `cached`", cache, want)
    times = {} if ttl is None else {"ttl": seconds_of("ttl", ttl)}
    told = frozenset([bare(table) for table in each(tables) if isinstance(table, str)])
    return _CachedOption(Plan(cache, times, several(tags), names_of(tables, "a table of `cached`"), told, vary))


def uncached() -> UserDefinedOption:
    """An option of statements: whatever the session says, the database answers."""
    return _CachedOption(None)


def said_of(context: ExecutionContext) -> Said:
    """What a session says; on a connection without one, the statement's own option."""
    said = context.execution_options.get(_OPTION)
    if isinstance(said, Said):
        return said
    options = [said] if said is not None else getattr(context.invoked_statement, "_with_options", ())
    plans = [option.plan for option in options if isinstance(option, _CachedOption)]
    return Said(plans[-1], is_explicit=True) if plans else Said()


def several(said: str | Iterable[str]) -> tuple[str, ...]:
    """One name, or all of them."""
    return (said,) if isinstance(said, str) else tuple(said)


@event.listens_for(Session, "do_orm_execute")
def _choose(state: ORMExecuteState) -> None:
    """Hand the option that holds for a statement, or else for its session, on to the connection that executes it."""
    options = [option for option in state.user_defined_options if isinstance(option, _CachedOption)]
    whole = state.session.info.get(_OPTION)
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
    state.update_execution_options(**{_OPTION: Said(plan, is_explicit=bool(options))})
