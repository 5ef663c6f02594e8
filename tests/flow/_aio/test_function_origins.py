"""Functions that would share their results and are not the same: told apart where that can be, else refused."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid.errors import ConfigError, KeyRefused
from tests.flow.arguments import Account


class Repo:
    """Keeps its own method for itself, in one of several ways."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant

    async def rows(self, query: str, limit: int = 5) -> tuple[str, str, int]:
        """Those of the tenant."""
        return self.tenant, query, limit


class KeyedRepo(Repo):
    """Says what it is in a key."""

    def __cache_key__(self) -> str:
        """Its tenant."""
        return self.tenant


async def test_a_method_of_one_object_has_its_object_in_its_keys(cache: AsyncCache) -> None:
    """
    However it was wrapped before, or kept twice; an object of the same key shares its results.
    """

    def timed(function: Any) -> Any:
        @functools.wraps(function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return run

    one, two = KeyedRepo("t1"), KeyedRepo("t2")
    ways: list[Any] = [
        cache.cached,
        cache.cached(ttl=60, name="named"),
        lambda method: cache.cached(name="timed")(timed(method)),
        lambda method: cache.cached(name="partial")(functools.partial(method, limit=7)),
        lambda method: cache.cached(name="outer")(cache.cached(name="inner")(method)),
    ]
    for way in ways:
        first, second = way(one.rows), way(two.rows)
        assert ["t1", "t2", "t1"] == [(await each("q"))[0] for each in (first, second, way(KeyedRepo("t1").rows))]
        assert first.key("q") == first.key(query="q") != second.key("q")
        assert await first.invalidate("q")
        assert not await first.invalidate("q")
        assert await second.invalidate("q")


async def test_a_method_of_an_object_that_says_nothing_of_itself_is_refused(cache: AsyncCache) -> None:
    """
    When it is called, in words that name the way out; what is ignored does not matter.
    """
    for name in (None, "k"):
        with pytest.raises(KeyRefused, match=r"^argument 'self' of Repo.rows holds .*ignore=.*__cache_key__\(\)"):
            await cache.cached(name=name)(Repo("t1").rows)("q")
    first = cache.cached(ignore=["self"], name="ignored")(Repo("t1").rows)
    assert await first("q") == await cache.cached(ignore=["self"], name="ignored")(Repo("t2").rows)("q")


async def test_a_class_method_that_was_taken_from_its_class_has_it_in_its_keys(cache: AsyncCache) -> None:
    """
    As one that is kept where it is defined.
    """

    class Base:
        @classmethod
        async def called(cls, number: int) -> str:
            return f"{cls.__name__}{number}"

    class Child(Base):
        pass

    assert ["Base1", "Child1"] == [await cache.cached(kind.called)(1) for kind in (Base, Child)]


async def test_functions_made_for_other_objects_are_refused(cache: AsyncCache) -> None:
    """
    Also when the first object is gone; the same object, or one of the same key, may have another.
    """

    def rows_of(self: Any, **said: Any) -> Any:
        @cache.cached(**said)
        async def rows(query: str) -> tuple[str, str]:
            return self.tenant, query

        return rows

    keyed = KeyedRepo("t1")
    for said in ({}, {"name": "rows"}):
        kept = Repo("t1")
        assert ("t1", "q") == await rows_of(kept, **said)("q") == await rows_of(kept, **said)("q")
        del kept
        with pytest.raises(ConfigError, match=r"one of a kind: .*rows-1 was made for another self, .*__cache_key__"):
            rows_of(Repo("t2"), **said)
    with_key = {"name": "keyed"}
    assert ("t1", "q") == await rows_of(keyed, **with_key)("q") == await rows_of(KeyedRepo("t1"), **with_key)("q")
    with pytest.raises(
        ConfigError, match=r"one of a kind: .* was made with self=KeyedRepo 't1' and self=KeyedRepo 't2'"
    ):
        rows_of(KeyedRepo("t2"), **with_key)
    by_hand = [rows_of(Repo(name), name="hand", key=lambda query, name=name: (name, query)) for name in ("a", "b")]
    assert [("a", "q"), ("b", "q")] == [await each("q") for each in by_hand]


async def test_two_functions_of_one_name_are_refused(cache: AsyncCache) -> None:
    """
    One that is defined anew, as the cases of a single dispatch are, and two that were given one name.
    """

    async def case(number: int) -> str:
        return f"first {number}"

    first = case

    async def case(number: int) -> str:  # type: ignore[no-redef]
        return f"second {number}"

    assert "first 1" == await cache.cached(first)(1)
    assert "first 1" == await cache.cached(first)(1)
    with pytest.raises(ConfigError, match=r"case-1 is the function at .*py, line \d+, and that at .*, line \d+ would"):
        cache.cached(case)
    assert "second 1" == await cache.cached(name="second")(case)(1)
    with pytest.raises(ConfigError, match="second-1 is the function at"):
        cache.cached(name="second")(first)
    with pytest.raises(ConfigError, match="second-1 is the function at"):
        cache.cached(name="second", key=str)(functools.partial(first, 1))


async def test_two_objects_that_can_be_called_are_two(cache: AsyncCache) -> None:
    """
    Under one name they are refused, unless their keys say that they are the same.
    """

    class Tripled(Account):
        async def __call__(self, by: int) -> int:
            return self.number * by

    class Plain:
        async def __call__(self, by: int) -> int:
            return by

    assert 3 == await cache.cached(name="t")(Tripled(3))(1) == await cache.cached(name="t")(Tripled(3))(1)
    with pytest.raises(ConfigError, match="t-1 was made with object=Tripled 3 and object=Tripled 4"):
        cache.cached(name="t")(Tripled(4))
    plain = Plain()
    assert 5 == await cache.cached(name="p")(plain)(5) == await cache.cached(name="p")(plain)(5)
    with pytest.raises(ConfigError, match="p-1 was made for another object"):
        cache.cached(name="p")(Plain())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """The file of a module that can be imported, and the module's name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    name = f"shop_{os.getpid()}_reloaded"
    yield tmp_path / f"{name}.py", name
    sys.modules.pop(name, None)


_KEPT = "{gap}\n@CACHE.cached(name={name!r})\n{way}def price(number):\n    return {what}\n"


def _written(cache: AsyncCache, shop: tuple[Path, str], what: str, gap: str = "", name: str | None = None) -> Any:
    """The module's function, as it is run now from its file."""
    way = "async " if cache.is_async else ""
    path, module = shop
    path.write_text("from builtins import CACHE\n" + _KEPT.format(gap=gap, name=name, what=what, way=way))
    importlib.invalidate_caches()
    run = importlib.reload(sys.modules[module]) if module in sys.modules else importlib.import_module(module)
    return run.price


@pytest.mark.parametrize("name", [None, "said"])
async def test_a_module_may_be_run_again(
    cache: AsyncCache, shop: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    """
    As a reloader does after each edit: the newer edition takes the place of the older one, and shares its results.
    """
    monkeypatch.setattr("builtins.CACHE", cache, raising=False)
    assert 2 == await _written(cache, shop, "number * 2", name=name)(1)
    assert 2 == await _written(cache, shop, "number * 2", name=name)(1)
    newer = _written(cache, shop, "number * 3", "\n\n", name=name)
    assert 2 == await newer(1)
    assert 3 == await newer.refresh(1) == await _written(cache, shop, "number * 4", "\n", name=name)(1)


async def test_what_is_typed_in_may_be_typed_in_again(cache: AsyncCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    As in a notebook, whose cells have no file: under a name of its own, or a name that was given before.
    """
    notebook = types.ModuleType("notebook_here")
    monkeypatch.setitem(sys.modules, "notebook_here", notebook)
    notebook.__dict__["cache"] = cache
    way = "async " if cache.is_async else ""
    for cell, what in enumerate(("number", "number * 2", "number * 2"), start=1):
        text = f"{'#' * cell}\n@cache.cached\n{way}def price(number):\n    return {what}\n"
        exec(compile(text, f"/nowhere/cell-{cell}.py", "exec"), notebook.__dict__)  # noqa: S102 - as a notebook does
        assert 4 == await notebook.price(4)
        given = cache.cached(name="given")(notebook.price.__wrapped__)
        assert 4 == await given(4)


@pytest.mark.parametrize("is_typed", [True, False])
async def test_what_is_read_from_the_standard_input_may_be_a_program(
    cache: AsyncCache, monkeypatch: pytest.MonkeyPatch, *, is_typed: bool
) -> None:
    """
    In which two functions of one name are two; someone at a prompt defines one anew.
    """
    if is_typed:
        monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    else:
        monkeypatch.delattr(sys, "ps1", raising=False)
    prompt = types.ModuleType("prompt_here")
    monkeypatch.setitem(sys.modules, "prompt_here", prompt)
    prompt.__dict__["cache"] = cache
    way = "async " if cache.is_async else ""
    texts = [f"@cache.cached\n{way}def price(number):\n    return number * {by}\n" for by in (1, 2)]
    exec(compile(texts[0], "<stdin>", "exec"), prompt.__dict__)  # noqa: S102 - as a prompt does
    again = compile(texts[1], "<stdin>", "exec")
    if is_typed:
        exec(again, prompt.__dict__)  # noqa: S102 - as above
        assert 6 == await prompt.price(3)
    else:
        with pytest.raises(ConfigError, match="one of a kind"):
            exec(again, prompt.__dict__)  # noqa: S102 - as above


async def test_a_module_may_have_two_names(
    cache: AsyncCache, shop: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    As a program has that is imported, too: its functions are the same.
    """
    monkeypatch.setattr("builtins.CACHE", cache, raising=False)
    assert 2 == await _written(cache, shop, "number * 2", name="said")(1)
    spec = importlib.util.spec_from_file_location("program_here", shop[0])
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "program_here", program)
    spec.loader.exec_module(program)
    assert 2 == await program.price(1)
    assert (1, 1) == (cache.stats().loads, cache.stats().hits)
