"""What may be shown of a URL: logs, errors and reprs go further than the programs that may know a password."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["HOST", "with_article", "without_password"]

HOST: Final = re.compile(
    r"(?:\[(?P<address>[0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|(?P<host>[^\s\[\]:]+))(?::(?P<port>[0-9]{0,6}))?"
)


def without_password(url: str) -> str:
    """
    A URL as it may be shown, however wrong it is.

    >>> without_password("valkey://app:secret@h:1")
    'valkey://app:***@h:1'
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "", url
    user, at, hosts = rest.rpartition("@")
    if not at:
        places = re.split("[/?]", rest, maxsplit=1)[0].split(",")
        # No host and port: perhaps a user and a password whose host was forgotten.
        return url if all(":" not in place or HOST.fullmatch(place) for place in places) else f"{scheme}{mark}***"
    name, colon, _ = user.partition(":")
    return f"{scheme}{mark}{name}{':***' if colon else ''}{at}{hosts}"


def with_article(noun: str) -> str:
    """
    What stands before the name of a type.

    >>> with_article("object"), with_article("Sku")
    ('an object', 'a Sku')
    """
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
