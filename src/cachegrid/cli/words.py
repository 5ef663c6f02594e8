"""Keys, values and times as they are typed on a command line."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from typing import Any

from cachegrid._core.address import Key
from cachegrid._core.units import seconds_of
from cachegrid.cli.jsonform import from_json, to_json
from cachegrid.errors import ConfigError

__all__ = ["KeyType", "ValueType", "duration_in", "key_in", "text_of_key", "value_in"]

STDIN = "-"


class KeyType(StrEnum):
    """What the text of a key means."""

    TEXT = "str"
    NUMBER = "int"
    BYTES = "bytes"  # the text itself, as bytes
    HEX = "hex"  # bytes, two digits each
    JSON = "json"


class ValueType(StrEnum):
    """What the text of a value means."""

    TEXT = "str"
    NUMBER = "int"
    FLOAT = "float"
    JSON = "json"
    BYTES = "bytes"  # the text itself, as bytes
    HEX = "hex"  # bytes, two digits each


def key_in(text: str, kind: KeyType) -> Key:
    """
    The key that is meant; ConfigError if the text is none of that kind.

    >>> key_in("5", KeyType.TEXT), key_in("5", KeyType.NUMBER), key_in('["a", 5]', KeyType.JSON)
    ('5', 5, ('a', 5))
    """
    value = _typed("KEY", text, ValueType(kind))
    return tuple(value) if isinstance(value, list) else value


def value_in(text: str, kind: ValueType) -> Any:
    """The value that is meant; `-` reads it from the standard input. ConfigError if it is none of that kind."""
    if text != STDIN:
        return _typed("VALUE", text, kind)
    raw = sys.stdin.buffer.read()
    return raw if kind is ValueType.BYTES else _typed("VALUE", raw.decode(errors="surrogateescape"), kind)


def duration_in(option: str, text: str) -> float:
    """
    The seconds that an option says; ConfigError, which names it, if they are none.

    >>> duration_in("--ttl", "90"), duration_in("--ttl", "1h30m")
    (90.0, 5400.0)
    """
    return seconds_of(option, text)


def text_of_key(key: Key) -> tuple[str, KeyType]:
    """
    A key as it is typed, and the type to say with it. Text that cannot be printed is JSON, in escapes.

    >>> text_of_key("a"), text_of_key(5), text_of_key(("a", 5))
    (('a', <KeyType.TEXT: 'str'>), ('5', <KeyType.NUMBER: 'int'>), ('["a", 5]', <KeyType.JSON: 'json'>))
    """
    if isinstance(key, str) and key.isprintable():
        return key, KeyType.TEXT
    if isinstance(key, int):
        return str(key), KeyType.NUMBER
    if isinstance(key, bytes):
        return key.hex(), KeyType.HEX
    told = key if isinstance(key, str) else [to_json(part) for part in key]
    plain = json.dumps(told, ensure_ascii=False)
    # What moves the cursor, or changes colours, is another's key and not for this terminal.
    return plain if plain.isprintable() else json.dumps(told), KeyType.JSON


def _typed(what: str, text: str, kind: ValueType) -> Any:
    try:
        match kind:
            case ValueType.TEXT:
                return text
            case ValueType.NUMBER:
                return int(text)
            case ValueType.FLOAT:
                return float(text)
            case ValueType.BYTES:
                return os.fsencode(text)
            case ValueType.HEX:
                return bytes.fromhex(text)
            case ValueType.JSON:
                return from_json(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ConfigError(what, _shortened(text), f"{_WANTED[kind]} ({error})") from error


_WANTED = {
    ValueType.NUMBER: "a whole number",
    ValueType.FLOAT: "a number",
    ValueType.HEX: "pairs of hex digits",
    ValueType.JSON: "JSON; text is quoted there, such as '\"text\"'",
}


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
