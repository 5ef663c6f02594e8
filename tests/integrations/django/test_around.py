"""What Django builds on its caches: fragments of templates, pages, and sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.core.cache import cache
from django.core.cache.utils import make_template_fragment_key
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import RequestFactory, override_settings
from django.views.decorators.cache import cache_page

pytestmark = [pytest.mark.grid, pytest.mark.usefixtures("_is_default")]
TEMPLATE = "{% load cache %}{% cache 60 menu user %}<b>{{ count }}</b>{% endcache %}"


@pytest.fixture
def _is_default(caches: Callable[..., dict[str, Any]]) -> Iterator[None]:
    """Django's default cache is the test's."""
    with override_settings(CACHES={"default": caches()}):
        yield


def test_fragments_of_templates() -> None:
    """
    Are rendered once for each value that they vary on, until they are dropped; what was safe is not escaped.
    """
    template = engines["django"].from_string(TEMPLATE)
    shown = [template.render({"count": count, "user": user}) for count, user in enumerate("aab")]
    assert ["<b>0</b>", "<b>0</b>", "<b>2</b>"] == shown
    cache.delete(make_template_fragment_key("menu", ["a"]))
    assert "<b>3</b>" == template.render({"count": 3, "user": "a"})


def test_pages() -> None:
    """
    Are made once, with their headers, and for each language.
    """
    made: list[str] = []

    @cache_page(60)  # type: ignore[untyped-decorator]
    def view(request: HttpRequest) -> HttpResponse:
        made.append(request.path)
        return HttpResponse(f"{len(made)}", headers={"X-Made": "yes"})

    requests = RequestFactory()
    pages = [view(requests.get(path)) for path in ("/a", "/a", "/b")]
    assert [b"1", b"1", b"2"] == [page.content for page in pages]
    assert ["yes"] * 3 == [page["X-Made"] for page in pages]


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("engine", ["cache", "cached_db"])
def test_sessions(engine: str) -> None:
    """
    Are found by who has their key, renamed, and gone when they are flushed; one that was deleted does not live again.
    """
    store = import_module(f"django.contrib.sessions.backends.{engine}").SessionStore
    session = store()
    session["basket"] = [1, 2]
    session.save()
    first = session.session_key
    found = store(first)
    assert [1, 2] == found["basket"]
    found.cycle_key()
    assert (False, True) == (store().exists(first), store().exists(found.session_key))
    stale = store(found.session_key)
    assert [1, 2] == stale["basket"]
    found.flush()
    assert {} == dict(store(stale.session_key).items())
    with pytest.raises(UpdateError):
        stale.save()
