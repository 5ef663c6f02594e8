"""What a statement does to tables, noted while it is compiled, and found out of its text where it has one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

from sqlalchemy.engine import Dialect, ExecutionContext
from sqlalchemy.sql.compiler import DDLCompiler, SQLCompiler

from cachegrid.integrations._queries.calls import calls_in
from cachegrid.integrations._queries.drops import ALL
from cachegrid.integrations.sqlalchemy.effects import Effect, effect_of_text, may_read_or_write
from cachegrid.integrations.sqlalchemy.known import Known
from cachegrid.integrations.sqlalchemy.tables import name_of, tables_of

__all__ = ["effect_of", "is_followed", "noting"]


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

    cachegrid_known: ClassVar[Known]

    @property
    def cachegrid_noted(self) -> _Noted:
        return cast("_Noted", self.__dict__.setdefault("_cachegrid_noted", _Noted()))

    def visit_table(self, table: Any, asfrom: bool = False, *args: Any, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - as its base has it
        self.cachegrid_known.meet(table)
        self.cachegrid_noted.reads.add(name_of(table))
        return super().visit_table(table, asfrom, *args, **kwargs)  # type: ignore[no-untyped-call]

    def visit_insert(self, insert_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        self._note_write(insert_stmt.table)
        return super().visit_insert(insert_stmt, *args, **kwargs)  # type: ignore[no-untyped-call]

    def visit_update(self, update_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        self._note_write(update_stmt.table, acts=True)
        return super().visit_update(update_stmt, *args, **kwargs)

    def visit_delete(self, delete_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        self._note_write(delete_stmt.table, acts=True)
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

    def _note_write(self, table: Any, *, acts: bool = False) -> None:
        self.cachegrid_known.meet(table)
        self.cachegrid_noted.writes.update(tables_of(table, acts=acts))

    def _note_text(self, text: str) -> None:
        if not self.stack or may_read_or_write(text):
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


def noting(compiler: type[SQLCompiler], known: Known) -> type[SQLCompiler]:
    """The same compiler of statements, that notes what it meets; `known` meets the tables, too."""
    return type(f"Noting{compiler.__name__}", (_Noting, compiler), {"cachegrid_known": known})


def is_followed(dialect: Dialect) -> bool:
    """Whether what a dialect compiles is noted, as it is from when its engine is followed."""
    return issubclass(dialect.statement_compiler, _Noting)


def effect_of(context: ExecutionContext, statement: str) -> Effect:
    """What an execution is about to do."""
    compiled = context.compiled
    if isinstance(compiled, DDLCompiler):
        return Effect(writes=frozenset({ALL}))
    if not isinstance(compiled, _Noting):
        return effect_of_text(statement)
    noted = compiled.cachegrid_noted
    if noted.has_text:
        return _joined(effect_of_text(statement), noted)
    if noted.effect is None:
        noted.effect = _joined(Effect(calls=calls_in(statement)), noted)
    return noted.effect


def _joined(text: Effect, noted: _Noted) -> Effect:
    return replace(
        text,
        reads=frozenset(noted.reads),
        writes=frozenset(noted.writes) or text.writes,
        is_shareable=text.is_shareable and noted.is_shareable,
        sets=text.sets or noted.sets,
    )
