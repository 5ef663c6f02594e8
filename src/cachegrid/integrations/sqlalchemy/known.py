"""Tables that are known, so that a misspelt name is told of: what is said of it would have no effect."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable

from sqlalchemy.schema import MetaData, Table

from cachegrid.integrations.sqlalchemy.tables import name_of

__all__ = ["Known"]


class Known:
    """The tables of every MetaData that has one in a statement of an engine, and those that `effects` names."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = set(names)
        self._metadata: set[MetaData] = set()
        self._told: set[str] = set()

    def meet(self, table: object) -> None:
        """A statement names this one."""
        if isinstance(table, Table):
            self._metadata.add(table.metadata)

    def doubt(self, names: frozenset[str]) -> None:
        """
        Warn, once, of each of these that is no table: nobody drops what is said to be read of it.

        It may be one nevertheless, which no statement of SQLAlchemy's writes to, and which others are to tell of.
        """
        if names <= self._told or not self._metadata:
            return
        metas = list(self._metadata)  # another thread may meet more
        known = {name_of(table) for meta in metas for table in list(meta.tables.values())} | self._names
        for name in names - known - self._told:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            logging.getLogger("cachegrid").warning(
                "a cached statement reads the table %r, of which nothing is known here: what it finds is dropped only "
                "if somebody names that in the effects of `follow`, or invalidates its tag%s",
                name,
                hint,
            )
        self._told |= names
