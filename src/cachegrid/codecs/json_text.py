"""The codec `json`: what JSON has, and nothing that only resembles it, so that other languages can read it."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

from cachegrid.codecs.protocol import Payload
from cachegrid.codecs.refusal import MAX_DEPTH, Refused, too_deep
from cachegrid.errors import FrameError

__all__ = ["JsonCodec"]

_NO_LIKENESS: Final = "JSON has nothing that comes back as this type"
_WAYS: Final = 'convert it, or give the cache codec="plain"'
_MOST_DIGITS: Final = 4300  # that Python turns into an integer unless it is told otherwise
_TOO_LARGE: Final = 10**_MOST_DIGITS


def _check(value: Any, room: int) -> None:
    """`Refused`, with the steps to it, at the first part that JSON would change."""
    kind = type(value)
    if kind is list or kind is dict:
        if room == 0:
            raise too_deep(kind)
        for step, part in enumerate(value) if kind is list else value.items():
            if kind is dict:
                _check_key(step)
            try:
                _check(part, room - 1)
            except Refused as refused:
                raise refused.at(f"[{step!r}]") from None
    elif kind is str:
        _check_text(value)
    elif kind is float:
        if not math.isfinite(value):
            raise Refused(kind, f"JSON has no {value}", _WAYS)
    elif kind is int:
        if not -_TOO_LARGE < value < _TOO_LARGE:
            raise Refused(kind, f"it has more than {_MOST_DIGITS} digits", _WAYS)
    elif value is not None and kind is not bool:
        raise Refused(kind, _NO_LIKENESS, _WAYS)


def _check_key(key: Any) -> None:
    try:
        if type(key) is not str:
            raise Refused(type(key), "keys are text in JSON", _WAYS)
        _check_text(key)
    except Refused as refused:
        raise refused.at(f".key({key!r})") from None


def _check_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused(str, "it has lone surrogates, which UTF-8 cannot hold", _WAYS) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class JsonCodec:
    """Keeps dictionaries with text keys, lists, text, integers, finite floats, booleans and None."""

    id: Final = 2
    name: Final = "json"
    counts: Final = True

    def __init__(self) -> None:
        self._write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
        self._read = json.JSONDecoder(parse_constant=_no_constant).decode

    def encode(self, value: Any) -> bytes:
        """The value as JSON in UTF-8; `ValueRefused` if another value, or one of another type, would come back."""
        try:
            _check(value, MAX_DEPTH)
            return self._write(value).encode()
        except Refused as refused:
            raise refused.as_error(self.name) from None
        except RecursionError:
            raise too_deep(type(value)).as_error(self.name) from None
        except ValueError as error:  # the program allows fewer digits
            raise Refused(type(value), str(error), _WAYS).as_error(self.name) from error

    def decode(self, payload: Payload) -> object:
        """The value of a payload, or `FrameError`."""
        try:
            return self._read(str(payload, "utf-8"))
        except (ValueError, RecursionError) as error:
            raise FrameError(f"no value of the codec 'json': {error}") from error
