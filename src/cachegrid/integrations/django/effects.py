"""What changes along with a table, or when a function is called: as the settings say, or else as the database knows."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.db.models import Model

from cachegrid.errors import ConfigError
from cachegrid.integrations._queries.calls import calls_in
from cachegrid.integrations._queries.drops import ALL, with_effects
from cachegrid.integrations._queries.functions import Functions
from cachegrid.integrations.django.tables import makes_function, tables, written_in

__all__ = ["KEEPS", "changed_by", "names_of"]

KEEPS: Final = ContextVar("cachegrid_keeps", default=False)  # whether what is read now is wanted to be kept
_SETTING: Final = "CACHEGRID_EFFECTS"
_functions: dict[str, Functions] = {}  # of each database


def changed_by(connection: Any, sql: str) -> frozenset[str]:
    """The tables that change when a statement runs on a connection."""
    effects, written, calls = _effects(), written_in(sql), calls_in(sql)
    if calls and makes_function(sql):
        _functions.pop(connection.alias, None)  # what was heard of them is over
    elif calls and ALL not in written:
        functions = _functions.setdefault(connection.alias, Functions(f"the setting {_SETTING}"))
        ask = partial(_asked, connection) if connection.vendor == "postgresql" else None
        written |= functions.written_by(calls, effects, ask, is_read=KEEPS.get() or connection.needs_rollback)
    return frozenset(with_effects(written, effects)) if effects and written else written


def _asked(connection: Any, question: str) -> set[str]:
    with connection.wrap_database_errors, connection.connection.cursor() as cursor:
        cursor.execute(question)
        return {row[0] for row in cursor.fetchall()}


def _effects() -> dict[str, frozenset[str]]:
    said = getattr(settings, _SETTING, None) or {}
    return {str(what).lower(): names_of(more, f"{_SETTING}[{what!r}]") for what, more in said.items()}


def names_of(models: type[Model] | str | Iterable[type[Model] | str], where: str = "a table") -> frozenset[str]:
    """The names of tables, given as models or by name. Raises ConfigError for one that no model has."""
    several = models if isinstance(models, Iterable) and not isinstance(models, str) else [models]
    return frozenset([_name_of(model, where) for model in several])


def _name_of(model: type[Model] | str, where: str) -> str:
    name = model if isinstance(model, str) else getattr(getattr(model, "_meta", None), "db_table", None)
    if name not in tables():
        raise ConfigError(where, model, "that of a model, or the model: writes to others are not seen")
    return str(name)
