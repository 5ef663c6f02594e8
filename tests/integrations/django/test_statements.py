"""What rows of a queryset depend on is a part of their key; what cannot be told apart is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import caches as connected
from django.db import connection, models
from django.db.models import F, Prefetch
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from django.utils.translation import gettext_lazy
from psycopg.types.json import Jsonb

from cachegrid.errors import KeyRefused
from cachegrid.integrations.django import cached
from cachegrid.integrations.django.statements import Statement, digest_of
from tests.integrations.django.library.models import Author, Book

pytestmark = [pytest.mark.grid, pytest.mark.usefixtures("_library")]


@pytest.fixture
def _library(caches: Callable[..., dict[str, Any]], database: None) -> Iterator[None]:
    """Two books of one author."""
    with override_settings(CACHES={name: caches(KEY_PREFIX=name) for name in ("default", "other")}):
        author = Author.objects.create(name="Ada")
        Book.objects.bulk_create([Book(title=title, author=author) for title in "ab"])
        yield


def with_books(**said: Any) -> Any:
    """Authors with some of their books as `mine`."""
    return Author.objects.prefetch_related(Prefetch("books", queryset=Book.objects.filter(**said), to_attr="mine"))


def mine(authors: Any) -> list[str]:
    """The titles that were read along."""
    return [book.title for author in cached(authors, tables=[Book]) for book in author.mine]


def test_what_is_read_along_counts() -> None:
    """
    Its path, where it is put, and the statement with its values.
    """
    assert [["a"], ["b"], ["a"], []] == [mine(with_books(title=title)) for title in "abac"]
    assert ["Ada"] == [author.name for author in cached(Author.objects.all())]
    assert ["a", "b"] == mine(Author.objects.prefetch_related(Prefetch("books", to_attr="mine")))
    assert [] == mine(Author.objects.prefetch_related(Prefetch("books", Book.objects.none(), to_attr="mine")))
    plain = cached(Author.objects.prefetch_related("books"), tables=[Book])[0]
    assert not hasattr(plain, "mine")
    assert 2 == len(plain.books.all())


def test_what_is_read_along_of_that_counts() -> None:
    """
    To any depth.
    """
    for title in "ab":
        books = Book.objects.prefetch_related(Prefetch("author", with_books(title=title)))
        found = cached(books, tables=[Author])
        assert {(title,)} == {tuple(each.title for each in book.author.mine) for book in found}


def test_what_a_lookup_came_from_is_not_kept() -> None:
    """
    It would be handed out as it once was.
    """
    authors = Author.objects.prefetch_related(Prefetch("books", Author.objects.get().books.all(), to_attr="mine"))
    known = vars(authors._prefetch_related_lookups[0].queryset)["_known_related_objects"]
    assert 2 == len(mine(authors))
    assert {Author} == {type(found) for objects in known.values() for found in objects.values()}


def test_what_managers_add_to_what_is_read_along_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    As those do that show each site its own rows only; the lookup says nothing of it.
    """
    site, all_of = ["a"], models.Manager.get_queryset

    def of_this_site(manager: Any) -> Any:
        return all_of(manager).filter(title=site[0]) if manager.model is Book else all_of(manager)

    monkeypatch.setattr(models.Manager, "get_queryset", of_this_site)
    found = []
    for name in "aba":
        site[:] = [name]
        [author] = cached(Author.objects.prefetch_related("books"), tables=[Book])
        found += [book.title for book in author.books.all()]
    assert ["a", "b", "a"] == found


class Loud(models.QuerySet[Any]):  # type: ignore[misc] # Django ships no types
    """Makes something else of its rows."""

    mark: Any = ""

    def marked(self, mark: Any) -> Loud:
        """Puts a mark on each."""
        found: Loud = self.all()
        found.mark = mark
        return found

    def _clone(self) -> Any:
        found = super()._clone()
        found.mark = self.mark
        return found

    def _fetch_all(self) -> None:
        super()._fetch_all()
        for row in self._result_cache:
            row.mark = self.mark


def test_who_makes_the_rows_counts() -> None:
    """
    A class of querysets, what it was told beside its statement, and the names that values have.
    """
    assert not hasattr(cached(Author.objects.all())[0], "mark")
    assert ["a", "b"] == [cached(Loud(Author).marked(mark))[0].mark for mark in "ab"]
    with pytest.raises(KeyRefused, match="a lock, which cannot be a part of a key"):
        cached(Loud(Author).marked(threading.Lock()))
    names = ["author", "author_id"]
    assert [{name} for name in names] == [set(cached(Book.objects.values(name))[0]) for name in names]
    pages = F("pages")
    kinds = [models.DurationField(), models.DecimalField(max_digits=5, decimal_places=1), models.DecimalField()]
    found = [
        cached(Book.objects.annotate(size=models.ExpressionWrapper(pages, output_field=kind)))[0].size for kind in kinds
    ]
    assert timedelta is type(found[0])


def test_values_are_told_apart() -> None:
    """
    Also those whose `repr` leaves something out; a translated text by what it says.
    """
    authors = Author.objects.all()
    long = ["x" * 100 + end for end in "ab"]
    values = [*map(Jsonb, long), *long, memoryview(b"a"), b"a", [1], (1,), {1: 2}, 1, True, 1.0, None, "None"]
    assert len(values) == len({digest_of(authors, Statement("select %s", [value], [])) for value in values})
    said = set()
    for language in ("en", "de"):
        with translation.override(language):
            said.add(digest_of(authors, None, gettext_lazy("Monday")))
    assert 2 == len(said)


def test_who_asks_counts() -> None:
    """
    As `vary` says it, and what an app says of all its keys.
    """
    authors = Author.objects.all()
    with CaptureQueriesContext(connection) as queries:
        for vary in ("ann", "bob", "ann"):
            cached(authors, vary=vary)
    assert 2 == len(queries)
    with override_settings(CACHEGRID_QUERIES="other"), CaptureQueriesContext(connection) as queries:
        assert connected["other"].native.name == connected["default"].native.name
        cached(authors, vary="ann")
    assert 1 == len(queries)
