"""Rows are kept until a transaction commits that wrote to one of their tables; what others cannot see is not kept."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.db import connection, connections, models, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from cachegrid.errors import ConfigError
from cachegrid.integrations.django import acached, cached, changed, queries, tables
from cachegrid.integrations.django.tables import written_in
from tests.integrations.django.library.models import Author, Book, Shop

pytestmark = [pytest.mark.grid, pytest.mark.usefixtures("_library")]


@pytest.fixture
def _library(caches: Callable[..., dict[str, Any]], database: None) -> Iterator[None]:
    """Two books of one author."""
    with override_settings(CACHES={"default": caches()}):
        author = Author.objects.create(name="Ada")
        Book.objects.bulk_create([Book(title=title, author=author) for title in "ab"])
        yield


def titles(**options: Any) -> list[str]:
    """Of all books, as the cache has them."""
    return [book.title for book in cached(Book.objects.order_by("title"), **options)]


def asked(read: Callable[[], Any]) -> int:
    """How many statements the database gets for a read."""
    with CaptureQueriesContext(connection) as queries:
        read()
    return len(queries)


def test_rows_are_read_once() -> None:
    """
    And are copies for each reader; a statement with other values, or of which other things are made, is another one.
    """
    assert [1, 0] == [asked(titles), asked(titles)]
    first, second = cached(Book.objects.order_by("title")), cached(Book.objects.order_by("title"))
    assert first == second
    assert first[0] is not second[0]
    books = Book.objects.order_by("title")
    others = [books.values("title"), books.values_list("title"), books.values_list("title", flat=True), books[:1]]
    found = [cached(other) for other in others]
    assert [[{"title": "a"}, {"title": "b"}], [("a",), ("b",)], ["a", "b"], first[:1]] == found
    assert first == cached(Book.objects.filter(title="a").union(Book.objects.filter(title="b")).order_by("title"))
    assert [] == cached(books.filter(pages=1))
    assert [] == cached(books.none())
    wrapped = [
        books.annotate(length=models.ExpressionWrapper(models.F("pages"), output_field=field))
        for field in (models.IntegerField(), models.DurationField())
    ]
    assert [int, timedelta] == [type(cached(rows)[0].length) for rows in wrapped]


def test_what_is_there_needs_no_database() -> None:
    """
    Nobody connects for it.
    """
    titles()
    connections.close_all()
    assert ["a", "b"] == titles()
    assert connection.connection is None


WRITES: list[Callable[[], Any]] = [
    lambda: Book.objects.create(title="c", author=Author.objects.get()),
    lambda: Book.objects.bulk_create([Book(title="c", author=Author.objects.get())]),
    lambda: Book.objects.update(title="c"),
    lambda: Book.objects.filter(title="a").delete(),
    lambda: Author.objects.all().delete(),
    lambda: raw("with old as (select 1) update \"library_book\" set title = 'c'"),
    lambda: raw("-- by hand\nDelete From Library_Book"),
    lambda: Book.objects.bulk_update(Book.objects.all(), ["title"]),
]


def raw(sql: str) -> None:
    """By a statement that is said, and many values."""
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.parametrize("around", [contextlib.nullcontext, transaction.atomic])
@pytest.mark.parametrize("write", WRITES, ids=range(len(WRITES)))
def test_a_write_drops_them(write: Callable[[], Any], around: Callable[[], Any]) -> None:
    """
    At once where there is no transaction, else when it commits; however it is written.
    """
    titles()
    with around():
        write()
    assert 1 == asked(titles)
    assert list(Book.objects.order_by("title").values_list("title", flat=True)) == titles()


def test_what_is_written_elsewhere_drops_nothing() -> None:
    """
    And to another table neither.
    """
    titles()
    Shop.objects.create()
    list(Book.objects.select_for_update())
    assert 0 == asked(titles)


def test_a_transaction_reads_what_it_wrote() -> None:
    """
    Others do not, until it commits; nothing of it is kept where it is rolled back, in whole or in part.
    """
    titles()
    with transaction.atomic():
        Book.objects.update(title="c")
        assert ["c", "c"] == titles()
        transaction.set_rollback(True)
    assert (0, ["a", "b"]) == (asked(titles), titles())
    with transaction.atomic():
        with transaction.atomic():
            Book.objects.update(title="c")
            assert ["c", "c"] == titles()
            transaction.set_rollback(True)
        assert (0, ["a", "b"]) == (asked(titles), titles())
        seen: list[Any] = []
        transaction.on_commit(lambda: seen.append(titles()))
        with transaction.atomic():
            Book.objects.filter(title="a").update(title="d")
        assert ["b", "d"] == titles()
        Author.objects.update(name="Bob")
    assert [["b", "d"]] == seen


def test_a_transaction_fills_nothing() -> None:
    """
    On SQLite, where it may see what was before others committed; what is there it takes.
    """
    with transaction.atomic():
        assert [1, 1] == [asked(titles), asked(titles)]
    titles()
    with transaction.atomic():
        assert 0 == asked(titles)


def test_who_reads_an_old_snapshot_keeps_nothing(database: None) -> None:
    """
    SQLite shows what is read beside rows that were not read to their end what those see; what is there is given.
    """

    def write() -> None:
        Book.objects.update(title="c")
        connections.close_all()

    raw("pragma journal_mode = wal")
    rows = Book.objects.iterator(chunk_size=1)
    next(rows)
    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert ["a", "b"] == titles()
    rows.close()
    assert ["c", "c"] == titles()
    rows = Book.objects.iterator(chunk_size=1)
    next(rows)
    assert 0 == asked(titles)
    rows.close()


def test_a_write_during_the_load_counts() -> None:
    """
    What was read before it is given to who asked, and kept for nobody.
    """
    written = threading.Event()

    def late(execute: Callable[..., Any], *args: Any) -> Any:
        result = execute(*args)
        if not written.is_set():
            written.set()
            changed(Book)
        return result

    with connection.execute_wrapper(late):
        titles()
    assert written.is_set()
    assert [1, 0] == [asked(titles), asked(titles)]


def test_a_connection_is_watched_wherever_it_is_opened() -> None:
    """
    Also where another looks on at that moment, who goes away again.
    """
    seen: list[Any] = []
    statements: list[str] = []

    def look_on(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        statements.append(sql)
        return execute(sql, *args)

    def read_and_write() -> None:
        try:
            with connection.execute_wrapper(look_on):
                Author.objects.get()
            Book.objects.update(title="c")
            seen.append(titles())
        finally:
            connections.close_all()

    titles()
    thread = threading.Thread(target=read_and_write)
    thread.start()
    thread.join()
    assert ([["c", "c"]], 1) == (seen, len(statements))
    assert ["c", "c"] == titles()


def test_what_the_database_deletes_along_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where models say so: what is deleted there names its own table only.
    """
    written_in.cache_clear()
    monkeypatch.setattr(tables, "DatabaseOnDelete", type(models.CASCADE))
    try:
        assert {"library_author", "library_book", "library_shop_books"} == written_in("delete from library_author")
        assert {"library_shop", "library_shop_books"} == written_in("delete from library_shop")
    finally:
        written_in.cache_clear()


def test_joined_tables_count() -> None:
    """
    Those of joins, of subqueries, and those between models.
    """
    joined = Book.objects.filter(shop__isnull=False).select_related("author").order_by("title")
    inside = Author.objects.filter(pk__in=Book.objects.filter(pages__gt=1).values("author"))
    shop = Shop.objects.create()
    writes: list[Callable[[], Any]] = [
        lambda: shop.books.set(Book.objects.all()),
        lambda: Author.objects.update(name="Bob"),
    ]
    for write in writes:
        for rows in (joined, inside):
            cached(rows)
        write()
        assert 1 == asked(lambda: cached(joined))
    assert ["Bob", "Bob"] == [book.author.name for book in cached(joined)]
    cached(inside)
    Book.objects.update(pages=1)
    assert [] == cached(inside)


def test_what_is_read_besides_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Else nobody would drop it; what a relation came from is not kept along.
    """
    books = Author.objects.prefetch_related("books")
    with pytest.raises(ConfigError, match=r"library_book.*tables=\['library_author', 'library_book'\]"):
        cached(books)
    assert 2 == len(cached(books, tables=[Book])[0].books.all())
    Book.objects.filter(title="a").delete()
    assert 1 == len(cached(books, tables=["library_book"])[0].books.all())
    with pytest.raises(ConfigError, match="a table is 'nobody'"):
        cached(books, tables=["nobody"])
    with monkeypatch.context() as patch:
        patch.setattr(queries, "read_in", lambda _: frozenset())
        with pytest.raises(ConfigError, match="others are not seen"):
            cached(Book.objects.all())
    author = Author.objects.get()
    assert [1, 0] == [asked(lambda: cached(author.books.all())) for _ in range(2)]
    assert 1 == asked(lambda: cached(author.books.all())[0].author.name)


@pytest.mark.parametrize("tables", [Book, "library_book", (Book,), ["library_book"]])
def test_one_table_needs_no_list(tables: Any) -> None:
    """
    It is a model, or its name.
    """
    books = Author.objects.prefetch_related("books")
    assert 2 == len(cached(books, tables=tables)[0].books.all())
    Book.objects.filter(title="a").delete()
    assert 1 == len(cached(books, tables=tables)[0].books.all())


def test_who_mends_the_tables_asks_anew() -> None:
    """
    What was kept while they were wrong is not given any more.
    """
    assert [1, 0, 1] == [asked(lambda: titles(tables="library_book")) for _ in range(2)] + [
        asked(lambda: titles(tables=["library_book", Author]))
    ]


@pytest.mark.parametrize("given", [3, Book, None, "library_book", [1]], ids=repr)
def test_what_is_no_queryset_is_refused(given: Any) -> None:
    """
    With what it is, and what would be one.
    """
    with pytest.raises(ConfigError, match=r"what is to be cached is .*; it must be a queryset, such as"):
        cached(given)


def test_rows_of_raw_statements_are_refused() -> None:
    """
    They are read when somebody looks at them, and not before.
    """
    with pytest.raises(ConfigError, match=r"is <RawQuerySet.*nor are rows of raw\(\)"):
        cached(Book.objects.raw("select * from library_book"))


@pytest.mark.parametrize("given", [5, [5], int, None, "library.Book"], ids=repr)
def test_what_is_no_table_is_refused(given: Any) -> None:
    """
    With what would be one.
    """
    with pytest.raises(ConfigError, match="a table is .*; it must be that of a model, or the model"):
        cached(Book.objects.all(), tables=given)
    with pytest.raises(ConfigError, match="a table is"):
        changed(given)


def test_a_manager_stands_for_all_that_it_has() -> None:
    """
    As it does elsewhere.
    """
    assert ["a", "b"] == sorted(book.title for book in cached(Book.objects))
    assert 2 == len(cached(Author.objects.get().books))


def test_a_count_may_be_a_row() -> None:
    """
    Which is dropped as others are.
    """
    counts = Book.objects.order_by().values("author").annotate(books=models.Count("pk"))
    assert [2] == [row["books"] for row in cached(counts)]
    Book.objects.filter(title="a").delete()
    assert [1] == [row["books"] for row in cached(counts)]


def test_comments_of_others_name_nothing() -> None:
    """
    They are put around the statement of a queryset by who watches the database.
    """

    def comment(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        return execute(f"{sql} /* for library_author */", *args)

    with connection.execute_wrapper(comment):
        assert ["a", "b"] == titles()
    assert 0 == asked(titles)


def test_tags_and_times() -> None:
    """
    As those of all entries; the time is that of the cache where none is said.
    """
    for tags in ("front", ["front", "other"]):
        titles(tags=tags, ttl="5m")
        cache.invalidate("front")
        assert 1 == asked(lambda: titles(ttl=None))
        changed(Book)
    assert [1, 1] == [asked(lambda: titles(ttl=0)) for _ in range(2)]
    changed(Book)
    assert 1 == asked(titles)


async def _twice() -> list[list[Any]]:
    try:
        return [await acached(Book.objects.order_by("title")) for _ in range(2)]
    finally:
        await sync_to_async(connections.close_all)()  # of the thread in which it was read


def test_from_coroutines() -> None:
    """
    As Django's own: in a thread.
    """
    found = asyncio.run(_twice())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("sql", "is_write"),
    [
        ('SELECT * FROM "library_book"', False),
        ("(select 1 from library_book) union (select 2 from library_book)", False),
        ("with x as (select 1) select * from library_book", False),
        ("with x as (delete from library_book returning 1) select * from x", True),
        ("explain analyze delete from library_book", True),
        ("explain select * from library_book", False),
        ("/* why */ update library_book set pages = 1", True),
        ("select 1; delete from library_book", True),
        ("select replace(title, 'a', 'b') from library_book;", False),
        ("truncate library_book", True),
        ('copy "library_book" from stdin', True),
        ("update other set pages = 1", False),
        ("", False),
    ],
)
def test_what_writes(sql: str, *, is_write: bool) -> None:
    """
    Told by how a statement begins, and by its words where that may lead to anything.
    """
    assert is_write == ("library_book" in written_in(sql))
