"""Tables by their names, and those that a database changes along with others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.schema import Table
from sqlalchemy.sql import visitors
from sqlalchemy.sql.expression import TableClause

from cachegrid.errors import ConfigError

__all__ = ["Named", "bare", "each", "name_of", "names_of", "tables_of"]

Named: TypeAlias = (
    str | TableClause | type
)  # how somebody says a table: its name, itself, or a class that is mapped to it

_ACTIONS: Final = frozenset({"CASCADE", "SET NULL", "SET DEFAULT"})


def name_of(table: TableClause) -> str:
    """Its name in lower case, without its schema: who leaves that to the connection may mean the same table."""
    return bare(table.name)


def bare(name: str) -> str:
    """
    A table's name as names are compared: in lower case, without schema and quotes.

    >>> bare("product"), bare('main."Product"')
    ('product', 'product')
    """
    return name.rpartition(".")[2].strip('"`[]').lower()


def each(said: Named | Iterable[Named]) -> tuple[Named, ...]:
    """One table, or all of them."""
    return tuple(said) if isinstance(said, Iterable) and not isinstance(said, (str, type)) else (said,)


def names_of(said: Named | Iterable[Named], where: str) -> frozenset[str]:
    """The names of tables that somebody said. Raises ConfigError for what is none; `where` says who asks."""
    return frozenset(name for one in each(said) for name in _names_of(one, where))


def _names_of(said: Named, where: str) -> Iterable[str]:
    if isinstance(said, str):
        return [bare(said)]
    if isinstance(said, TableClause):
        return [name_of(said)]
    mapper: Any = inspect(said, raiseerr=False)
    if not isinstance(mapper, Mapper):
        raise ConfigError(where, said, "a table: its name, a Table, or a class that is mapped to one")
    return map(name_of, mapper.tables)


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
