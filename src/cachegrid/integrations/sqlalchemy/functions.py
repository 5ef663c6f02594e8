"""Functions of a database that write when they are selected: those that somebody named, and those that it knows of."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Final

from sqlalchemy.engine import Connection

from cachegrid.integrations.sqlalchemy.effects import ALL
from cachegrid.integrations.sqlalchemy.transactions import transaction_of

__all__ = ["Functions"]

_KEPT: Final = 60.0  # seconds for which it is remembered what the database said of a function
_NEVER: Final = (False, 0.0)
# One that is not declared to be stable may write. Those that come with the server, or are libraries, write to no tables
# of an application.
_ASK: Final = """
select lower(f.proname) from pg_catalog.pg_proc f
join pg_catalog.pg_namespace n on n.oid = f.pronamespace join pg_catalog.pg_language l on l.oid = f.prolang
where f.provolatile = 'v' and n.nspname not in ('pg_catalog', 'information_schema')
and l.lanname not in ('internal', 'c') and lower(f.proname) in ({names})
"""


class Functions:
    """What functions of one database write to. `effects` says it of some, the server whether others may write."""

    def __init__(self, effects: Mapping[str, frozenset[str]]) -> None:
        self._effects = effects
        self._heard: dict[str, tuple[bool, float]] = {}  # whether each may write, and until when that holds

    def written_by(self, names: frozenset[str], connection: Connection, *, is_read: bool) -> frozenset[str]:
        """The tables that these may write to; `is_read` says that somebody wants what they find to be kept."""
        said = names & self._effects.keys()
        written = frozenset().union(*[self._effects[name] for name in said])
        if is_read or names == said or connection.dialect.name != "postgresql":
            return written
        now, rest = time.monotonic(), names - said
        new = {name for name in rest if self._heard.get(name, _NEVER)[1] <= now}
        if new:
            writers = _asked(new, connection)
            self._tell(writers - self._heard.keys())
            self._heard.update({name: (name in writers, now + _KEPT) for name in new})
        return frozenset({ALL}) if any(self._heard[name][0] for name in rest) else written

    def _tell(self, names: set[str]) -> None:
        """Say of functions, when they are first heard of, that calling them costs all that is kept."""
        for name in sorted(names):
            logging.getLogger("cachegrid").warning(
                "the function %r may write to any table, as its database has it: all that is kept is dropped when a "
                "transaction commits that called it; declare it STABLE if it only reads, or name what it writes to in "
                "the effects of `follow`",
                name,
            )


def _asked(names: set[str], connection: Connection) -> set[str]:
    """Those which may write, as the server says."""
    transaction_of(connection).has_run = True
    cursor = connection.connection.cursor()
    try:
        cursor.execute(_ASK.format(names=", ".join(f"'{name}'" for name in sorted(names))))
        return {row[0] for row in cursor.fetchall()}
    finally:
        cursor.close()
