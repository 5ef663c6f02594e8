"""What rows of a queryset depend on: the statement with its values, what is made of each row, what is read along."""

from __future__ import annotations

import datetime as dt
import decimal
import hashlib
import pickle
import uuid
from collections.abc import Collection
from typing import Any, Final, NamedTuple

from django.apps import apps
from django.core.exceptions import EmptyResultSet
from django.db.models import Prefetch, QuerySet
from django.utils.functional import Promise

from cachegrid.errors import KeyRefused

__all__ = ["Statement", "alone", "ambient", "digest_of", "statement_of"]

# What `repr` says all of, and the same in every process.
_PLAIN: Final = frozenset(
    {
        *(type(None), bool, int, float, complex, str, bytes, decimal.Decimal, uuid.UUID),
        *(dt.datetime, dt.date, dt.time, dt.timedelta),
    }
)
_OF_ALL: Final = frozenset(
    vars(QuerySet())
)  # attributes that every queryset has; what others mean only its class knows


class Statement(NamedTuple):
    """A queryset as the database gets it."""

    sql: str
    params: Any
    columns: list[Any]  # the field that makes a value of each


def alone(queryset: QuerySet[Any]) -> Any:
    """
    The same rows without the objects that a queryset came from, also of what is prefetched.

    Those would be kept along with each row, as they were when somebody asked.
    """
    found: Any = queryset.all()
    found._known_related_objects = {}
    found._prefetch_related_lookups = tuple([_alone(lookup) for lookup in found._prefetch_related_lookups])
    return found


def _alone(part: Any) -> Any:
    if isinstance(part, QuerySet):
        return alone(part)
    if isinstance(part, list):  # as `GenericPrefetch` has them
        return [_alone(item) for item in part]
    if not isinstance(part, Prefetch):
        return part
    found = object.__new__(type(part))
    vars(found).update({name: _alone(value) for name, value in vars(part).items()})
    return found


def statement_of(queryset: Any) -> Statement | None:
    """What the database is asked; None where there is nothing to ask."""
    compiler = queryset.query.get_compiler(using=queryset.db)
    try:
        sql, params = compiler.as_sql()
    except EmptyResultSet:
        return None
    return Statement(sql, params, [column[0].output_field for column in compiler.select])


def ambient(queryset: Any, names: Collection[str]) -> list[tuple[str, Any]]:
    """
    What managers of these tables add to what is read along, such as whose site it is.

    They do so when that is read; what they add to the queryset itself is in its statement.
    """
    if not queryset._prefetch_related_lookups:
        return []
    models = [model for model in apps.get_models(include_auto_created=True) if model._meta.db_table in names]
    managers = [manager for model in models for manager in (model._default_manager, model._base_manager)]
    return [found[:2] for manager in managers if (found := statement_of(manager.all())) is not None]


def digest_of(queryset: Any, statement: Statement | None, *more: Any) -> str:
    """
    What stands for a queryset in a key, with its statement, and for more that its rows depend on.

    Raises KeyRefused for what cannot be told from others of its kind.
    """
    parts = _rows(queryset, statement), _said(more)
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _rows(queryset: Any, statement: Statement | None) -> tuple[Any, ...]:
    """What is asked, what is made of each row, and by whom."""
    asked = statement and (statement.sql, _said(statement.params), [_field(field) for field in statement.columns])
    own = {name: value for name, value in sorted(vars(queryset).items()) if name not in _OF_ALL}
    more = queryset._fields, queryset._prefetch_related_lookups, own
    made = queryset.model._meta.label, _name(type(queryset)), _name(queryset._iterable_class)
    return queryset.db, asked, made, _said(more)


def _said(value: Any) -> Any:
    """A value in plain words, the same in every process."""
    said: Any
    if isinstance(value, QuerySet):
        return _rows(value, statement_of(value))
    if type(value) in _PLAIN or isinstance(value, Promise):  # a promise is a text in whatever language is spoken now
        said = repr(value)
    elif isinstance(value, (list, tuple)):
        said = [_said(item) for item in value]
    elif isinstance(value, dict):
        said = [(_said(key), _said(item)) for key, item in value.items()]
    else:
        said = _said(vars(value)) if isinstance(value, Prefetch) else _pickled(value)
    return _name(type(value)), said


def _field(field: Any) -> Any:
    """A field of a model by its name, any other by how it is made."""
    return _name(type(field)), str(field) if hasattr(field, "model") else _said(field.deconstruct()[1:])


def _name(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _pickled(value: Any) -> bytes:
    if isinstance(value, memoryview):
        return bytes(value)
    try:
        return pickle.dumps(value, protocol=5)
    except Exception as error:
        message = f"a queryset depends on {value!r:.80}, a {type(value).__name__}, which cannot be a part of a key"
        raise KeyRefused(message) from error
