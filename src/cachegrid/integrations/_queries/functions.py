"""Functions of a database that write when they are selected: those that somebody named, and those that it knows of."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from cachegrid.integrations._queries.drops import ALL

__all__ = ["Ask", "Functions"]

Ask: TypeAlias = Callable[[str], set[str]]  # gives the first column of what a statement finds

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
    """What functions of one database write to, as somebody said, or else whether they may write, as it says itself."""

    def __init__(self, where: str) -> None:
        self._where = where  # it is said what they write to
        self._heard: dict[str, tuple[bool, float]] = {}  # whether each may write, and until when that holds

    def written_by(
        self, names: frozenset[str], effects: Mapping[str, frozenset[str]], ask: Ask | None, *, is_read: bool
    ) -> frozenset[str]:
        """
        The tables that these may write to.

        `effects` says it of some, and `ask` asks PostgreSQL. `is_read` says that somebody wants what they find to be
        kept.
        """
        said = names & effects.keys()
        written = frozenset().union(*[effects[name] for name in said])
        if is_read or names == said or ask is None:
            return written
        now, rest = time.monotonic(), names - said
        new = {name for name in rest if self._heard.get(name, _NEVER)[1] <= now}
        if new:
            writers = ask(_ASK.format(names=", ".join(f"'{name}'" for name in sorted(new)))) & new
            self._tell(writers - self._heard.keys())
            self._heard.update({name: (name in writers, now + _KEPT) for name in new})
        return frozenset({ALL}) if any(self._heard[name][0] for name in rest) else written

    def _tell(self, names: set[str]) -> None:
        """Say of functions, when they are first heard of, that calling them costs all that is kept."""
        for name in sorted(names):
            logging.getLogger("cachegrid").warning(
                "the function %r may write to any table, as its database has it: all that is kept is dropped when a "
                "transaction commits that called it; declare it STABLE if it only reads, or name what it writes to in "
                "%s",
                name,
                self._where,
            )
