"""The functions that the text of a statement calls."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["bare", "calls_in"]

# Names in quotes, texts, and comments, but for those within others, and those that some databases run.
_QUOTED: Final = re.compile(
    r""""[^"]*(?:""[^"]*)*"|'[^']*(?:''[^']*)*'|--(?!\S)[^\n]*|/\*(?!!)(?:(?!/\*).)*?\*/|(\$\w*\$).*?\1""", re.DOTALL
)
_CALL: Final = re.compile(r"""(?<!\w)([^\W\d]\w*)"?\s*\(""")
_INTO: Final = re.compile(r"""\binto\s+[\w."]+""", re.IGNORECASE)
# What stands before a parenthesis, and is no function that anybody has made.
_WORDS: Final = frozenset(
    {
        *("all", "and", "any", "array", "as", "between", "by", "case", "else", "except", "exists", "filter"),
        *("from", "group", "having", "in", "insert", "is", "join", "lateral", "like", "materialized", "not", "on"),
        *("or", "over", "row", "select", "some", "then", "union", "using", "values", "when", "where", "with", "within"),
        *("cast", "coalesce", "concat", "count", "lower", "max", "min", "now", "nullif", "sum", "upper"),
    }
)


@lru_cache(maxsize=1000)
def calls_in(statement: str) -> frozenset[str]:
    """The functions that a statement calls, and what else looks like one."""
    return frozenset(map(str.lower, _CALL.findall(_INTO.sub("", bare(statement))))) - _WORDS


def bare(statement: str) -> str:
    """Without texts and comments; as it is where these may end elsewhere than it seems."""
    return statement if "\\" in statement else _QUOTED.sub(_without, statement)


def _without(found: re.Match[str]) -> str:
    return found[0].replace(";", "") if found[0][0] == '"' else " "
