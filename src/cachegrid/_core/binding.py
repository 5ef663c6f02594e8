"""From the arguments of a call to a key: bound to the parameters, defaults applied, types kept apart."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import hashlib
import inspect
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final

from cachegrid._core.address import Key
from cachegrid.errors import ConfigError, KeyRefused

__all__ = ["Binder", "OwnedBinder", "told"]

_BY_REPR: Final = (
    dt.datetime,
    dt.date,
    dt.time,
    dt.timedelta,
    decimal.Decimal,
    uuid.UUID,
    float,
    complex,
    range,
)
_LONGEST: Final = 200  # bytes of readable arguments; longer ones become a digest


class Binder:
    """
    Makes the keys of one function's calls.

    Calls that mean the same have the same key: by position or by name, with a default said or left out.
    """

    def __init__(self, function: Callable[..., object], ignore: Iterable[str] = ()) -> None:
        self._name = getattr(function, "__qualname__", repr(function))
        try:
            self._signature = self._signature_of(function)
        except ValueError as error:
            want = "a function whose parameters can be known; put it into one of your own, or make keys with key="
            raise ConfigError("cached", function, want) from error
        parameters = list(self._signature.parameters.values())
        self._ignored = frozenset([ignore] if isinstance(ignore, str) else ignore)
        takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
        for name in self._ignored:
            if name not in self._signature.parameters and not takes_any:
                raise ConfigError("ignore", name, f"a parameter of {self._name}{self._signature}")
        plain = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
        self._is_plain = all(parameter.kind in plain for parameter in parameters)
        kept = [index for index, parameter in enumerate(parameters) if parameter.name not in self._ignored]
        self._kept = tuple(kept) if self._ignored else None  # where the arguments are that tell calls apart
        self._count = len(parameters)
        self._defaults = tuple(p.default for p in parameters if p.default is not inspect.Parameter.empty)
        self._required = self._count - len(self._defaults)
        # As many arguments by position are a key as they are.
        self._whole = self._count if self._is_plain and not self._ignored else -1

    def _signature_of(self, function: Callable[..., object]) -> inspect.Signature:
        return inspect.signature(function)

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key:
        """The key of a call. Raises KeyRefused for what cannot be in one, and TypeError as the call itself would."""
        if len(args) == self._whole and not kwargs:
            values = args  # the commonest call
        elif self._is_plain and not kwargs and self._required <= len(args) <= self._count:
            # Without the cost of binding.
            values = args + self._defaults[len(args) - self._required :] if len(args) < self._count else args
            if self._kept is not None:
                values = tuple([values[index] for index in self._kept])
        else:
            values = self._bound(args, kwargs)
        room = _LONGEST
        for value in values:
            kind = value.__class__
            if kind is str:
                if not value.isascii() and not _is_utf8(value):
                    return self._digest(values)
                room -= len(value)
            elif kind is int:
                room -= value.bit_length() >> 1
            elif kind is bytes:
                room -= len(value)
            else:
                return self._digest(values)
        if room < 0:
            return self._digest(values)
        return values

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._name}(): {error}") from None
        bound.apply_defaults()
        kinds = inspect.Parameter
        values: list[Any] = []
        for name, value in bound.arguments.items():
            kind = self._signature.parameters[name].kind
            if name in self._ignored:
                continue
            if kind is kinds.VAR_KEYWORD:
                # Names sorted: their order in the call means nothing.
                values += [(key, value[key]) for key in sorted(value) if key not in self._ignored]
            elif kind is kinds.VAR_POSITIONAL:
                values.append(tuple(value))
            else:
                values.append(value)
        return tuple(values)

    def _digest(self, values: tuple[Any, ...]) -> Key:
        digest = hashlib.blake2b(digest_size=16)
        for number, value in enumerate(values):
            try:
                _feed(value, digest.update, 0)
            except _NoKey as error:
                raise KeyRefused(
                    f"argument {self._parameter(number, value)!r} of {self._name} holds {error.value!r:.60} of type "
                    f"{type(error.value).__qualname__}, which cannot be part of a key; leave the argument out with "
                    "ignore=, make the key with key=, or give the class a __cache_key__() that returns a key"
                ) from None
        # Bytes alone: no call with simple arguments has a key of this form, since theirs are tuples.
        return digest.digest()

    def _parameter(self, number: int, value: Any) -> str:
        """The name of what is at a place of the arguments that tell calls apart."""
        parameters = [it for it in self._signature.parameters.values() if it.name not in self._ignored]
        last = parameters[min(number, len(parameters) - 1)]
        if last.kind is inspect.Parameter.VAR_KEYWORD:
            return str(value[0])
        return f"*{last.name}" if last.kind is inspect.Parameter.VAR_POSITIONAL else last.name


class OwnedBinder(Binder):
    """The same for a method that was taken from an object: this is the first of its arguments."""

    def __init__(self, method: Callable[..., object], owner: object, name: str, ignore: Iterable[str] = ()) -> None:
        self._owner = inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY)
        super().__init__(method, ignore)
        self._first = (owner,)

    def _signature_of(self, function: Callable[..., object]) -> inspect.Signature:
        signature = super()._signature_of(function)
        return signature.replace(parameters=[self._owner, *signature.parameters.values()])

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key:
        """The key of a call, in which the object is not among the arguments."""
        return super().key(self._first + args, kwargs)


def told(value: object) -> bytes | None:
    """A digest of a value, the same in every process; None for one that cannot be told from others."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        _feed(value, digest.update, 0)
    except _NoKey:
        return None
    return digest.digest()


def _is_utf8(text: str) -> bool:
    """Not if it holds a lone surrogate, as the names of some files do."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _NoKey(Exception):
    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


def _feed(value: Any, update: Callable[[bytes], None], depth: int) -> None:
    """Tell a digest a value, so that different values, and types, are told differently."""
    if depth > 50:
        raise _NoKey(value)
    kind = value.__class__
    if value is None or kind in (bool, int):
        # In hex, since the decimal form of a large one is refused.
        _tell(update, kind.__name__, b"" if value is None else b"%x" % value)
    elif kind is str:
        _tell(update, "str", value.encode("utf-8", "surrogatepass"))
    elif kind in (bytes, bytearray):
        _tell(update, kind.__name__, bytes(value))
    elif kind in (list, tuple):
        _tell_all(update, kind.__name__, value, depth)
    elif kind in (set, frozenset):
        _tell_sorted(update, kind.__name__, value, depth)
    elif kind is dict:
        _tell_sorted(update, "dict", value.items(), depth)
    elif kind in _BY_REPR:
        _tell(update, kind.__name__, repr(value).encode())
    else:
        _feed_object(value, update, depth)


def _feed_object(value: Any, update: Callable[[bytes], None], depth: int) -> None:
    kind = value.__class__
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, type):
        _tell(update, "class", f"{value.__module__}.{value.__qualname__}".encode())
    elif hasattr(kind, "__cache_key__"):
        _tell(update, "key", name.encode())
        _feed(value.__cache_key__(), update, depth + 1)
    elif isinstance(value, enum.Flag):  # a combination may have no name
        _tell(update, "flag", name.encode())
        _feed(value.value, update, depth + 1)
    elif isinstance(value, enum.Enum):
        _tell(update, "enum", f"{name}.{value.name}".encode())
    elif dataclasses.is_dataclass(value):
        _tell(update, "dataclass", name.encode())
        fields = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        _tell_all(update, "fields", fields, depth)
    elif isinstance(value, tuple) and hasattr(kind, "_fields"):
        _tell_all(update, name, value, depth)
    else:
        raise _NoKey(value)


def _tell(update: Callable[[bytes], None], kind: str, raw: bytes) -> None:
    # With its length, so that no two parts can slide into one another.
    update(f"{kind}:{len(raw)}:".encode())
    update(raw)


def _tell_all(update: Callable[[bytes], None], kind: str, values: Iterable[Any], depth: int) -> None:
    values = list(values)
    _tell(update, kind, str(len(values)).encode())
    for value in values:
        _feed(value, update, depth + 1)


def _tell_sorted(update: Callable[[bytes], None], kind: str, values: Iterable[Any], depth: int) -> None:
    digests = []
    for value in values:
        digest = hashlib.blake2b(digest_size=16)
        _feed(value, digest.update, depth + 1)
        digests.append(digest.digest())
    _tell(update, kind, b"".join(sorted(digests)))
