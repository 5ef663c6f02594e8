"""Versions that functions have by their source."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cachegrid
from cachegrid._core.sources import version_in_source
from cachegrid.errors import ConfigError

_numbers = itertools.count()


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Writes a module, and gives the version of its `function`, or of what it calls so."""

    def write(source: str) -> str:
        path = tmp_path / f"written{next(_numbers)}.py"
        path.write_text(f"import functools\n\n{source}\n", "utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return version_in_source(module.function)

    return write


PLAIN = "def function(a, b=1):\n    return a + b\n"


@pytest.mark.parametrize(
    "source",
    [
        "# Something above it.\n\n" + PLAIN + "\n# And below.\n",
        "@functools.cache\n" + PLAIN,
        "@functools.lru_cache(\n    maxsize=3,\n)\n" + PLAIN,
        "class Place:\n    @staticmethod\n    def function(a, b=1):\n        return a + b\n\nfunction = Place.function",
        "if True:\n    def function(a, b=1):  \n        return a + b\t\n",
    ],
    ids=["comments", "decorator", "decorators", "method", "indented"],
)
def test_what_is_around_a_function_is_none_of_its_version(written: Any, source: str) -> None:
    """
    Neither what decorates it, such as a time to live, nor where it stands, nor what follows.
    """
    assert written(PLAIN) == written(source)


@pytest.mark.parametrize(
    "source",
    [
        PLAIN.replace("a + b", "a - b"),
        PLAIN.replace("a + b", "a + b  # why"),
        PLAIN.replace("b=1", "b=2"),
        PLAIN.replace("b=1", "*, b=1"),
        "async " + PLAIN,
        "function = functools.partial(lambda a, b: a + b, 1)",
    ],
)
def test_what_is_written_otherwise_is_another_version(written: Any, source: str) -> None:
    """
    Whatever of it was changed.
    """
    assert written(PLAIN) != written(source)


def test_defaults_are_part_of_it(written: Any) -> None:
    """
    They are said elsewhere, as a rule; what cannot be told from others is known by its type.
    """

    def limited(limit: str) -> str:
        return str(written(f"LIMIT = {limit}\n\ndef function(a, *, limit=LIMIT):\n    return a[:limit]\n"))

    assert limited("1") == limited("1") == limited("2 - 1") != limited("2")
    assert limited("object()") == limited("object()") != limited("print") != limited("None")

    def bound(by: str) -> str:
        return str(written(f"def inner(a, by):\n    return a * by\n\nfunction = functools.partial(inner, by={by})\n"))

    assert bound("1") == bound("1") != bound("2")


def test_what_is_wrapped_is_what_counts(written: Any) -> None:
    """
    And of an object that is called, how that is done.
    """
    wrapper = "def wrapped(f):\n    return functools.wraps(f)(lambda *args: f(*args))\n\n@wrapped\n"
    assert written(PLAIN) == written(wrapper + PLAIN)
    called = "class Place:\n    def __call__(self, a):\n        return {}\n\nfunction = Place()\n"
    assert written(called.format("a")) == written(called.format("a")) != written(called.format("-a"))


def test_text_that_stands_out_of_its_indent(written: Any) -> None:
    """
    A text over several lines begins where it likes.
    """
    text = 'if True:\n    def function():\n        return """\none {}\n"""\n'
    assert written(text.format(1)) == written(text.format(1)) != written(text.format(2))
    assert written(text.format(1)) == written('@functools.cache\ndef function():\n    return """\none 1\n"""\n')


def test_a_collected_generator_has_the_version_of_the_generator(written: Any) -> None:
    """
    What collects it says nothing of it.
    """
    source = "import cachegrid\n\n{}def function(count):\n    yield from range(count)\n"
    assert written(source.format("")) == written(source.format("@cachegrid.collected\n"))


def test_functions_of_another_source_share_nothing() -> None:
    """
    Under one name.
    """
    with cachegrid.connect("memory://") as grid:
        keep = grid.cache("prices").cached(name="price", version="source")
        functions = [keep(_price), keep(_new_price), keep(_price)]
        assert [1, 2, 1] == [function() for function in functions]
        assert 2 == grid.cache("prices").stats().loads


def _price() -> int:
    return 1


def _new_price() -> int:
    return 2


@pytest.mark.parametrize("function", [len, functools.partial(len), eval("lambda: 1")], ids=["built in", "part", "made"])  # noqa: S307 - our own
def test_what_has_no_source_says_so(function: Any) -> None:
    """
    With the way out.
    """
    with pytest.raises(
        ConfigError, match=r"^version is 'source'; it must be said by hand, such as version=2: there is no"
    ):
        version_in_source(function)


def test_it_is_the_same_everywhere() -> None:
    """
    In another process, and in every version of Python.
    """
    code = "from tests.unit.test_sources import _pinned, version_in_source; print(version_in_source(_pinned))"
    root = Path(__file__).resolve().parent.parent.parent
    environment = {**os.environ, "PYTHONHASHSEED": "5", "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True)
    assert PINNED == run.stdout.strip() == version_in_source(_pinned)


async def _pinned(text: str, marks: frozenset[str] = frozenset("abc"), *, ratio: float = 0.1) -> str:
    """Its version is pinned."""
    return f"{text!r:>{len(marks)}} {'nested' if ratio else ''}"


PINNED = "668b2e86c5dd7eab"
