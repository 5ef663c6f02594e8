"""What a statement does to a database, as far as its text tells: in doubt, anything."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from cachegrid.integrations._queries.calls import bare, calls_in
from cachegrid.integrations._queries.drops import ALL

__all__ = ["Effect", "effect_of_text", "may_read_or_write"]

# The first words of statements that change no rows, whatever else they do.
_READS: Final = frozenset(
    {
        *("select", "values", "table", "with", "show", "explain", "describe", "desc", "pragma", "fetch", "move"),
        *("set", "reset", "discard", "use", "declare", "close", "deallocate", "listen", "unlisten", "notify", "lock"),
        *("begin", "start", "savepoint", "release", "prepare", "rollback", "commit", "end"),
        *("analyze", "vacuum", "checkpoint"),
    }
)
_WRITES_WITHIN: Final = re.compile(r"\b(insert|update|delete|merge|replace)\b", re.IGNORECASE)
_LOCKS: Final = re.compile(r"\bfor\s|\bnextval\b", re.IGNORECASE)
_MAY_READ: Final = re.compile(r"\b(from|join|table|call)\b", re.IGNORECASE)
_LEAD: Final = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*(?:(?!/\*).)*?\*/)*([a-z]*)", re.IGNORECASE | re.DOTALL)
_SETS: Final = frozenset({"set", "reset", "discard", "use"})
_HARMLESS: Final = re.compile(r"\s*(set|reset)\s+((session|local)\s+)?\w*(timeout|application_name)\b", re.IGNORECASE)
_PASSING: Final = re.compile(r"\s*set\s+(local|transaction|constraints)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Effect:
    """What one execution reads, writes and leaves behind; tables by their bare names, in lower case."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    is_known: bool = True  # whether `reads` are all
    is_shareable: bool = True  # whether its rows are anybody's: it locks nothing, and draws no number of a sequence
    ends: bool = False  # the transaction, with what it wrote
    calls: frozenset[str] = frozenset()  # functions, in lower case
    sets: str = ""  # what later statements see: of this "transaction", or of the "connection" from here on


@lru_cache(maxsize=1000)
def effect_of_text(statement: str) -> Effect:
    """What the first word of each statement says, and words within; what says nothing may write anything."""
    parts = [part for part in bare(statement).split(";") if part.strip()]
    first, *more = map(_effect_of_one, parts if len(parts) > 1 else [statement])
    if not more:
        return first
    every = [first, *more]
    return replace(
        first,
        writes=frozenset().union(*[each.writes for each in every]),
        is_shareable=False,
        ends=any(each.ends for each in every),
        calls=calls_in(statement),
        sets=min([each.sets for each in every if each.sets], default=""),  # that of the connection lasts for longer
    )


def _effect_of_one(statement: str) -> Effect:
    lead = _LEAD.match(statement)
    word = lead[1].lower() if lead else ""
    # Some that read can carry others that write: `with x as (delete ...)`, `explain analyze update ...`.
    writes = word not in _READS or (word in {"with", "explain"} and _WRITES_WITHIN.search(statement))
    return Effect(
        writes=frozenset({ALL} if writes else ()),
        is_known=False,
        is_shareable=word in {"select", "values", "table", "with"} and not _LOCKS.search(statement),
        ends=word in {"commit", "end"},
        calls=calls_in(statement),
        sets=_sets(word, statement),
    )


def may_read_or_write(part: str) -> bool:
    """Whether a text within a statement may name a table."""
    return bool(_MAY_READ.search(part) or _WRITES_WITHIN.search(part))


def _sets(word: str, statement: str) -> str:
    if word in {"begin", "start"} or _PASSING.match(statement):
        return "transaction"
    if (word in _SETS and not _HARMLESS.match(statement)) or "set_config" in statement.lower():
        return "connection"
    return ""
