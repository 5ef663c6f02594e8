"""
From keys to addresses and back.

An address is `<namespace>:<cache>:<epoch>:<kind><key>`. The epoch is part of it, so that raising the epoch makes
every older entry unreachable at once, counters included, and a write that raced a clear lands where nobody looks.
The kind keeps `1`, `"1"` and `b"1"` apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias, cast

from cachegrid._core.shown import with_article
from cachegrid.errors import ConfigError, KeyRefused

__all__ = ["LONGEST_KEY", "NEVER", "Key", "Space", "check_name", "epoch_in", "parent_of", "prefix_of", "unique"]

Simple: TypeAlias = str | bytes | int
Key: TypeAlias = Simple | tuple[Simple, ...]

LONGEST_KEY: Final = 1024  # bytes, encoded
NEVER: Final = -3  # the doubt of a space whose epochs were never read: no engine has it
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_TEXT, _BYTES, _NUMBER, _TUPLE, _INNER = b"$", b"%", b"#", b"(", b"/"
_ALL_TEXT = frozenset([str])
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def check_name(setting: str, name: str) -> str:
    """A name that can stand in an address; ConfigError for another."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise ConfigError(setting, name, "1 to 100 letters, digits, '_', '-' or '.', beginning with a letter, digit or '_'")


def unique(keys: Iterable[Key]) -> list[Key]:
    """The keys, each once."""
    if isinstance(keys, (str, bytes)):
        raise KeyRefused(f"{keys!r:.60} is one key, where several are expected; put it into a list")
    keys = list(keys)
    try:
        return list(dict.fromkeys(keys))
    except TypeError:
        return keys  # one of them is no key, and is refused when it becomes an address


class Space:
    """
    Where the entries of a cache live at one epoch: a prefix, and the way from a key to an address.

    `doubt` is the engine's when the epochs were read: the space may be trusted while it stays the same.
    """

    __slots__ = ("_between", "_longest", "_text", "doubt", "epochs", "parents", "prefix")

    def __init__(self, namespace: str, names: Sequence[str], epochs: Sequence[int], doubt: int) -> None:
        self.doubt = doubt
        self.epochs = tuple(epochs)
        self.parents: list[bytes] = []  # for each epoch, what all addresses of all its epochs begin with
        prefix = namespace.encode()
        for name, epoch in zip(names, epochs, strict=True):
            prefix += b":" + name.encode() + b":"
            self.parents.append(prefix)
            prefix += _base36(epoch)
            # An inner space begins like a key of its own kind, and so is never taken for a key.
            namespace_end = prefix + b":"
            prefix = namespace_end + _INNER if name is not names[-1] else namespace_end
        self.prefix = prefix
        self._text = prefix + _TEXT
        self._between = "\0" + self._text.decode()  # what stands before a key in the addresses of many
        self._longest = len(prefix) + 1 + LONGEST_KEY

    @property
    def names(self) -> list[bytes]:
        """What stays the same when epochs are raised: namespace and cache, and the name of an inner cache."""
        fields = self.parents[-1].split(b":")
        return fields[:2] + fields[4:]

    def address(self, key: Key) -> bytes:
        """
        The address of a key. Raises KeyRefused for what cannot be a key.

        >>> space = Space("cg", ["prices"], [0], doubt=0)
        >>> space.address("sku-1"), space.address(1), space.address(("sku", 1))
        (b'cg:prices:0:$sku-1', b'cg:prices:0:#1', b'cg:prices:0:($3:sku#1:1')
        """
        if key.__class__ is str:
            try:
                address = self._text + key.encode()
            except UnicodeEncodeError as error:
                raise KeyRefused(f"the key {key!r} holds a lone surrogate, which has no UTF-8 form") from error
        elif key.__class__ is tuple:
            address = self.prefix + _TUPLE
            for part in key:
                # Written out for str: most parts are one.
                try:
                    kind, raw = (_TEXT, part.encode()) if part.__class__ is str else _element(part, key)
                except UnicodeEncodeError:
                    kind, raw = _element(part, key)  # raises
                address += b"%b%d:%b" % (kind, len(raw), raw)
        else:
            kind, raw = _element(key, key)
            address = self.prefix + kind + raw
        if len(address) > self._longest:
            size = len(address) - self._longest + LONGEST_KEY
            raise KeyRefused(
                f"the key {_shortened(key)} takes {size:,} bytes, and a key may take {LONGEST_KEY:,}; "
                "use a digest of it, such as hashlib.sha256(...).hexdigest()"
            )
        return address

    def addresses(self, keys: list[Key]) -> list[bytes]:
        """The addresses of many keys; raises as `address` does."""
        if _ALL_TEXT.issuperset(map(type, keys)):
            try:
                # Encoded as one and parted again: to encode each takes half as long again.
                found = (self._text + self._between.join(cast("list[str]", keys)).encode()).split(b"\0")
            except UnicodeEncodeError:
                found = []  # the one that has no form raises below
            if len(found) == len(keys) and max(map(len, found)) <= self._longest:
                return found
        return [self.address(key) for key in keys]

    def key(self, address: bytes) -> Key | None:
        """The key of an address of this space; None if the address is not one."""
        kind, raw = address[len(self.prefix) : len(self.prefix) + 1], address[len(self.prefix) + 1 :]
        if not address.startswith(self.prefix) or kind == _INNER:
            return None
        try:
            return _parts(raw) if kind == _TUPLE else _simple(kind, raw)
        except (ValueError, IndexError):
            return None


def parent_of(address: bytes) -> bytes:
    """
    What all addresses of a cache begin with, inner caches included.

    >>> parent_of(b"cg:prices:0:$sku-1")
    b'cg:prices:'
    """
    return address[: address.find(b":", address.find(b":") + 1) + 1]


def prefix_of(address: bytes) -> bytes:
    """
    The prefix of the space that an address belongs to; nothing for what is no address.

    >>> prefix_of(b"cg:prices:0:$sku-1"), prefix_of(b"cg:prices:0:/:rates:4:$EUR")
    (b'cg:prices:0:', b'cg:prices:0:/:rates:4:')
    """
    fields = address.split(b":", 6)
    count = 6 if fields[3:4] == [_INNER] else 3
    return b":".join(fields[:count]) + b":" if len(fields) > count else b""


def epoch_in(address: bytes, parent: bytes) -> int | None:
    """The epoch in an address that begins with one of a space's `parents`; None if it has none."""
    digits, colon, _ = address[len(parent) :].partition(b":")
    if not colon or not digits.isalnum():
        return None
    return int(digits, 36)


def _element(part: object, key: object) -> tuple[bytes, bytes]:
    kind = part.__class__
    if kind is str:
        assert isinstance(part, str)  # noqa: S101 - for the type checker
        try:
            return _TEXT, part.encode()
        except UnicodeEncodeError as error:
            raise KeyRefused(f"the key {_shortened(key)} holds a lone surrogate, which has no UTF-8 form") from error
    if kind is bytes:
        assert isinstance(part, bytes)  # noqa: S101 - for the type checker
        return _BYTES, part
    if kind is int:
        assert isinstance(part, int)  # noqa: S101 - for the type checker
        # One that is too long for a key in any case is not written out: Python refuses the longest ones.
        return _NUMBER, b"%d" % part if part.bit_length() <= 8 * LONGEST_KEY else bytes(LONGEST_KEY + 1)
    inside = "" if part is key else f" inside {_shortened(key)}"
    raise KeyRefused(
        f"a key must be str, bytes, int or a tuple of them; {_shortened(part)}{inside} is {kind.__name__}. "
        "Use str(...) of it, or a tuple of its parts"
    )


def _simple(kind: bytes, raw: bytes) -> Simple:
    if kind == _TEXT:
        return raw.decode()
    if kind == _NUMBER:
        return int(raw)
    if kind == _BYTES:
        return raw
    raise ValueError(kind)


def _parts(raw: bytes) -> tuple[Simple, ...]:
    parts: list[Simple] = []
    while raw:
        kind, (size, _, rest) = raw[:1], raw[1:].partition(b":")
        end = int(size)
        if end > len(rest):
            raise ValueError(raw)
        parts.append(_simple(kind, rest[:end]))
        raw = rest[end:]
    return tuple(parts)


def _shortened(key: object) -> str:
    try:
        text = repr(key)
    except ValueError:  # an integer with thousands of digits
        return f"with a huge number in it, {with_article(type(key).__name__)},"
    return text if len(text) <= 60 else text[:40] + "..." + text[-10:]


def _base36(number: int) -> bytes:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return (digits or "0").encode()
