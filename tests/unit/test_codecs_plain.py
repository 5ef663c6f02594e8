"""The codec `plain`: what you get is what you put, or it is refused when you put it."""

from __future__ import annotations

import decimal
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings

from cachegrid.codecs.plain import PlainCodec
from cachegrid.errors import ValueRefused
from cachegrid.testing.codec_contract import difference
from tests.unit.codec_values import Mark, Pair, Place, Tone, plain_values, records

PLAIN = PlainCodec()
BERLIN = ZoneInfo("Europe/Berlin")


def round_trip(value: Any) -> Any:
    return PLAIN.decode(PLAIN.encode(value))


@settings(max_examples=400)
@given(plain_values())
def test_what_you_get_is_what_you_put(value: Any) -> None:
    """
    Every value comes back equal, with the same types and the same order at every depth.
    """
    assert difference(value, round_trip(value)) is None


@settings(max_examples=150)
@given(records(plain_values(3)))
def test_records_come_back_as_they_were(rows: Any) -> None:
    """
    Rows that are stored as columns are no other rows, alone or in a small dictionary.
    """
    assert difference(rows, round_trip(rows)) is None
    assert difference({"rows": rows, "total": 3}, round_trip({"rows": rows, "total": 3})) is None


@pytest.mark.parametrize("value", [-(2**63) - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 1 << 2000, -(1 << 2000)])
def test_integers_of_any_size(value: int) -> None:
    """
    No integer is too large, alone, in another value, or as a key.
    """
    assert value == round_trip(value)
    assert {value: [(value,)]} == round_trip({value: [(value,)]})


@pytest.mark.parametrize("text", ["NaN", "-NaN123", "sNaN", "Infinity", "-0", "0E+400", "1.10", "-1E-999999"])
def test_decimals_keep_sign_digits_and_exponent(text: str) -> None:
    """
    A decimal keeps what no comparison shows, whatever the context rounds to.
    """
    with decimal.localcontext(prec=2):
        assert Decimal(text).as_tuple() == round_trip(Decimal(text)).as_tuple()
        assert Decimal(text).as_tuple() == round_trip([Decimal(text)])[0].as_tuple()


def test_zones_keep_their_name() -> None:
    """
    A zone of the database comes back by its key, a fixed offset with its name, and UTC is UTC.
    """
    for zone in (None, UTC, BERLIN, timezone(timedelta(hours=2)), timezone(timedelta(microseconds=1), "tick")):
        for fold in (0, 1):
            for value in (datetime(2024, 10, 27, 2, 30, 0, 7, zone, fold=fold), time(2, 30, tzinfo=zone, fold=fold)):
                got = round_trip(value)
                assert repr(value) == repr(got)
                assert fold == got.fold
    assert round_trip(datetime(2024, 1, 1, tzinfo=BERLIN)).tzinfo is BERLIN
    assert round_trip(datetime(2024, 1, 1, tzinfo=UTC)).tzinfo is UTC


def test_lone_surrogates_are_kept() -> None:
    """
    Text that UTF-8 has not, as file names hold it, is kept as key, as value and alone.
    """
    odd = "name\udcff"
    assert odd == round_trip(odd)
    assert {odd: [odd]} == round_trip({odd: [odd]})


def test_buffers_do_not_become_bytes() -> None:
    """
    A bytearray stays one, wherever it hides from the search for it.
    """
    buffer = bytearray(b"buffer")
    rows = [{"number": index * 1.5, "text": "x", "blob": b"b"} for index in range(50)]
    for column in ("number", "text", "blob"):
        hidden = [dict(row) for row in rows]
        hidden[-1][column] = buffer
        assert difference(hidden, round_trip(hidden)) is None
        assert (
            difference([*map(tuple, map(dict.values, hidden))], round_trip([*map(tuple, map(dict.values, hidden))]))
            is None
        )
    for value in (
        [1.5] * 400 + [buffer],
        ["x"] * 400 + [buffer],
        {"a": {"b": [[buffer]]}},
        (buffer,),
        {"k": Place(buffer)},
    ):
        assert difference(value, round_trip(value)) is None
    for size in (0, 255, 256, 65535, 65536):
        assert difference([bytearray(size)], round_trip([bytearray(size)])) is None
        assert difference([bytes(size)], round_trip([bytes(size)])) is None


def test_keys_do_not_become_text() -> None:
    """
    Keys that only resemble text, or each other, stay what they are.
    """
    for value in (
        {1: "a", "1": "b", b"1": "c", 1.5: "d", None: "e", False: "f"},
        {Mark("a"): 1, "b": 2},
        {Tone.WARM: 1},
        {datetime(2024, 1, 1, tzinfo=UTC).date(): 1, (1, ("a",)): 2, frozenset({1}): 3},
        {float("nan"): 1},
    ):
        assert difference(value, round_trip(value)) is None
        assert difference([(value,)], round_trip([(value,)])) is None


def test_text_of_a_subclass_among_keys_of_records_is_seen() -> None:
    """
    One key that only equals the others is enough for rows to be stored one by one.
    """
    rows: list[dict[Any, int]] = [{"a": index, "b": index} for index in range(30)]
    rows[20] = {Tone.WARM: 1, "b": 2}
    tones = [{Tone.WARM.value: index, "b": index} for index in range(29)] + rows[20:21]
    assert difference(rows, round_trip(rows)) is None
    assert difference(tones, round_trip(tones)) is None


@pytest.mark.parametrize("width", [1, 3, 30, 300])
def test_records_of_any_width_are_read_again_and_again(width: int) -> None:
    """
    The first reading, the second, for which a function is made, and the third give the same rows.
    """
    rows = [{f"key {column}": index * column for column in range(width)} for index in range(9)]
    payload = PLAIN.encode(rows)
    for _ in range(3):
        assert difference(rows, PLAIN.decode(payload)) is None


def test_records_take_less_than_pickle(pickled: Any) -> None:
    """
    Columns hold each key once, alone and in the usual envelope.
    """
    rows = [
        {"id": index, "name": f"place {index}", "lat": index / 7, "open": True, "note": None} for index in range(100)
    ]
    for value in (rows, {"total": 100, "rows": rows}, [tuple(row.values()) for row in rows]):
        assert len(PLAIN.encode(value)) < len(pickled(value))


@pytest.fixture
def pickled() -> Any:
    import pickle

    return lambda value: pickle.dumps(value, 5)


class Odd:
    """A class that nobody registered."""


@dataclass
class Unregistered:
    """Nor this one."""

    part: Any = None


class Loose(NamedTuple):
    """Nor this one."""

    part: Any


class Sundial(tzinfo):
    """A time zone of somebody's own."""


class Text(str):
    __slots__ = ()


ODD = Odd()
BESIDE = Place("x")
BESIDE.extra = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "path", "kind"),
    [
        (ODD, "value", Odd),
        ({"a": [1, {"b": ODD}]}, "value['a'][1]['b']", Odd),
        ([(1, {"k": {2, Loose(3)}})], "value[0][1]['k']{...}", Loose),
        ({"a": Place("x", at=[Unregistered()])}, "value['a'].at[0]", Unregistered),
        (Pair(1, (ODD,)), "value.right[0]", Odd),
        ({1: ODD}, "value[1]", Odd),
        ({(1, Loose(2)): 1}, "value.key((1, Loose(part=2)))[1]", Loose),
        ([datetime(2024, 1, 1, tzinfo=Sundial())], "value[0]", Sundial),  # type: ignore[abstract]
        ({"x": BESIDE}, "value['x']", Place),
        ([memoryview(b"x")], "value[0]", memoryview),
        ([defaultdict(list)], "value[0]", defaultdict),
        ([Text("x")], "value[0]", Text),
        ({Text("x"): 1}, "value.key('x')", Text),
        ([{"a": index, "b": ODD} for index in range(9)], "value[0]['b']", Odd),
        (lambda: None, "value", type(lambda: None)),
        ([int], "value[0]", type),
    ],
)
def test_what_cannot_be_kept_is_refused(value: Any, path: str, kind: type) -> None:
    """
    The error names the type, the way to it, and the ways out; nothing is stored in another shape.
    """
    with pytest.raises(ValueRefused) as caught:
        PLAIN.encode(value)
    assert path == caught.value.path
    assert kind is caught.value.kind
    assert kind.__name__ in str(caught.value)
    assert any(way in str(caught.value) for way in ("register", "use datetime", "store its name"))


def _cycles() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    twice: list[Any] = []
    twice.extend([twice, twice])
    mapping: dict[str, Any] = {}
    mapping["self"] = [(mapping,)]
    keyed: dict[int, Any] = {}
    keyed[1] = keyed
    place = Place("x")
    place.at = place
    nest: list[Any] = [place]
    for _ in range(200):
        nest = [nest]
    place.name = nest
    return [loop, twice, mapping, keyed, place]


@pytest.mark.parametrize("value", _cycles(), ids=["list", "twice", "mapping", "keyed", "dataclass"])
def test_cycles_are_refused(value: Any) -> None:
    """
    A value that contains itself ends in an error that says so, not in a deep stack.
    """
    with pytest.raises(ValueRefused, match="contains itself"):
        PLAIN.encode(value)


NESTS: dict[str, Any] = {
    "list": lambda inner: [inner],
    "tuple": lambda inner: (inner,),
    "dict": lambda inner: {"in": inner},
    "keyed": lambda inner: {1: inner},
    "odd": lambda inner: {(1,): inner},
    "dataclass": Place,
    "both": lambda inner: [{"in": (inner,)}],
}


@pytest.mark.parametrize("nest", NESTS)
def test_values_may_be_deep_but_not_endless(nest: str) -> None:
    """
    42 nested tuples, dataclasses or lists of dictionaries come back; 5,000 of anything are refused.
    """
    value: Any = "core"
    for _ in range(42):
        value = NESTS[nest](value)
    assert difference(value, round_trip(value)) is None
    for _ in range(5_000):
        value = NESTS[nest](value)
    with pytest.raises(ValueRefused, match="128 containers"):
        PLAIN.encode(value)
    _unravel(value)


def _unravel(value: Any) -> None:
    """Take a deep value apart, level by level: Python itself would free it recursively."""
    while value is not None and value != "core":
        match value:
            case [inner] | (inner,):
                value = inner
            case dict():
                (value,) = value.values()
            case _:
                value = getattr(value, "name", None)


def test_the_deepest_kept_is_read_again() -> None:
    """
    Whatever depth is taken when it is put can be read, for every kind of container.
    """
    for nest in NESTS.values():
        value: Any = 1
        depths = []
        for depth in range(1, 300):
            value = nest(value)
            try:
                payload = PLAIN.encode(value)
            except ValueRefused:
                continue
            depths.append(depth)
            assert difference(repr(value), repr(PLAIN.decode(payload))) is None
        assert min(128, 128 // 3) <= len(depths)
        assert all(after == before + 1 for before, after in pairwise(depths))


def test_an_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Ctrl-C while a registered class is packed or read ends the call, and is no damaged value.
    """
    from cachegrid.codecs import register

    @register(name="interrupted", pack=_interrupt, unpack=_interrupt)
    class Interrupted:
        """Somebody presses Ctrl-C whenever it is packed."""

    with pytest.raises(KeyboardInterrupt):
        PLAIN.encode([Interrupted()])
    with pytest.raises(KeyboardInterrupt):
        PLAIN.encode(Interrupted())
    payload = PLAIN.encode([Place("x")]).replace(b"Place", b"Place")
    assert difference([Place("x")], PLAIN.decode(payload)) is None


def _interrupt(value: object) -> Any:
    raise KeyboardInterrupt
