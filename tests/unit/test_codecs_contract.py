"""Every codec of ours keeps the contract, and so does one of somebody else's."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cachegrid.codecs import codec_named
from cachegrid.codecs.protocol import Payload
from cachegrid.codecs.refusal import Refused
from cachegrid.errors import FrameError
from cachegrid.testing.codec_contract import CodecContract, difference
from tests.unit.codec_values import Colour, Frozen, Pair, Place, Slotted

JSON_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -(2**80),
    1.5,
    -0.0,
    5e-324,
    "",
    "Zürich, 東京, 🌍, \x00",
    [],
    {},
    [1, [2, {"a": [None, False, "x"]}]],
    {"b": 1, "a": {"": []}},
    [{"id": index, "name": f"name {index}"} for index in range(20)],
)
ROW = {"id": 7, "lat": 1.25, "name": "Bern", "capital": True, "note": None, "tags": ["a", "b"]}


class TestPlain(CodecContract):
    """The default."""

    codec = codec_named("plain")
    kept = (
        *JSON_VALUES,
        b"",
        b"x" * 5000,
        bytearray(b"x"),
        float("nan"),
        1 + 2j,
        (1, (2,)),
        {1, "a", (2, 3)},
        frozenset({None}),
        {1: "a", (2,): "b", None: {b"c": []}},
        OrderedDict(b=1, a=2),
        deque([1, 2], 5),
        range(1, 10, 3),
        datetime(2024, 2, 29, 12, 30, 0, 5),  # noqa: DTZ001 - naive ones are kept as well
        datetime(2024, 2, 29, tzinfo=UTC),
        datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        date(1, 1, 1),
        time(23, 59, 59, 999999),
        timedelta(-1, 2, 3),
        Decimal("1.10"),
        UUID(int=5),
        Colour.RED,
        Place("x", at=(1.0, 2.0)),
        Frozen(Slotted(1)),
        Pair(1, [2]),
        np.arange(6.0).reshape(2, 3),
        np.float32(1.5),
        [{**ROW, "id": index} for index in range(20)],
        {"total": 20, "rows": [{**ROW, "id": index} for index in range(20)]},
        [(index, f"name {index}") for index in range(20)],
    )
    refused = (
        object(),
        [1, {"a": object()}],
        lambda: None,
        {1: {2: threading.Lock()}},
        memoryview(b"x"),
        [NotImplemented],
    )


class TestJson(CodecContract):
    """What other languages read."""

    codec = codec_named("json")
    kept = JSON_VALUES
    refused = (
        (1,),
        b"x",
        {1: 2},
        {"a": [1, (2,)]},
        float("nan"),
        [float("inf")],
        {"a": {"\ud800": 1}},
        ["\udfff"],
        10**4300,
        {True: 1},
        datetime(2024, 1, 1, tzinfo=UTC),
        [Colour.RED],
        OrderedDict(a=1),
    )


class TestRaw(CodecContract):
    """Bytes."""

    codec = codec_named("raw")
    kept = (b"", b"x", bytes(range(256)) * 100)
    refused = ("text", bytearray(b"x"), memoryview(b"x"), 5, None, [b"x"])
    reads_anything = True


class TestPickle(CodecContract):
    """Anything, under a signature."""

    codec = codec_named("pickle")
    kept = (*JSON_VALUES, (1, {2}), Place("x"), Colour.RED, ValueError)
    refused = (lambda: None, threading.Lock(), [threading.Lock()])

    def test_damaged_payloads_are_refused(self) -> None:
        """
        A pickle that ends early, or names what is gone, is a FrameError; others are never read unsigned.
        """
        for payload in (b"", b"x", b"\x80\x05K", b"\x80\x05cno.such\nmodule\n.", self.codec.encode([1, 2])[:-2]):
            with pytest.raises(FrameError, match="pickle"):
                self.codec.decode(payload)


class Reversed:
    """A codec of somebody else's: text, back to front."""

    id = 200
    name = "reversed"

    def encode(self, value: object) -> bytes:
        if type(value) is not str:
            raise Refused(type(value), "it keeps text only", "give it as text").as_error(self.name)
        return value[::-1].encode()

    def decode(self, payload: Payload) -> str:
        try:
            return str(payload, "utf-8")[::-1]
        except UnicodeDecodeError as error:
            raise FrameError(str(error)) from error


class TestPlugIn(CodecContract):
    """The contract ships for those who write a codec."""

    codec = Reversed()
    kept: ClassVar[tuple[str, ...]] = ("", "abc", "Zürich")
    refused: ClassVar[tuple[object, ...]] = (b"x", 1)


@pytest.mark.parametrize(
    ("expected", "got", "told"),
    [
        (1, True, "value is a bool and not a int"),
        ([1], [1, 2], "value[1] is in one only"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "value.key('a') is 'b' and not 'a'"),
        ({"a": [(1,)]}, {"a": [[1]]}, "value['a'][0] is a list and not a tuple"),
        ({1}, {2}, "value{...} is in one only"),
        ({(1, 2)}, {(1, True + 1)}, None),
        ({1}, {True}, "value{...} is a bool and not a int"),
        ({frozenset({1, "a"})}, {frozenset({"a", 1})}, None),
        (Place("x"), Place("y"), "value.name is 'y' and not 'x'"),
        (0.0, -0.0, None),
        (float("nan"), float("nan"), None),
    ],
)
def test_the_contract_sees_differences(expected: Any, got: Any, told: str | None) -> None:
    """
    What compares values in the contract tells types, orders and lengths apart.
    """
    assert told == difference(expected, got)
