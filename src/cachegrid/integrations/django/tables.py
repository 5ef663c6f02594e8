"""Which tables a statement names, and whether it writes: by its words, which finds too many rather than too few."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from django.apps import apps
from django.db.models import deletion

from cachegrid.integrations._queries.calls import bare
from cachegrid.integrations._queries.drops import ALL

__all__ = ["ends_in", "makes_function", "read_in", "tables", "written_in"]

DatabaseOnDelete: type | tuple[()] = getattr(deletion, "DatabaseOnDelete", ())  # Django 6.1 and newer
_WORD: Final = re.compile(r"\w+")
_FIRST: Final = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(\w+)", re.DOTALL)
_WRITES: Final = re.compile(r"\b(?:insert|update|delete|merge|replace|truncate|alter|drop)\b", re.IGNORECASE)
# What a statement begins with that by itself changes no rows.
_READS: Final = frozenset(
    {
        *("select", "values", "show", "describe", "pragma", "set", "fetch", "declare", "close", "create"),
        *("begin", "start", "commit", "end", "rollback", "savepoint", "release", "analyze", "vacuum", "lock"),
        *("abort", "reset", "listen", "notify", "use", "move", "table", "prepare", "deallocate", "discard"),
    }
)
# What it begins with that runs something else, which may write anything.
_RUNS: Final = frozenset({"call", "do", "exec", "execute"})


@lru_cache(maxsize=1)
def tables() -> dict[str, frozenset[str]]:
    """The table of every model, with those that Django makes between models, and the words of its name."""
    models = apps.get_models(include_auto_created=True)
    return {model._meta.db_table: _words(model._meta.db_table) for model in models}


@lru_cache(maxsize=2048)
def read_in(sql: str) -> frozenset[str]:
    """The tables that a statement names."""
    words = _words(sql)
    return frozenset([table for table, parts in tables().items() if parts <= words])


@lru_cache(maxsize=2048)
def written_in(sql: str) -> frozenset[str]:
    """
    The tables that a statement may write to: all that it names, if it is none of those that only read.

    With those that the database itself changes along, as models say, but not what a trigger writes, or a function; and
    all, where it runs a procedure.
    """
    word = _first_of(sql)
    if word in _RUNS or any(_first_of(part) in _RUNS for part in bare(sql).split(";")[1:]):
        return frozenset({ALL})
    is_plain = word in _READS and ";" not in sql.rstrip().rstrip(";")
    # These two may lead to any statement, and so may what comes behind a semicolon.
    is_read = is_plain or (word in _READS | {"with", "explain"} and not _WRITES.search(sql))
    return frozenset() if is_read else _with_cascades(read_in(sql), of_all=_takes_along(word, sql))


def ends_in(sql: str) -> str:
    """Whether a statement is a "commit" or a "rollback" of the whole transaction; empty if not."""
    word = _first_of(sql)
    if word in {"commit", "end"}:
        return "commit"
    is_whole = word in {"rollback", "abort"} and "to" not in _words(sql)
    return "rollback" if is_whole else ""


def makes_function(sql: str) -> bool:
    """Whether a statement makes a function, or changes what is known of one."""
    return _first_of(sql) in {"create", "alter", "drop"} and not {"function", "procedure"}.isdisjoint(_words(sql))


def _first_of(sql: str) -> str:
    first = _FIRST.match(sql)
    return first[1].lower() if first else ""


def _takes_along(word: str, sql: str) -> bool:
    return word == "truncate" and "cascade" in _words(sql)


def _with_cascades(names: frozenset[str], *, of_all: bool) -> frozenset[str]:
    """
    These tables, and those whose rows the database changes when a row of these is deleted.

    `of_all` counts all that refer to these.
    """
    models = apps.get_models(include_auto_created=True)
    relations = [field for model in models for field in model._meta.fields if field.remote_field]
    more = {
        field.model._meta.db_table
        for field in relations
        if (of_all or isinstance(field.remote_field.on_delete, DatabaseOnDelete))
        and field.remote_field.model._meta.db_table in names
    }
    return names if more <= names else _with_cascades(names | more, of_all=of_all)


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))
