"""Results of statements as entries: what names one, and rows as their driver gave them."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPICursor

from cachegrid import Key
from cachegrid.errors import KeyRefused, ValueRefused
from cachegrid.integrations.sqlalchemy.options import Plan

__all__ = ["Rows", "key_of", "refusal", "rows_of"]

_FORMAT: Final = 1  # of what an entry holds; another one has other keys
# What `repr` says all of: no two values of these types look the same, and none looks different elsewhere.
_PLAIN: Final = frozenset(
    {
        *(type(None), bool, int, float, complex, str, bytes, decimal.Decimal, uuid.UUID),
        *(dt.datetime, dt.date, dt.time, dt.timedelta),
    }
)


class Rows(NamedTuple):
    """A result, below everything that SQLAlchemy makes of it."""

    columns: list[list[Any]]  # of each its name, and the code of its type as the driver has it
    rows: list[list[Any]]

    @property
    def description(self) -> list[tuple[Any, ...]]:
        """As cursors have it."""
        return [(name, code, None, None, None, None, None) for name, code in self.columns]

    def tuples(self) -> list[tuple[Any, ...]]:
        """The rows, as drivers give them."""
        return [tuple(row) for row in self.rows]


def key_of(dialect: Dialect, database: str, who: object, statement: str, parameters: Any, plan: Plan) -> Key:
    """
    The key of a statement's result: the database, and a digest of the statement, its values, and what was said of it.

    Raises KeyRefused for a value of a type whose text does not say all of it.
    """
    asked = [_FORMAT, dialect.name, dialect.driver, who, statement, _said(parameters, "")]
    # Whoever mends the tables that he said gets nothing that was kept while they were wrong.
    text = f"{asked!r}{sorted(plan.tables)!r}{plan.vary!r}"
    return database, hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _said(value: Any, where: str) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name!r}: {_said(part, str(name))}' for name, part in value.items())}}}"
    if type(value) in {list, tuple}:
        return f"[{', '.join(_said(part, where or str(place)) for place, part in enumerate(value, 1))}]"
    if isinstance(value, enum.Enum):
        return f"{type(value).__module__}.{type(value).__qualname__}.{value.name}"
    if type(value) not in _PLAIN:
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        message = (
            f"the value for {where or 'the statement'} is {value!r:.60}, a {kind}, which cannot be part of a key; "
            "convert it, or leave the statement uncached"
        )
        raise KeyRefused(message)
    return repr(value)


def rows_of(cursor: DBAPICursor) -> Rows:
    """All that a cursor has to give."""
    columns = [[column[0], column[1]] for column in cursor.description or ()]
    return Rows(columns, [[_kept(value) for value in row] for row in cursor.fetchall()])


def _kept(value: Any) -> Any:
    return bytes(value) if type(value) is memoryview else value


def refusal(error: ValueRefused, columns: Sequence[Sequence[Any]], cache: str) -> ValueRefused:
    """What the codec refused, said of the column that it was in."""
    place = re.match(r"value\[1\]\[\d+\]\[(\d+)\]", error.path)
    column = columns[int(place[1])][0] if place else None
    if error.kind is None or column is None:
        return error
    kind = f"{error.kind.__module__}.{error.kind.__qualname__}".removeprefix("builtins.")
    message = (
        f"cache {cache!r} cannot keep the column {column!r}: its driver gives a {kind}; select a cast of it, leave the "
        f'statement uncached, register the class with cachegrid.register, or give the cache codec="pickle"'
    )
    return ValueRefused(message, path=str(column), kind=error.kind)
