"""What a statement does to the tables of a database, as far as it can be told before it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, cast

from sqlalchemy.engine import ExecutionContext
from sqlalchemy.schema import Table
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import DDLCompiler, SQLCompiler
from sqlalchemy.sql.expression import TableClause

__all__ = ["ALL", "Effect", "effect_of", "is_noting", "noting"]

ALL: Final = "*"  # among tables: any of them

# The first words of statements that change no rows, whatever else they do.
_READS: Final = frozenset(
    {
        *("select", "values", "table", "with", "show", "explain", "describe", "desc", "pragma", "fetch", "move"),
        *("set", "reset", "discard", "use", "declare", "close", "deallocate", "listen", "unlisten", "notify", "lock"),
        *(
            "begin",
            "start",
            "savepoint",
            "release",
            "prepare",
            "rollback",
            "commit",
            "end",
            "analyze",
            "vacuum",
            "checkpoint",
        ),
    }
)
_WRITES_WITHIN: Final = re.compile(r"\b(insert|update|delete|merge|replace)\b", re.IGNORECASE)
_LOCKS: Final = re.compile(r"\bfor\s|\bnextval\b", re.IGNORECASE)
_MAY_READ: Final = re.compile(r"\b(from|join|table|call)\b", re.IGNORECASE)
_LEAD: Final = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*.*?\*/)*([a-z]*)", re.IGNORECASE | re.DOTALL)
_SETS: Final = frozenset({"set", "reset", "discard", "use"})
_HARMLESS: Final = re.compile(r"\s*(set|reset)\s+((session|local)\s+)?\w*(timeout|application_name)\b", re.IGNORECASE)
_PASSING: Final = re.compile(r"\s*set\s+(local|transaction|constraints)\b", re.IGNORECASE)
_ACTIONS: Final = frozenset({"CASCADE", "SET NULL", "SET DEFAULT"})


@dataclass(frozen=True, slots=True)
class Effect:
    """What one execution reads, writes and leaves behind; tables by their bare names, in lower case."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    is_known: bool = True  # whether `reads` are all
    is_shareable: bool = True  # whether its rows are anybody's: it locks nothing, and draws no number of a sequence
    ends: bool = False  # the transaction, with what it wrote
    sets: str = ""  # what later statements see: of this "transaction", or of the "connection" from here on


@dataclass(slots=True)
class _Noted:
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    has_text: bool = False
    is_shareable: bool = True
    sets: str = ""
    effect: Effect | None = None  # once all is noted


class _Noting(SQLCompiler):
    """Put before a dialect's own compiler: notes what that one writes down. The result is kept with the statement."""

    @property
    def cachegrid_noted(self) -> _Noted:
        return cast("_Noted", self.__dict__.setdefault("_cachegrid_noted", _Noted()))

    def visit_table(self, table: Any, asfrom: bool = False, *args: Any, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - as its base has it
        self.cachegrid_noted.reads.add(_name(table))
        return super().visit_table(table, asfrom, *args, **kwargs)  # type: ignore[no-untyped-call]

    def visit_insert(self, insert_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        self.cachegrid_noted.writes.update(_tables(insert_stmt.table))
        return super().visit_insert(insert_stmt, *args, **kwargs)  # type: ignore[no-untyped-call]

    def visit_update(self, update_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        self.cachegrid_noted.writes.update(_tables(update_stmt.table, acts=True))
        return super().visit_update(update_stmt, *args, **kwargs)

    def visit_delete(self, delete_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        self.cachegrid_noted.writes.update(_tables(delete_stmt.table, acts=True))
        return super().visit_delete(delete_stmt, *args, **kwargs)  # type: ignore[no-untyped-call]

    def visit_textclause(self, textclause: Any, *args: Any, **kwargs: Any) -> Any:
        self._note_text(textclause.text)
        return super().visit_textclause(textclause, *args, **kwargs)  # type: ignore[no-untyped-call]

    def visit_tstring_text(self, element: Any, **kwargs: Any) -> Any:
        self._note_text(element.text)
        return super().visit_tstring_text(element, **kwargs)  # type: ignore[no-untyped-call]

    def visit_column(self, column: Any, *args: Any, **kwargs: Any) -> Any:
        if column.is_literal:
            self._note_text(column.name)
        return super().visit_column(column, *args, **kwargs)

    def _note_text(self, text: str) -> None:
        if not self.stack or _MAY_READ.search(text) or _WRITES_WITHIN.search(text):
            self.cachegrid_noted.has_text = True

    def visit_function(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        if func.name.lower() == "set_config":
            self.cachegrid_noted.sets = "connection"
        return super().visit_function(func, *args, **kwargs)

    def for_update_clause(self, select: Any, **kwargs: Any) -> Any:
        self.cachegrid_noted.is_shareable = False
        return super().for_update_clause(select, **kwargs)  # type: ignore[no-untyped-call]

    def visit_sequence(self, sequence: Any, **kwargs: Any) -> Any:
        self.cachegrid_noted.is_shareable = False
        return super().visit_sequence(sequence, **kwargs)  # type: ignore[no-untyped-call]


def noting(compiler: type[SQLCompiler]) -> type[SQLCompiler]:
    """The same compiler of statements, that notes what it meets."""
    return type(f"Noting{compiler.__name__}", (_Noting, compiler), {})


def is_noting(compiler: type[Any]) -> bool:
    """Whether `noting` made it."""
    return issubclass(compiler, _Noting)


def effect_of(context: ExecutionContext, statement: str) -> Effect:
    """What an execution is about to do."""
    compiled = context.compiled
    if isinstance(compiled, DDLCompiler):
        return Effect(writes=frozenset({ALL}))
    if not isinstance(compiled, _Noting):
        return _effect_of_text(statement)
    noted = compiled.cachegrid_noted
    if noted.has_text:
        return _joined(_effect_of_text(statement), noted)
    if noted.effect is None:
        noted.effect = _joined(Effect(), noted)
    return noted.effect


def _joined(text: Effect, noted: _Noted) -> Effect:
    return replace(
        text,
        reads=frozenset(noted.reads),
        writes=frozenset(noted.writes) or text.writes,
        is_shareable=text.is_shareable and noted.is_shareable,
        sets=text.sets or noted.sets,
    )


@lru_cache(maxsize=1000)
def _effect_of_text(statement: str) -> Effect:
    """What the first word of a statement says, and words within; what says nothing may write anything."""
    lead = _LEAD.match(statement)
    word = lead[1].lower() if lead else ""
    # Some that read can carry others that write: `with x as (delete ...)`, `explain analyze update ...`.
    writes = word not in _READS or (word in {"with", "explain"} and _WRITES_WITHIN.search(statement))
    return Effect(
        writes=frozenset({ALL} if writes else ()),
        is_known=False,
        is_shareable=word in {"select", "values", "table", "with"} and not _LOCKS.search(statement),
        ends=word in {"commit", "end"},
        sets=_sets(word, statement),
    )


def _sets(word: str, statement: str) -> str:
    if word in {"begin", "start"} or _PASSING.match(statement):
        return "transaction"
    if (word in _SETS and not _HARMLESS.match(statement)) or "set_config" in statement.lower():
        return "connection"
    return ""


def _name(table: TableClause) -> str:
    # Without its schema: whoever leaves that to the connection means the same table, or another one of its name.
    return str(table.name).lower()


def _tables(target: Any, *, acts: bool = False) -> Iterator[str]:
    """The tables that a statement on `target` changes; `acts` counts those that a database changes along with them."""
    for table in visitors.iterate(target):
        if isinstance(table, TableClause):
            yield _name(table)
            if acts and isinstance(table, Table):
                yield from map(_name, _dependents(table))


def _dependents(table: Table) -> set[Table]:
    """The tables whose foreign keys let a database change them with this one."""
    found: set[Table] = set()
    todo = [table.fullname]
    while todo:
        parent = todo.pop()
        more = {child for child in table.metadata.tables.values() if child not in found and _follows(child, parent)}
        found |= more
        todo += [child.fullname for child in more]
    return found


def _follows(child: Table, parent: str) -> bool:
    return any(
        key.target_fullname.rpartition(".")[0] == parent
        and not _ACTIONS.isdisjoint({(key.ondelete or "").upper(), (key.onupdate or "").upper()})
        for key in child.foreign_keys
    )
