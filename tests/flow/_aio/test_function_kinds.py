"""What may be a kept function: methods, functions that are made, whatever can be called; and its copies."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cachegrid import collected
from cachegrid._aio.cache import AsyncCache
from cachegrid.errors import ConfigError, ValueRefused
from tests.flow.arguments import Account, Colour

CALLS: list[Any] = []


@pytest.fixture(autouse=True)
def _forget_calls() -> None:
    CALLS.clear()


async def test_methods(cache: AsyncCache) -> None:
    """
    Of an object whose class says what it is in a key, or that is ignored.
    """

    class User(Account):
        @cache.cached
        async def doubled(self, by: int = 2) -> int:
            """Double it."""
            CALLS.append(self.number)
            return self.number * by

        @cache.cached(ignore=("self",))
        async def alike(self, number: int) -> int:
            CALLS.append(number)
            return number

    first, second = User(1), User(2)
    assert [2, 4, 2] == [await first.doubled(), await second.doubled(), await User(1).doubled(by=2)]
    assert [7, 7] == [await first.alike(7), await second.alike(7)]
    assert [1, 2, 7] == CALLS
    assert await first.doubled.invalidate()
    assert await second.doubled.uncached() == 4
    assert await second.alike.invalidate(7)
    assert first.doubled.key() == User(1).doubled.key(2) != second.doubled.key()
    await first.doubled()
    await User.doubled.invalidate_all()
    await first.doubled()
    assert [1, 2, 7, 2, 1, 1] == CALLS
    assert 2 == await User.doubled(first)


async def test_a_bound_method_looks_like_one(cache: AsyncCache) -> None:
    """
    Name, documentation and signature are those of the method, without `self`.
    """

    class User(Account):
        @cache.cached
        async def doubled(self, by: int = 2) -> int:
            """Double it."""
            return self.number * by

    method = User(1).doubled
    assert ("doubled", "Double it.", __name__) == (method.__name__, method.__doc__, method.__module__)
    assert method.__qualname__.endswith("User.doubled")
    assert ["by"] == list(inspect.signature(method).parameters)
    assert ["self", "by"] == list(inspect.signature(User.doubled).parameters)
    assert 3 == await method.__wrapped__(3)
    assert cache.is_async is inspect.iscoroutinefunction(method) is inspect.iscoroutinefunction(User.doubled)


async def test_class_methods_and_static_methods(cache: AsyncCache) -> None:
    """
    In either order of the decorators; a subclass's call is another one.
    """

    class Base:
        @cache.cached
        @classmethod
        async def inner(cls, number: int) -> str:
            CALLS.append(number)
            return f"{cls.__name__}{number}"

        @classmethod
        @cache.cached
        async def outer(cls, number: int) -> str:
            CALLS.append(number)
            return f"{cls.__name__}{number}"

        @cache.cached
        @staticmethod
        async def static(number: int) -> int:
            CALLS.append(number)
            return number

        @staticmethod
        @cache.cached
        async def plain(number: int) -> int:
            CALLS.append(number)
            return number

    class Child(Base):
        pass

    for _ in range(2):
        assert ["Base1", "Base1"] == [await Base.inner(1), await Base().inner(1)]
        assert ["Child1", "Child1"] == [await Child.inner(1), await Child().inner(1)]
        assert ["Base2", "Child2"] == [await Base.outer(2), await Child.outer(2)]
        assert [3] * 4 == [await call(3) for call in (Base.static, Base().static, Child.static, Child().static)]
        assert [4, 4] == [await Base.plain(4), await Child().plain(4)]
    assert [1, 1, 2, 2, 3, 4] == CALLS
    assert await Child.inner.invalidate(1)
    assert not await Child().inner.invalidate(1)
    assert await Base.inner.invalidate(1)
    assert await Base.static.invalidate(3)


async def test_functions_that_are_made_do_not_share_what_differs(cache: AsyncCache) -> None:
    """
    Where it can be told that they differ, the second is refused, in words; with a name, or a key, of its own it is not.
    """

    def make(rate: Any, **said: Any) -> Any:
        @cache.cached(**said)
        async def converted(price: int) -> str:
            return f"{rate}{price}"

        return converted

    two = make(2)
    assert "23" == await two(3)
    assert "23" == await make(2)(3)
    for other in (3, "2", 2.0, (2,), None, len, Account, Colour.RED):
        with pytest.raises(ConfigError, match="one of a kind: .*converted-1 was made with rate=2 and rate=.* name="):
            make(other)
    assert "33" == await make(3, name="three")(3)
    assert "43" == await make(4, version=4)(3)
    assert make(5, key=lambda price: (5, price)).key(3) == (5, 3)


async def test_functions_that_are_made_anew_share_their_results(cache: AsyncCache) -> None:
    """
    As of an application that is made for each test, with connections and lists of its own.
    """

    def make_application(database: object) -> Any:
        calls: list[int] = []

        @cache.cached
        async def fib(number: int) -> int:
            calls.append(number)
            return number if number < 2 or database is None else await fib(number - 1) + await fib(number - 2)

        return fib, calls

    (first, calls), (second, none) = make_application(object()), make_application(object())
    assert (55, 55) == (await first(10), await second(10))
    assert (11, []) == (len(calls), none)


async def test_what_has_no_name_or_no_parameters_is_refused(cache: AsyncCache) -> None:
    """
    Partial functions and objects that can be called are kept under a name that they are given.
    """

    class Doubling:
        async def __call__(self, number: int) -> int:
            return number * 2

    partial = functools.partial(_function, number=5)
    for nameless in (partial, Doubling()):
        with pytest.raises(ConfigError, match="^cached is .*; it must be a function with a name of its own"):
            cache.cached(nameless)
    assert [5, 6] == [await cache.cached(name="p")(partial)(), await cache.cached(name="d")(Doubling())(3)]


async def test_it_looks_like_the_function(cache: AsyncCache) -> None:
    """
    Name, documentation, signature, and what the function carries.
    """

    async def function(number: int, *, by: int = 2) -> int:
        """Multiply."""
        return number * by

    function.cache = function._function = "the function's own"  # type: ignore[attr-defined]
    function.route = "/multiply"  # type: ignore[attr-defined]
    kept = cache.cached(function)
    assert ("function", "Multiply.", __name__) == (kept.__name__, kept.__doc__, kept.__module__)  # type: ignore[attr-defined]
    assert inspect.signature(function) == inspect.signature(kept)
    assert "/multiply" == kept.route  # type: ignore[attr-defined]
    assert function is kept.__wrapped__
    assert 10 == await kept(5)
    assert inspect.iscoroutinefunction(function) is inspect.iscoroutinefunction(kept)


async def test_a_kept_function_may_be_kept_again(cache: AsyncCache) -> None:
    """
    A function that is decorated twice has two caches, one in front of the other.
    """
    inner = cache.cached(name="inner")(_function)
    outer = cache.cached(name="outer")(inner)
    assert [1, 1] == [await outer(1), await outer(1)]
    assert await outer.invalidate(1)
    assert 1 == await outer(1)
    assert [1] == CALLS
    assert await inner.invalidate(1)


async def test_what_has_no_name_is_given_one(cache: AsyncCache) -> None:
    """
    A partial, an object that can be called, or a lambda, of which several may be in one place, has none of its own.
    """

    class Caller:
        async def __call__(self, number: int) -> int:
            return await _function(number)

    async def renamed(number: int) -> int:
        return await _function(number)

    renamed.__qualname__ = (lambda: None).__qualname__
    for nameless in (functools.partial(_function, 1), Caller(), renamed):
        with pytest.raises(ConfigError, match="name="):
            cache.cached(nameless)
    assert 1 == await cache.cached(name="partial")(functools.partial(_function, 1))()
    assert 2 == await cache.cached(name="caller")(Caller())(2)


@pytest.mark.parametrize("nothing", [5, None, "text", [1]], ids=repr)
async def test_what_cannot_be_called_is_refused(cache: AsyncCache, nothing: Any) -> None:
    """
    When it is decorated.
    """
    if nothing is not None:  # `cached(None)` is `cached()`
        with pytest.raises(ConfigError):
            cache.cached(nothing)
    with pytest.raises(ConfigError):
        cache.cached(name="x")(nothing)


async def test_generators_are_refused(cache: AsyncCache) -> None:
    """
    What they yield is not what they return; the error says how to keep it.
    """

    def generator() -> Any:
        yield 1

    for function in (generator, _agenerator):
        with pytest.raises(ConfigError, match=r"@cachegrid.collected, put under @cached, makes one of a generator"):
            cache.cached(function)


async def test_what_a_generator_yields_is_kept_as_a_list(cache: AsyncCache) -> None:
    """
    Of a function as of a method; with its name and parameters.
    """

    @cache.cached
    @collected
    async def pages(count: int, first: int = 0) -> AsyncIterator[str]:
        CALLS.append(count)
        for number in range(first, count):
            yield f"page {number}"

    class Book(Account):
        @cache.cached
        @collected
        async def pages(self) -> AsyncIterator[int]:
            for number in range(self.number):
                yield number

    assert [["page 0", "page 1"]] * 2 == [await pages(2), await pages(count=2)]
    assert ["page 1"] == await pages(2, first=1)
    assert [2, 2] == CALLS
    assert await pages.invalidate(2)
    assert [[0, 1], [0, 1, 2]] == [await Book(2).pages(), await Book(3).pages.refresh()]
    for nothing in (_function, 5):
        with pytest.raises(ConfigError, match="^collected is .*; it must be a generator function"):
            collected(nothing)  # type: ignore[arg-type]


async def test_properties(cache: AsyncCache) -> None:
    """
    In either order of the decorators: their values are dropped, and loaded anew, by their class.
    """

    class Shop(Account):
        @cache.cached  # type: ignore[prop-decorator] # mypy knows of no such thing, and of its type all the same
        @property
        async def total(self) -> int:
            """All of it."""
            CALLS.append(self.number)
            return self.number * len(CALLS)

        @property
        @cache.cached
        async def count(self) -> int:
            CALLS.append(self.number)
            return self.number * len(CALLS)

    one, two = Shop(1), Shop(2)
    total: Any = Shop.__dict__["total"]
    assert [1, 4, 1, 4] == [await one.total, await two.total, await one.total, await Shop(2).total]
    assert await total.invalidate(one)
    assert [3, 4] == [await one.total, await two.total]
    assert 8 == await total.refresh(two) == await two.total
    assert (total.key(two), 10) == (total.key(Shop(2)), await total.uncached(two))
    assert [6, 6] == [await one.count, await one.count]
    count: Any = Shop.__dict__["count"]
    assert await count.fget.invalidate(one)
    assert [7, 7] == [await one.count, await one.count]
    assert Shop.total is total
    assert "All of it." == total.__doc__
    with pytest.raises(AttributeError, match=r"^property 'total' of 'Shop' object has no setter$"):
        one.total = 5  # type: ignore[misc, assignment]


async def test_what_is_no_plain_property_is_refused(cache: AsyncCache) -> None:
    """
    One that is written, too, and what keeps values in its object; with the way out.
    """
    for strange in (property(_function, print), property(None, None, print)):
        with pytest.raises(ConfigError, match="a property that is only read; keep a method, and let the property"):
            cache.cached(strange)
    with pytest.raises(ConfigError, match=r"put @property in place of @cached_property"):
        cache.cached(functools.cached_property(_function))  # type: ignore[call-overload]


async def test_settings_that_say_nothing_are_refused(cache: AsyncCache) -> None:
    """
    When the function is decorated, and not when it is called.
    """
    said: Any
    function: Any = len
    for said in (
        *({"key": "sku"}, {"when": True}, {"key": str, "ignore": "self"}, {"version": "source", "name": "len"}),
        *({"version": version} for version in (1.5, None, True, b"1")),
    ):
        with pytest.raises(ConfigError):
            cache.cached(**said)(function)


async def _function(number: int) -> int:
    CALLS.append(number)
    return number


async def _agenerator() -> Any:
    yield 1


class _Shop:
    """Its cached methods are set by a test, which has the cache."""

    prices: Any

    def __init__(self, name: str) -> None:
        self.name = name

    def __cache_key__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shop) and self.name == other.name

    __hash__ = None  # type: ignore[assignment] # equal ones are as good as each other

    async def price(self, item: str) -> str:
        return f"{item} at {self.name}"

    async def sold(cls: Any, item: str) -> str:  # noqa: N805 - it is made a class method in a test
        return f"{item} of {cls.__name__}"


async def _squared(number: int) -> int:
    return number * number


async def test_a_function_is_pickled_by_its_name(cache: AsyncCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    As any function: where its name is found it is that one there, and a copy is the function itself.
    """
    squared = cache.cached(_squared)
    monkeypatch.setattr(sys.modules[__name__], "_squared", squared)
    assert pickle.loads(pickle.dumps(squared)) is squared  # noqa: S301 - our own
    assert copy.copy(squared) is squared
    assert copy.deepcopy({"by": squared})["by"] is squared
    assert 9 == await pickle.loads(pickle.dumps(squared))(3)  # noqa: S301 - our own


async def test_methods_are_pickled_with_their_owner(cache: AsyncCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Of an object and of a class; a deep copy belongs to a copy of the object.
    """
    shop = _Shop("north")
    monkeypatch.setattr(_Shop, "price", cache.cached(_Shop.price))
    monkeypatch.setattr(_Shop, "sold", cache.cached(classmethod(_Shop.sold)))
    bound = pickle.loads(pickle.dumps(shop.price))  # noqa: S301 - our own
    assert "tea at north" == await bound("tea")
    assert await shop.price("tea") == await copy.copy(shop.price)("tea") == await copy.deepcopy(shop.price)("tea")
    assert (1, 3) == (cache.stats().loads, cache.stats().hits)
    sold: Any = pickle.loads(pickle.dumps(_Shop.sold))  # noqa: S301 - our own
    assert "tea of _Shop" == await sold("tea")


async def test_a_function_that_its_name_does_not_find_is_not_pickled(cache: AsyncCache) -> None:
    """
    The error says why; and it is copied all the same.
    """
    squared = cache.cached(_squared)
    with pytest.raises(ValueRefused, match=r"pickled by its name, and .*_squared is not it"):
        pickle.dumps(squared)
    assert copy.deepcopy(squared) is squared
    with pytest.raises(ValueRefused, match=r"_Shop has another price"):
        pickle.dumps(cache.cached(_Shop.price).__get__(_Shop("south"), _Shop))


async def test_grids_caches_and_locks_are_not_pickled(cache: AsyncCache) -> None:
    """
    They hold connections: each process opens its own.
    """
    for thing in (cache, cache._hub, cache.lock("till")):
        with pytest.raises(ValueRefused, match=r"connect in the other process"):
            pickle.dumps(thing)
