# ruff: noqa: S101 - a contract asserts
"""The codec contract: the tests that define what a codec is. They ship with the package, for codecs of others."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from itertools import zip_longest
from typing import Any, ClassVar, Final

from cachegrid.codecs import Codec, compose
from cachegrid.errors import FrameError, ValueRefused

__all__ = ["CodecContract", "difference"]

_ABSENT: Final = object()


def difference(expected: Any, got: Any, path: str = "value") -> str | None:
    """
    Where two values differ, in words, or None if they are equal and of the same types at every depth.

    Two that are not equal to themselves, such as NaN, are alike if they are written alike.

    >>> difference([1, (2, 3)], [1, [2, 3]])
    'value[1] is a list and not a tuple'
    """
    if type(expected) is not type(got):
        return f"{path} is a {type(got).__name__} and not a {type(expected).__name__}"
    parts = [*_parts(expected, got)]
    for step, ours, theirs in parts:
        if ours is _ABSENT or theirs is _ABSENT:
            return f"{path}{step} is in one only"
        found = difference(ours, theirs, path + step)
        if found is not None:
            return found
    if parts or repr(expected) == repr(got):
        return None
    return None if _is_equal(expected, got) else f"{path} is {got!r} and not {expected!r}"


def _is_equal(expected: Any, got: Any) -> bool:
    equal = expected == got
    return bool(equal.all()) if hasattr(equal, "all") else bool(equal)


def _parts(expected: Any, got: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each part of two containers of one type, with the step to it."""
    if isinstance(expected, Mapping):
        for mine, theirs in zip_longest(expected, got, fillvalue=_ABSENT):
            yield f".key({mine!r})", mine, theirs
        yield from ((f"[{key!r}]", expected[key], got[key]) for key in expected if key in got)
    elif is_dataclass(expected):
        for field in fields(expected):
            yield f".{field.name}", getattr(expected, field.name), getattr(got, field.name)
    elif isinstance(expected, (set, frozenset)):
        yield from (("{...}", mine, theirs) for mine, theirs in _paired(expected, got))
    elif isinstance(expected, Sequence) and not isinstance(expected, (str, bytes, bytearray, range)):
        for index, (mine, theirs) in enumerate(zip_longest(expected, got, fillvalue=_ABSENT)):
            yield f"[{index}]", mine, theirs


def _paired(expected: Any, got: Any) -> Iterator[tuple[Any, Any]]:
    """The members of two sets that are equal, so that their types can be compared; others are in one only."""
    theirs = {member: member for member in got}
    for member in expected:
        yield member, theirs.pop(member, _ABSENT)
    for member in theirs:
        yield _ABSENT, member


class CodecContract:
    """
    What a codec is: a class of tests that every codec passes.

    Derive from it, name a codec, and tell what it keeps and what it refuses; the rest is the test runner's work.

        class TestMine(CodecContract):
            codec = MyCodec()
            kept = ({"a": 1}, "text", b"bytes")
            refused = (object(),)
    """

    codec: ClassVar[Codec]
    kept: ClassVar[Sequence[Any]]
    refused: ClassVar[Sequence[Any]] = ()
    reads_anything: ClassVar[bool] = False  # no bytes are damaged to it, as none are to `raw`

    def test_its_id_fits_a_frame(self) -> None:
        """
        A frame has one byte for the id, and 0 stands for no codec.
        """
        assert 0 < self.codec.id < 256
        assert self.codec.name

    def test_what_is_put_comes_back(self) -> None:
        """
        Each value comes back equal, of the same types at every depth, from bytes and from a view of them.
        """
        for value in self.kept:
            payload = self.codec.encode(value)
            assert bytes is type(payload)
            assert difference(value, self.codec.decode(payload)) is None
            assert difference(value, self.codec.decode(memoryview(b"head" + payload)[4:])) is None

    def test_values_come_back_as_new_ones(self) -> None:
        """
        Whoever changes what was read changes nobody else's value, nor what is stored.
        """
        for value in self.kept:
            if isinstance(value, (list, dict, set, bytearray)) and value:
                payload = self.codec.encode(value)
                first, second = self.codec.decode(payload), self.codec.decode(payload)
                assert first is not second
                assert isinstance(first, (list, dict, set, bytearray))
                first.clear()
                assert difference(value, second) is None

    def test_what_it_cannot_keep_is_refused(self) -> None:
        """
        A value that would come back as another is refused when it is put, and the error says where it lies.
        """
        for value in self.refused:
            error = self._error_of(value)
            assert error is not None
            assert error.path.startswith("value")
            assert error.kind is not None
            assert error.path in str(error)
            assert self.codec.name in str(error)

    def _error_of(self, value: Any) -> ValueRefused | None:
        try:
            self.codec.encode(value)
        except ValueRefused as error:
            return error
        return None

    def test_damaged_payloads_are_refused(self) -> None:
        """
        Whatever the bytes are, a value or a FrameError comes out.
        """
        chance = random.Random(20)  # noqa: S311 - the same damage in every run
        for value in self.kept:
            payload = self.codec.encode(value)
            for _ in range(60):
                self._read_or_refuse(_damaged(payload[:4096], chance))
        for size in range(60):
            self._read_or_refuse(chance.randbytes(size))

    def _read_or_refuse(self, payload: bytes) -> None:
        try:
            self.codec.decode(payload)
        except FrameError:
            assert not self.reads_anything

    def test_one_codec_serves_many_threads(self) -> None:
        """
        Threads that use a codec at once do not meet in it.
        """

        def round_trips(value: Any) -> list[str | None]:
            return [difference(value, self.codec.decode(self.codec.encode(value))) for _ in range(20)]

        with ThreadPoolExecutor(4) as threads:
            for differences in threads.map(round_trips, [*self.kept] * 4):
                assert {None} == {*differences}

    def test_a_cache_can_have_it(self) -> None:
        """
        A cache composed with the codec gives back what it was given, compressed or not.
        """
        for compress in (None, 1):
            codec = self.codec if self.codec.id >= 128 else self.codec.name
            pipeline = compose(codec, compress=compress, cache="contract", secret=bytes(32))
            for value in self.kept:
                raw = pipeline.freeze(b"address", "key", value, created=1, version=2, ttl=3)
                assert difference(value, pipeline.thaw(b"address", raw)) is None


def _damaged(payload: bytes, chance: random.Random) -> bytes:
    """A payload with some bytes changed, cut off or doubled."""
    body = bytearray(payload)
    for _ in range(chance.randint(1, 3)):
        at = chance.randint(0, len(body))
        match chance.randint(0, 3):
            case 0:
                del body[at:]
            case 1:
                body[at:at] = chance.randbytes(chance.randint(1, 4))
            case 2:
                body[at:at] = body[at : at + chance.randint(1, 40)]
            case _:
                body[at : at + 1] = chance.randbytes(1)
    return bytes(body)
