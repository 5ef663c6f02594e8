# Generated from tests/flow/_aio/test_functions.py by tools/colour.py. Edit that file, then run `make colour`.
"""Functions whose results are kept: which calls are the same, and how long and for whom results are kept."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid.errors import ConfigError, KeyRefused
from tests.flow.arguments import Account, Colour
from tests.flow.waits._sio import together

CALLS: list[Any] = []


@pytest.fixture(autouse=True)
def _forget_calls() -> None:
    CALLS.clear()


@dataclasses.dataclass
class Place:
    name: str
    height: float = 0.0


class Rights(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class Point(NamedTuple):
    x: int
    y: int


def test_a_call_is_made_once(cache: SyncCache) -> None:
    """
    By position or by name, with a default said or left out: the same call.
    """

    @cache.cached
    def area(width: int, height: int = 2, *, unit: str = "m") -> str:
        CALLS.append((width, height, unit))
        return f"{width * height}{unit}"

    calls: list[Callable[[], Any]] = [
        lambda: area(3),
        lambda: area(3, 2),
        lambda: area(width=3),
        lambda: area(height=2, width=3),
        lambda: area(3, unit="m"),
    ]
    assert ["6m"] * 5 == [call() for call in calls]
    assert [(3, 2, "m")] == CALLS
    assert "9m" == area(3, 3)
    assert "6km" == area(3, unit="km")
    assert 3 == len(CALLS)


def test_arguments_of_other_types_are_other_calls(cache: SyncCache) -> None:
    """
    1, True, 1.0, "1" and b"1" are equal or look so, and are told apart; in containers also.
    """

    @cache.cached
    def show(value: Any) -> str:
        CALLS.append(value)
        return repr(value)

    ones: list[Any] = [1, True, 1.0, "1", b"1", Decimal(1), None, "None", (1,), [1], {1}, frozenset({1}), {1: 1}, 1j]
    ones += [[True], ["1"], [1.0], [[1]], [(1,)], {1: True}, {"1": 1}, {True: 1}, bytearray(b"1")]
    for value in ones:
        assert repr(value) == show(value)
    assert len(ones) == len({repr(show.key(value)) for value in ones})
    assert len(ones) == len(CALLS)


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ([1, [2]], [1, [2]], [1, [3]]),
        ({"a": 1, "b": {"c": 2}}, {"b": {"c": 2}, "a": 1}, {"a": 1, "b": {"c": 3}}),
        ({1, 2, 3}, {3, 2, 1}, {1, 2}),
        (frozenset("abc"), frozenset("cba"), set("abc")),
        (Place("a"), Place("a", 0.0), Place("b")),
        (Colour.RED, Colour(1), Colour.GREEN),
        (Rights.READ | Rights.WRITE, Rights(3), Rights.READ),
        (Rights(0), Rights(0), Rights.READ | Rights.RUN),
        (Point(1, 2), Point(1, 2), (1, 2)),
        (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2)),  # noqa: DTZ001
        (date(2026, 1, 2), date(2026, 1, 2), datetime(2026, 1, 2)),  # noqa: DTZ001
        (timedelta(hours=1), timedelta(minutes=60), timedelta(hours=2)),
        (Decimal("1.0"), Decimal("1.0"), Decimal("1.00")),
        (UUID(int=1), UUID(int=1), UUID(int=2)),
        (Account(1), Account(1), Account(2)),
        (Place, Place, Point),
        (range(3), range(3), range(4)),
        ("x" * 5000, "x" * 5000, "x" * 4999),
        (1 << 20_000, 1 << 20_000, 1 << 20_001),
        ("\ud800", "\ud800", "\ud801"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_arguments_that_mean_the_same_are_one_call(cache: SyncCache, one: Any, same: Any, other: Any) -> None:
    """
    In whatever order they were built; those that differ are another call.
    """

    @cache.cached
    def number(value: Any) -> int:
        CALLS.append(value)
        return len(CALLS)

    assert [1, 1, 2] == [number(one), number(same), number(other)]


def test_any_number_of_arguments(cache: SyncCache) -> None:
    """
    `*args` keep their order, `**kwargs` have none, and the two do not mix.
    """

    @cache.cached
    def call(*args: Any, **kwargs: Any) -> int:
        CALLS.append((args, kwargs))
        return len(CALLS)

    assert 1 == call(1, 2, a=1, b=2)
    assert 1 == call(1, 2, b=2, a=1)
    others: list[Callable[[], Any]] = [
        lambda: call(2, 1, a=1, b=2),
        lambda: call(1, 2, a=2, b=1),
        lambda: call(1, 2),
        lambda: call((1, 2)),
        lambda: call([1, 2]),
        lambda: call(1, 2, ("a", 1), ("b", 2)),
        lambda: call(1, 2, {"a": 1, "b": 2}),
        lambda: call(),  # noqa: PLW0108 - as the others
    ]
    assert list(range(2, 10)) == [other() for other in others]


def test_positional_only_and_keyword_only(cache: SyncCache) -> None:
    """
    A name may be both a positional-only parameter and one of `**kwargs`.
    """

    @cache.cached
    def call(a: int, /, b: int = 2, *, c: int = 3, **more: int) -> tuple[int, ...]:
        CALLS.append(1)
        return (a, b, c, *more.values())

    assert (1, 2, 3) == call(1) == call(1, c=3) == call(1, b=2)
    assert (1, 2, 3, 9) == call(1, a=9)
    assert (9, 2, 3) == call(9)
    assert 3 == len(CALLS)


def test_ignored_arguments_do_not_tell_calls_apart(cache: SyncCache) -> None:
    """
    They may be of any type; an unknown one among them is an error when the function is decorated.
    """

    @cache.cached(ignore=("session", "verbose"))
    def call(session: object, number: int, **more: Any) -> int:
        CALLS.append(number)
        return number

    for session in (object(), None):
        assert 1 == call(session, 1, verbose=session)
    assert [1] == CALLS
    with pytest.raises(ConfigError, match=r"^ignore is 'nummer'; it must be a parameter of _function\(number: 'int'\)"):
        cache.cached(ignore="nummer")(_function)
    assert [2, 2] == [cache.cached(ignore="number")(_function)(number) for number in (2, 3)]


def test_a_key_may_be_made_by_hand(cache: SyncCache) -> None:
    """
    Whatever `key=` returns is the key; it gets the arguments as they were passed.
    """

    @cache.cached(key=lambda user, **_: ("user", user["id"]))
    def name(user: dict[str, Any], *, lang: str = "en") -> str:
        CALLS.append(lang)
        return str(user["name"])

    assert "Ann" == name({"id": 1, "name": "Ann"})
    assert "Ann" == name({"id": 1, "name": "Bob"}, lang="de")
    assert ("user", 1) == name.key({"id": 1, "name": "Ann"})
    assert "Ann" == name.cache.get(("user", 1))
    assert ["en"] == CALLS


def test_what_cannot_be_in_a_key_is_refused(cache: SyncCache) -> None:
    """
    The error names the function, the argument, its type, and the ways out.
    """

    @cache.cached
    def call(number: int, thing: object) -> None:
        CALLS.append(thing)

    for thing in (object(), [object()], {"a": {1: object()}}, Place(object())):  # type: ignore[arg-type]
        with pytest.raises(
            KeyRefused, match=r"^argument 'thing' of .*call holds .* of type object, .*ignore=.*key=.*__cache_key__"
        ):
            call(1, thing)
    functions: list[object] = [len, lambda: 1, functools.partial(len), iter([]), call]
    for strange in functions:
        with pytest.raises(KeyRefused, match=r"^argument 'thing' of .* of type "):
            call(1, thing=strange)
    deep: list[Any] = []
    deep.append(deep)
    with pytest.raises(KeyRefused):
        call(1, deep)
    assert [] == CALLS


def test_a_refused_argument_is_named(cache: SyncCache) -> None:
    """
    As the function names it, or the caller.
    """

    @cache.cached(ignore="trace")
    def call(first: int, trace: object, *more: object, by: object = 1, **named: object) -> int:
        return 1

    bad = object()
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("first", lambda: call(bad, bad)),  # type: ignore[arg-type]
        (r"\*more", lambda: call(1, bad, 1, bad)),
        ("by", lambda: call(1, bad, by=bad)),
        ("zone", lambda: call(1, bad, a=1, zone=bad)),
    ]
    for name, wrong in calls:
        with pytest.raises(KeyRefused, match=rf"^argument '{name}' of .*call holds <object object"):
            wrong()
    assert 1 == call(1, bad)


def test_a_wrong_call_is_a_type_error(cache: SyncCache) -> None:
    """
    As of the function itself, which is named.
    """

    @cache.cached
    def call(number: int) -> None:
        CALLS.append(number)

    wrongs: list[Callable[[], None]] = [
        lambda: call(),  # type: ignore[call-arg] # noqa: PLW0108
        lambda: call(1, 2),  # type: ignore[call-arg]
        lambda: call(1, other=2),  # type: ignore[call-arg]
        lambda: call(number=1, other=2),  # type: ignore[call-arg]
    ]
    for wrong in wrongs:
        with pytest.raises(TypeError, match=r"\bcall\(\): "):
            wrong()
    assert [] == CALLS


def test_results_are_forgotten_one_by_one_or_all(cache: SyncCache) -> None:
    """
    `invalidate` takes the arguments of the call and tells whether there was a result.
    """

    @cache.cached
    def square(number: int, power: int = 2) -> int:
        CALLS.append(number)
        return int(number**power)

    square(1)
    square(2)
    assert square.invalidate(1, power=2)
    assert not square.invalidate(1)
    square(1)
    square(2)
    assert [1, 2, 1] == CALLS
    square.invalidate_all()
    square(1)
    square(2)
    assert [1, 2, 1, 1, 2] == CALLS


def test_the_function_itself_can_be_called(cache: SyncCache) -> None:
    """
    `uncached` neither looks nor keeps.
    """

    @cache.cached
    def count() -> int:
        CALLS.append(1)
        return len(CALLS)

    assert [1, 2, 3, 1] == [count(), count.uncached(), count.__wrapped__(), count()]


def test_a_raised_version_is_another_function(cache: SyncCache) -> None:
    """
    As is another name; the same name and version share their results.
    """

    def decorated(**settings: Any) -> Any:
        @cache.cached(**settings)
        def count() -> int:
            CALLS.append(1)
            return len(CALLS)

        return count

    settings: list[dict[str, Any]] = [{}, {"version": 2}, {"version": "2b"}, {"name": "f"}, {"name": "f", "version": 2}]
    assert [1, 2, 3, 4, 5] == [decorated(**these)() for these in settings]
    assert [1, 2, 3, 4, 5] == [decorated(**these)() for these in settings]


@pytest.mark.parametrize("name", ["a b", "a:b", "a/b", "{a}", "a\n"])
def test_what_cannot_be_a_name_is_refused(cache: SyncCache, name: str) -> None:
    """
    Names stand in addresses.
    """
    for said in ({"name": name}, {"version": name}):
        with pytest.raises(ConfigError, match="name or version of a cached function"):
            cache.cached(**said)(_function)  # type: ignore[call-overload]


def test_results_live_as_long_as_was_said(cache: SyncCache) -> None:
    """
    For the function, else for the cache.
    """
    short = cache.cached(ttl="5s", idle="1s", name="short")(_function)
    usual = cache.cached(name="usual")(_function)
    short(1)
    usual(1)
    entries = [function.cache.entry(function.key(1)) for function in (short, usual)]
    assert [True, False] == [entry is not None and entry.expires is not None for entry in entries]
    with pytest.raises(ConfigError, match="^ttl is 0"):
        cache.cached(ttl=0)(_function)


def test_many_callers_of_a_function(cache: SyncCache) -> None:
    """
    At once, with some arguments among them: each call is made once, and everybody gets the result of its own.
    """

    @cache.cached
    def double(number: int) -> int:
        CALLS.append(number)
        return 2 * number

    calls = [functools.partial(double, number % 7) for number in range(70)]
    assert [2 * (number % 7) for number in range(70)] == together(*calls)
    assert list(range(7)) == sorted(CALLS)


def test_a_failing_function_fails_as_ever(cache: SyncCache) -> None:
    """
    The error is the caller's; the next call tries again.
    """

    @cache.cached
    def fail() -> None:
        CALLS.append(1)
        raise LookupError("no such thing")

    for _ in range(2):
        with pytest.raises(LookupError, match="no such thing"):
            fail()
    assert [1, 1] == CALLS


def _function(number: int) -> int:
    CALLS.append(number)
    return number
