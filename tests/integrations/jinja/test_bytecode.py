"""Compiled templates in a grid: shared by those who would compile the same, written by who knows the secret."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jinja2 import DictLoader, Environment, select_autoescape
from jinja2.sandbox import SandboxedEnvironment

import cachegrid
from cachegrid.errors import ConfigError, Unreachable
from cachegrid.integrations.jinja2 import GridBytecodeCache

SECRET = "0123456789abcdef0123456789abcdef"
PAGE = "{{ text }}"


@pytest.fixture
def grid() -> Iterator[cachegrid.SyncGrid]:
    with cachegrid.connect("memory://", secret=SECRET) as grid:
        yield grid


@pytest.fixture
def compiled(grid: cachegrid.SyncGrid) -> cachegrid.SyncCache:
    return grid.cache("compiled", codec="pickle")


def environment(
    cache: cachegrid.SyncCache, kind: type[Environment] = Environment, source: str = PAGE, **options: Any
) -> Environment:
    loader = DictLoader({"page.html": source, "page.txt": source})
    return kind(loader=loader, bytecode_cache=GridBytecodeCache(cache), **{"autoescape": True, **options})


def test_a_template_is_compiled_once(compiled: cachegrid.SyncCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Another environment of the same options finds it, and needs no compiler.
    """
    assert "&lt;" == environment(compiled).get_template("page.html").render(text="<")
    assert 1 == compiled.stats().stores
    monkeypatch.delattr(Environment, "compile")
    assert "&lt;" == environment(compiled).get_template("page.html").render(text="<")


@pytest.mark.parametrize(
    "other",
    [
        {"autoescape": False},
        {"autoescape": select_autoescape([])},
        {"enable_async": True},
        {"variable_start_string": "{{{"},
        {"extensions": ["jinja2.ext.do"]},
        {"finalize": lambda value: value},
        {"kind": SandboxedEnvironment},
        {"source": PAGE + " "},
    ],
    ids=["unescaped", "escaped by name", "async", "marks", "extension", "finalize", "sandbox", "source"],
)
def test_what_would_be_compiled_otherwise_is_not_shared(compiled: cachegrid.SyncCache, other: dict[str, Any]) -> None:
    """
    Code of an environment that does not escape would let scripts into the pages of one that does.
    """
    environment(compiled).get_template("page.html")
    environment(compiled, **other).get_template("page.html")
    assert 2 == compiled.stats().stores


def test_names_decide_whether_to_escape(compiled: cachegrid.SyncCache) -> None:
    """
    A function that says which templates are escaped is asked for each, and not compared.
    """
    environment(compiled, autoescape=select_autoescape(["html"])).get_template("page.txt")
    strict = environment(compiled, autoescape=select_autoescape(["html", "txt"]))
    assert "&lt;" == strict.get_template("page.txt").render(text="<")


def test_code_that_was_not_signed_with_the_secret_is_not_run(compiled: cachegrid.SyncCache) -> None:
    """
    Somebody else in the grid who writes code there writes a miss.
    """
    with cachegrid.connect("memory://shared", secret=SECRET) as ours:
        with cachegrid.connect("memory://shared", secret="another secret of theirs") as theirs:
            for grid in (theirs, ours):
                environment(grid.cache("compiled", codec="pickle")).get_template("page.html")
        assert 1 == ours.cache("compiled").stats().damaged
        assert 1 == ours.cache("compiled").stats().stores


def test_a_cache_that_does_not_sign_is_refused(grid: cachegrid.SyncGrid) -> None:
    """
    So is a grid without a secret, at the first template, and a cache of async code.
    """
    with pytest.raises(ConfigError, match="signs what it stores"):
        GridBytecodeCache(grid.cache("plain"))
    with pytest.raises(ConfigError, match="sync code"):
        GridBytecodeCache(cachegrid.aconnect("memory://").cache("compiled", codec="pickle"))  # type: ignore[arg-type]
    with cachegrid.connect("memory://") as bare, pytest.raises(ConfigError, match="secret"):
        environment(bare.cache("compiled", codec="pickle")).get_template("page.html")


def test_clear_drops_what_was_compiled(compiled: cachegrid.SyncCache) -> None:
    """
    As `Environment.bytecode_cache.clear()` is documented.
    """
    made = environment(compiled)
    made.get_template("page.html")
    assert made.bytecode_cache is not None
    made.bytecode_cache.clear()
    assert 0 == len(compiled)


@pytest.mark.parametrize("on_outage", ["raise", "load"])
def test_an_outage_is_what_the_policy_says(
    grid: cachegrid.SyncGrid, monkeypatch: pytest.MonkeyPatch, on_outage: str
) -> None:
    """
    An error, as for every read; or templates are compiled as if there were no cache.
    """

    def fail(*_args: object) -> None:
        raise Unreachable("nobody answers")

    cache = grid.cache("compiled", codec="pickle", on_outage=on_outage)
    monkeypatch.setattr(cachegrid.SyncCache, "get", fail)
    monkeypatch.setattr(cachegrid.SyncCache, "set", fail)
    made = environment(cache)
    if on_outage == "load":
        assert "&lt;" == made.get_template("page.html").render(text="<")
    else:
        with pytest.raises(Unreachable):
            made.get_template("page.html")
