"""Header fields: lists, directives, numbers and dates, as RFC 9110 and RFC 9111 write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.utils import mktime_tz, parsedate_tz
from typing import Final, TypeAlias

__all__ = ["Fields", "date_in", "directives", "joined", "least", "names_in", "without"]

Fields: TypeAlias = Iterable[tuple[str, str]]

_DIRECTIVE: Final = re.compile(r"""([!#$%&'*+.^`|~\w-]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^,;\s]*)))?""", re.ASCII)
_LONGEST: Final = 2**31  # seconds; what is longer is as good as for ever
# Of one connection, and of no interest to the next one.
_HOPS: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "proxy-authenticate",
    }
)


def joined(fields: Fields) -> dict[str, str]:
    """
    The value of each field by its name in small letters; those that came several times are one list.

    >>> joined([("Vary", "Accept"), ("vary", "Origin")])
    {'vary': 'Accept, Origin'}
    """
    found: dict[str, str] = {}
    for name, value in fields:
        name = name.lower()  # noqa: PLW2901 - the name that counts
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def without(fields: Fields, names: Iterable[str] = ()) -> list[tuple[str, str]]:
    """The fields but for these, and for those that belong to one connection."""
    fields = list(fields)
    gone = {*names, *_HOPS, *names_in(joined(fields).get("connection", ""))}
    return [(name, value) for name, value in fields if name.lower() not in gone]


def names_in(text: str) -> list[str]:
    """
    The items of a list, in small letters.

    >>> names_in("Accept-Encoding,, Origin ")
    ['accept-encoding', 'origin']
    """
    return [name for item in text.split(",") if (name := item.strip().lower())]


def directives(text: str) -> dict[str, list[str]]:
    """
    The directives of a Cache-Control field, each with all values that it was given.

    What is malformed is read so that nothing is overlooked that forbids something.

    >>> directives('Max-Age=60, private="a, b", max-age="5"')
    {'max-age': ['60', '5'], 'private': ['a, b']}
    """
    found: dict[str, list[str]] = {}
    for name, quoted, bare in _DIRECTIVE.findall(text):
        found.setdefault(name.lower(), []).append(quoted or bare)
    return found


def least(said: Mapping[str, list[str]], name: str) -> int | None:
    """The seconds that a directive says, the least of several, 0 where it says none; None where it is not there."""
    values = said.get(name)
    return None if values is None else min(map(_seconds, values))


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        return 0
    return min(int(text), _LONGEST) if len(text) < 12 else _LONGEST


def date_in(text: str | None) -> float | None:
    """The time that a date means, in seconds since 1970; None for what is no date."""
    try:
        parts = parsedate_tz(text) if text else None
        return None if parts is None else float(mktime_tz(parts))
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
