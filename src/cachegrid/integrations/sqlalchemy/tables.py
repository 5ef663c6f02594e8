"""Tables by their names, and those that a database changes along with others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy.schema import Table
from sqlalchemy.sql import visitors
from sqlalchemy.sql.expression import TableClause

__all__ = ["name_of", "tables_of"]

_ACTIONS: Final = frozenset({"CASCADE", "SET NULL", "SET DEFAULT"})


def name_of(table: TableClause) -> str:
    """Its name in lower case, without its schema: who leaves that to the connection may mean the same table."""
    return str(table.name).lower()


def tables_of(target: Any, *, acts: bool = False) -> Iterator[str]:
    """The tables that a statement on `target` changes; `acts` counts those that a database changes along with them."""
    for table in visitors.iterate(target):
        if isinstance(table, TableClause):
            yield name_of(table)
            if acts and isinstance(table, Table):
                yield from map(name_of, _dependents(table))


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
