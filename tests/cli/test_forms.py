"""Keys and values, as they are typed and as they are told."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import zoneinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid.cli.jsonform import from_json, to_json
from cachegrid.cli.words import KeyType, ValueType, duration_in, key_in, text_of_key, value_in
from cachegrid.errors import ConfigError

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.binary().map(bytearray)
    | st.datetimes()
    | st.datetimes(timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30))]))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
)
HASHABLE = st.integers() | st.text() | st.binary() | st.dates()
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.dictionaries(st.text().map("${}".format), inner, max_size=2)
        | st.sets(HASHABLE, max_size=3)
        | st.frozensets(HASHABLE, max_size=3)
    ),
    max_leaves=8,
)


def types_of(value: Any) -> Any:
    """The types of a value and of all that is in it."""
    if isinstance(value, dict):
        return dict, [(types_of(key), types_of(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [types_of(item) for item in value]
    return type(value)


@given(VALUES)
def test_a_value_told_as_json_comes_back_equal_and_of_the_same_types(value: Any) -> None:
    """
    Through text, as between two programs.
    """
    back = from_json(json.loads(json.dumps(to_json(value), allow_nan=False)))
    assert value == back
    assert types_of(value) == types_of(back)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_numbers_that_json_has_not_come_back(number: str) -> None:
    """
    Not a number is not even equal to itself, so its text is compared.
    """
    assert number == repr(from_json(to_json(float(number))))


def test_a_zone_keeps_its_name() -> None:
    """
    Of the two hours that are called half past two on the day the clocks go back, too.
    """
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    for fold in (0, 1):
        moment = dt.datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold)
        back = from_json(to_json(moment))
        assert (moment.isoformat(), berlin) == (back.isoformat(), back.tzinfo)


def test_what_has_no_form_is_shown_and_not_read_back() -> None:
    """
    It would come back as something else.
    """

    class Colour(enum.Enum):
        RED = 1

    told = to_json([Colour.RED])
    assert [{"$repr": "<Colour.RED: 1>"}] == told
    with pytest.raises(ValueError, match="only shows"):
        from_json(told)


@pytest.mark.parametrize(
    "told", [{"$bytes": "?"}, {"$date": 5}, {"$dict": [1]}, {"$decimal": "x"}, {"$timedelta": ["x"]}, {"$set": [[]]}]
)
def test_a_known_word_with_something_wrong_in_it_is_refused(told: Any) -> None:
    """
    With an error that a command turns into one about its VALUE.
    """
    with pytest.raises(ValueError, match=r"."):
        from_json(told)


def test_an_unknown_word_is_a_key_like_any_other() -> None:
    """
    JSON schemas are full of `$ref`.
    """
    assert {"$ref": [1]} == from_json({"$ref": [1]})
    assert {"$ref": [1]} == from_json(to_json({"$ref": [1]}))


@given(st.text() | st.integers() | st.binary() | st.lists(st.text() | st.integers() | st.binary()).map(tuple))
def test_a_key_as_it_is_listed_is_the_key_when_it_is_typed(key: Any) -> None:
    """
    With the type that is listed beside it. Whoever chose the key, its line can neither break nor steer a terminal.
    """
    text, kind = text_of_key(key)
    back = key_in(text, kind)
    assert (key, type(key)) == (back, type(back))
    assert text.isprintable()


def test_a_key_that_cannot_be_printed_is_listed_in_escapes() -> None:
    """
    As JSON, which can be typed; letters of any language are printed as they are.
    """
    assert ('"\\u001b[31mred"', KeyType.JSON) == text_of_key("\x1b[31mred")
    assert ('["\\u009b2J", 1]', KeyType.JSON) == text_of_key(("\x9b2J", 1))
    assert [("käse", KeyType.TEXT), ('["käse"]', KeyType.JSON)] == [text_of_key("käse"), text_of_key(("käse",))]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("5", ValueType.TEXT, "5"),
        ("5", ValueType.NUMBER, 5),
        ("5", ValueType.FLOAT, 5.0),
        ("5", ValueType.JSON, 5),
        ("é", ValueType.BYTES, "é".encode()),
        ("00ff", ValueType.HEX, b"\0\xff"),
        ('{"$decimal": "1.10"}', ValueType.JSON, decimal.Decimal("1.10")),
    ],
)
def test_a_value_is_what_its_type_says(text: str, kind: ValueType, value: Any) -> None:
    """
    Never guessed: `5` is text unless somebody says otherwise.
    """
    made = value_in(text, kind)
    assert (value, type(value)) == (made, type(made))


@pytest.mark.parametrize(
    ("text", "kind"),
    [("x", "int"), ("5.0", "int"), ("x", "float"), ("xyz", "hex"), ("text", "json"), ("[" * 100_000, "json")],
)
def test_text_that_is_no_value_of_its_type_is_named_in_the_error(text: str, kind: str) -> None:
    """
    And shortened, if it is long.
    """
    with pytest.raises(ConfigError, match=r"VALUE is '.{1,60}'; it must be"):
        value_in(text, ValueType(kind))


def test_a_key_that_is_no_number_is_an_error_about_the_key() -> None:
    """
    Not about the value.
    """
    with pytest.raises(ConfigError, match="KEY is 'x'; it must be a whole number"):
        key_in("x", KeyType.NUMBER)


@pytest.mark.parametrize(("text", "duration"), [("90", 90.0), ("0.5", 0.5), ("5m", 300.0)])
def test_a_bare_number_is_seconds(text: str, duration: object) -> None:
    """
    As in all text that says a time.
    """
    assert duration == duration_in("--ttl", text)
