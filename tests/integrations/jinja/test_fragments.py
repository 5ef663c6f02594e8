"""Fragments of templates: what they are kept under, what they give back, and when they are rendered anew."""

from __future__ import annotations

import enum
import importlib
import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from jinja2 import DictLoader, Environment, StrictUndefined, TemplateSyntaxError, UndefinedError, select_autoescape
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

import cachegrid
from cachegrid.errors import ConfigError, KeyRefused
from cachegrid.integrations.jinja2 import CacheExtension, cache_fragments

MENU = '{% cache "menu", user, ttl="1m", tags=["menu"] %}<{{ render(user) }}>{% endcache %}'


class Seen:
    """Counts what templates render."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def __call__(self, value: object) -> object:
        self.asked.append(value)
        return value


@pytest.fixture
def grid() -> Iterator[cachegrid.SyncGrid]:
    with cachegrid.connect("memory://") as grid:
        yield grid


@pytest.fixture
def seen() -> Seen:
    return Seen()


def environment(grid: cachegrid.SyncGrid, seen: Seen, templates: dict[str, str], **options: Any) -> Environment:
    made = Environment(loader=DictLoader(templates), **{"autoescape": True, **options})  # noqa: S701 - it is said
    made.globals["render"] = seen
    cache_fragments(made, grid.cache("fragments"))
    return made


def test_a_fragment_is_rendered_once_for_each_of_what_it_varies_on(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    And what was rendered is given to later ones as it was.
    """
    page = environment(grid, seen, {"page": MENU}).get_template("page")
    assert ["<1>", "<2>", "<1>"] == [page.render(user=user) for user in (1, 2, 1)]
    assert [1, 2] == seen.asked


@pytest.mark.parametrize(
    ("first", "second"), [(1, "1"), (1, True), (1, 1.0), ("a", b"a"), (None, "None"), ((1, 2), "12")]
)
def test_values_of_different_types_are_different(
    grid: cachegrid.SyncGrid, seen: Seen, first: object, second: object
) -> None:
    """
    What looks alike is another user.
    """
    page = environment(grid, seen, {"page": MENU}).get_template("page")
    for user in (first, second, first, second):
        page.render(user=user)
    assert [repr(first), repr(second)] == [repr(user) for user in seen.asked]


def test_an_invalidated_tag_drops_fragments(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    The tag is the one that the template names.
    """
    page = environment(grid, seen, {"page": MENU}).get_template("page")
    page.render(user=1)
    grid.cache("fragments").invalidate("other")
    page.render(user=1)
    grid.cache("fragments").invalidate("menu")
    page.render(user=1)
    assert [1, 1] == seen.asked


def test_a_fragment_lives_as_long_as_it_says(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    `ttl` is an expression like the others, and means what it means to `set`.
    """
    source = '{% cache "menu", ttl=life %}{{ render(1) }}{% endcache %}'
    environment(grid, seen, {"page": source}).get_template("page").render(life="1h")
    cache = grid.cache("fragments")
    entry = cache.entry(next(iter(cache.keys())))
    assert entry is not None
    assert entry.expires is not None
    assert entry.created is not None
    assert 3600 == round((entry.expires - entry.created).total_seconds())


def test_another_text_of_the_template_is_another_fragment(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    Also where the change is in a macro that the fragment calls, outside of it.
    """
    form = "{% macro item() %}NAME{{ render(1) }}{% endmacro %}" + '{% cache "menu" %}{{ item() }}{% endcache %}'
    old = environment(grid, seen, {"page": form.replace("NAME", "old")}).get_template("page")
    new = environment(grid, seen, {"page": form.replace("NAME", "new")}).get_template("page")
    assert ["old1", "new1", "old1", "new1"] == [page.render() for page in (old, new, old, new)]
    assert 2 == len(seen.asked)


def test_two_fragments_of_one_name_and_template_are_two(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    A name that was copied along with its tag shows nothing of the other place.
    """
    for between in ("\n", ""):
        source = f'{{% cache "menu" %}}a{{% endcache %}}{between}{{% cache "menu" %}}b{{% endcache %}}'
        page = environment(grid, seen, {"page": source}).get_template("page")
        assert [f"a{between}b"] * 2 == [page.render(), page.render()]


@pytest.mark.parametrize("inside", ["{% if 1 %}{% block b %}{% endblock %}{% endif %}", "{{ self.b() }}"])
def test_what_others_fill_is_refused(grid: cachegrid.SyncGrid, seen: Seen, inside: str) -> None:
    """
    Each template that extends this one would show what the first one filled in; the other way round all is well.
    """
    base = f'{{% cache "menu" %}}{inside}{{% endcache %}}'
    child = '{% extends "good" %}{% block b %}{% cache "menu" %}NAME{% endcache %}{% endblock %}'
    good = '{% block b %}{% cache "menu" %}base{% endcache %}{% endblock %}'
    pages = {"base": base, "good": good, "one": child.replace("NAME", "one"), "two": child.replace("NAME", "two")}
    made = environment(grid, seen, pages)
    with pytest.raises(TemplateSyntaxError, match="put the fragment into the block"):
        made.get_template("base")
    assert ["base", "one", "two"] * 2 == [made.get_template(name).render() for name in ("good", "one", "two") * 2]


def test_an_environment_that_makes_no_text_is_refused(grid: cachegrid.SyncGrid) -> None:
    """
    It would make objects of the user's own.
    """
    with pytest.raises(ConfigError, match="whose templates make text"):
        cache_fragments(NativeEnvironment(), grid.cache("fragments"))


def test_what_was_escaped_is_not_escaped_again(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    A fragment that is taken into a variable is as safe as it was when it was rendered.
    """
    source = '{% set menu %}{% cache "menu" %}<b>{{ "&" }}</b>{% endcache %}{% endset %}{{ menu }}'
    page = environment(grid, seen, {"page": source}).get_template("page")
    assert ["<b>&amp;</b>"] * 2 == [page.render(), page.render()]


def test_a_text_that_was_not_escaped_is_no_fragment_of_who_escapes(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    The same template in two environments, and in two blocks of one.
    """
    source = '{% cache "name", user %}{{ user }}{% endcache %}'
    off = environment(grid, seen, {"page": source}, autoescape=False).get_template("page")
    on = environment(grid, seen, {"page": source}).get_template("page")
    assert ["<x>", "&lt;x&gt;", "<x>"] == [page.render(user="<x>") for page in (off, on, off)]
    fragment = '{% cache "name", user %}{{ user }}{% endcache %}'
    both = f"{{% autoescape false %}}{fragment}{{% endautoescape %}}{fragment}"
    page = environment(grid, seen, {"page": both}, autoescape=select_autoescape(default=True)).get_template("page")
    assert ["<x>&lt;x&gt;"] * 2 == [page.render(user="<x>"), page.render(user="<x>")]


def test_markup_is_another_value_than_its_text(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    One is shown as it is, and the other one escaped.
    """
    page = environment(grid, seen, {"page": MENU}).get_template("page")
    for _ in range(2):
        assert ["<<i>>", "<&lt;i&gt;>"] == [page.render(user=user) for user in (Markup("<i>"), "<i>")]
    assert 2 == len(seen.asked)


def test_one_renders_for_all_who_come_at_once(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    The others wait for it.
    """
    come = threading.Barrier(8)
    page = environment(grid, seen, {"page": '{{ come() }}{% cache "menu" %}{{ render(1) }}{% endcache %}'})

    def ask(_number: int) -> str:
        return page.get_template("page").render(come=lambda: come.wait(10) and "")

    with ThreadPoolExecutor(8) as pool:
        assert 8 == sum(text.endswith("1") for text in pool.map(ask, range(8)))
    assert [1] == seen.asked


def test_an_error_inside_is_kept_by_nobody(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    It reaches who renders, and the next one tries anew.
    """
    made = environment(grid, seen, {"page": '{% cache "menu" %}{{ 1 // by }}{% endcache %}'})
    with pytest.raises(ZeroDivisionError):
        made.get_template("page").render(by=0)
    assert "1" == made.get_template("page").render(by=1)


def test_fragments_lie_inside_of_fragments(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    The inner one is kept for others, too, and rendered when it was dropped along with the outer one.
    """
    inner = '{% cache "inner", tags="inner" %}{{ render("in") }}{% endcache %}'
    made = environment(
        grid, seen, {"page": f'{{% cache "outer", tags="outer" %}}{{{{ render("out") }}}}{inner}{{% endcache %}}'}
    )
    page = made.get_template("page")
    assert "outin" == page.render()
    grid.cache("fragments").invalidate("outer")
    assert "outin" == page.render()
    assert ["out", "in", "out"] == seen.asked


@pytest.mark.parametrize("given", ["fragments", None, "the grid"])
@pytest.mark.parametrize("is_async", [True, False])
def test_what_is_no_cache_is_refused(grid: cachegrid.SyncGrid, given: Any, is_async: bool) -> None:  # noqa: FBT001 - a parameter
    """
    When an environment is taught the tag, and not when a page is rendered.
    """
    cache: Any = grid if given == "the grid" else given
    want = r"must be one of cachegrid.a?connect\(\), .* such as grid.cache"
    with pytest.raises(ConfigError, match=want):
        cache_fragments(Environment(autoescape=True, enable_async=is_async), cache)


@pytest.mark.parametrize("user", [object(), {"id": 1}, [object()]])
def test_what_may_not_be_a_key_is_refused(grid: cachegrid.SyncGrid, seen: Seen, user: object) -> None:
    """
    Its address in memory would be another one in every process, and soon that of another object.
    """
    page = environment(grid, seen, {"page": MENU}).get_template("page")
    with pytest.raises(KeyRefused, match="say which part of it"):
        page.render(user=user)


def test_what_is_undefined_is_refused(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    A misspelt name would show the fragment of one user to all.
    """
    with pytest.raises(KeyRefused, match="'user' is undefined"):
        environment(grid, seen, {"page": MENU}).get_template("page").render(usr=1)
    part = MENU.replace("user,", "user.idd,")
    with pytest.raises(KeyRefused, match="'dict object' has no attribute 'idd'"):
        environment(grid, seen, {"page": part}).get_template("page").render(user={"id": 1})
    with pytest.raises(UndefinedError, match="'user' is undefined"):
        environment(grid, seen, {"page": MENU}, undefined=StrictUndefined).get_template("page").render()


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def test_enums_and_lists_are_parts_of_keys(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    Equal ones are the same fragment.
    """
    page = environment(grid, seen, {"page": MENU}).get_template("page")
    for user in ([Colour.RED, 1], [Colour.BLUE, 1], [Colour.RED, 1]):
        page.render(user=user)
    assert [[Colour.RED, 1], [Colour.BLUE, 1]] == seen.asked


@pytest.mark.parametrize(
    ("tag", "told"),
    [
        ("cache", "needs a name"),
        ('cache ttl="1m"', "needs a name"),
        ('cache "a", tll="1m"', "'tll'"),
        ('cache "a", ttl="1m", ttl="2m"', "each once"),
        ('cache "a", ttl="1m", user', "comes before"),
        ('cache "a" user', "expected token ','"),
        ('cache 600, "footer"', 'its name first, and its time behind ttl=: {% cache "footer", ttl=600 %}'),
        ("cache 600 footer", "its name first"),
    ],
)
def test_a_wrong_tag_is_told_where_it_stands(grid: cachegrid.SyncGrid, seen: Seen, tag: str, told: str) -> None:
    """
    As Jinja2 tells of others: with the line.
    """
    made = environment(grid, seen, {"page": f"\n{{% {tag} %}}{{% endcache %}}"})
    with pytest.raises(TemplateSyntaxError, match=re.escape(told)) as caught:
        made.get_template("page")
    assert 2 == caught.value.lineno


def test_a_raised_version_drops_all_fragments(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    For changes that no template shows.
    """
    for version in (1, 2, 1):
        made = environment(grid, seen, {"page": MENU})
        cache_fragments(made, grid.cache("fragments"), version=version)
        made.get_template("page").render(user=1)
    assert [1, 1] == seen.asked


def test_a_cache_that_loads_in_the_background_is_refused(grid: cachegrid.SyncGrid) -> None:
    """
    A template is rendered with what its request has.
    """
    for name, rules in (("graceful", {"grace": "1m"}), ("early", {"early": 1.0})):
        with pytest.raises(ConfigError, match="while its request lasts"):
            cache_fragments(Environment(autoescape=True), grid.cache(name, ttl="1m", **rules))


def test_a_tag_without_a_cache_says_what_is_missing() -> None:
    """
    The extension alone keeps nothing anywhere.
    """
    made = Environment(autoescape=True, extensions=[CacheExtension])
    with pytest.raises(ConfigError, match="cache_fragments"):
        made.from_string('{% cache "a" %}{% endcache %}').render()


def test_sandboxes_and_overlays_have_the_tag(grid: cachegrid.SyncGrid, seen: Seen) -> None:
    """
    They call it as any other environment does.
    """
    sandbox = ImmutableSandboxedEnvironment(autoescape=True)
    cache_fragments(sandbox, grid.cache("fragments"))
    source = '{% cache "a" %}{{ render(1) }}{% endcache %}'
    for made in (sandbox, sandbox.overlay(trim_blocks=True)):
        assert "1" == made.from_string(source).render(render=seen)
    assert [1] == seen.asked


@pytest.fixture
def unopened() -> cachegrid.AsyncGrid:
    return cachegrid.aconnect("memory://")


@pytest.fixture
async def agrid(unopened: cachegrid.AsyncGrid) -> AsyncIterator[cachegrid.AsyncGrid]:
    async with unopened as grid:
        yield grid


async def test_async_environments_take_async_caches(agrid: cachegrid.AsyncGrid, seen: Seen) -> None:
    """
    What is inside of a fragment may be awaited, and is rendered once.
    """

    async def price(sku: str) -> object:
        return seen(sku)

    made = Environment(autoescape=True, enable_async=True)
    cache_fragments(made, agrid.cache("fragments"))
    page = made.from_string('{% cache "price", sku, ttl="1m" %}<b>{{ price(sku) }}</b>{% endcache %}')
    assert ["<b>a</b>", "<b>b</b>", "<b>a</b>"] == [await page.render_async(sku=sku, price=price) for sku in "aba"]
    assert ["a", "b"] == seen.asked
    bad = made.from_string('{% cache "bad" %}{{ 1 // 0 }}{% endcache %}')
    with pytest.raises(ZeroDivisionError):
        await bad.render_async()


async def test_the_colour_of_the_cache_is_that_of_the_environment(
    agrid: cachegrid.AsyncGrid, grid: cachegrid.SyncGrid
) -> None:
    """
    The error names the way to the other one.
    """
    with pytest.raises(ConfigError, match=r"aconnect\(\)"):
        cache_fragments(Environment(autoescape=True, enable_async=True), grid.cache("fragments"))
    with pytest.raises(ConfigError, match=r"one of cachegrid.connect\(\)"):
        cache_fragments(Environment(autoescape=True), agrid.cache("fragments"))


def test_without_jinja2_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    And not only what was not found.
    """
    for name in [name for name in sys.modules if name.startswith("cachegrid.integrations.jinja2")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ModuleNotFoundError, match=r"cachegrid\[jinja2\]"):
        importlib.import_module("cachegrid.integrations.jinja2")
