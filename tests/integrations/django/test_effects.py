"""What changes along with a table, or when a function is selected, is dropped as well."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models import F, Func, Value
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from cachegrid.errors import ConfigError
from cachegrid.integrations.django import cached
from cachegrid.integrations.django.effects import changed_by
from cachegrid.integrations.django.tables import written_in
from tests.integrations.django.conftest import POSTGRES
from tests.integrations.django.library.models import Author, Book
from tests.integrations.sqlalchemy.server import Postgres

pytestmark = [pytest.mark.grid, pytest.mark.usefixtures("_made")]
MADE = """
create or replace function rename(name text) returns int as
'update library_author set name = rename.name; select 1' language sql;
create or replace function look() returns bigint as 'select count(*) from library_author' language sql stable;
create or replace procedure rename_all() as 'update library_author set name = ''new''' language sql;
"""
WRITES = [
    "select rename('new')",
    "select public.rename('new')",
    "select * from rename('new')",
    "select 1; call rename_all()",
    "call rename_all()",
    "do 'begin update library_author set name = ''new''; end'",
    "with x as (insert into library_author (id, name) values (2, 'b') returning id) select * from x",
]


@pytest.fixture
def _made(caches: Callable[..., dict[str, Any]], server: Postgres) -> Iterator[None]:
    """A database with functions, and one author."""
    with override_settings(CACHES={"default": caches()}):
        run(MADE)
        Author.objects.using(POSTGRES).all().delete()
        Author.objects.using(POSTGRES).create(pk=1, name="old")
        yield
        connections.close_all()


@pytest.fixture
def settings_of() -> Iterator[Callable[..., None]]:
    """Changes settings for a test."""
    with contextlib.ExitStack() as stack:
        yield lambda **said: stack.enter_context(override_settings(**said))


def run(sql: str) -> None:
    """By a statement that is said."""
    with connections[POSTGRES].cursor() as cursor:
        cursor.execute(sql)


def names() -> list[str]:
    """Of all authors, as the cache has them."""
    return [author.name for author in cached(Author.objects.using(POSTGRES).order_by("pk"))]


def asked(read: Callable[[], Any]) -> int:
    """How many statements the database gets for a read."""
    with CaptureQueriesContext(connections[POSTGRES]) as queries:
        read()
    return len([query for query in queries if "transaction_isolation" not in query["sql"]])


@pytest.mark.parametrize("is_within", [False, True])
@pytest.mark.parametrize("sql", WRITES)
def test_what_may_write_drops_all(sql: str, *, is_within: bool) -> None:
    """
    The database knows which functions do; a procedure may do anything.
    """
    names()
    if is_within:
        with transaction.atomic(using=POSTGRES):
            run(sql)
            assert [1, 1] == [asked(names), asked(names)]
    else:
        run(sql)
    assert [1, 0] == [asked(names), asked(names)]
    assert names() == list(Author.objects.using(POSTGRES).order_by("pk").values_list("name", flat=True))


@pytest.mark.parametrize("is_watched", [False, True])
def test_a_procedure_that_is_called_may_write(*, is_watched: bool) -> None:
    """
    Of that Django tells no wrapper; what only reads drops nothing.
    """
    connection = connections[POSTGRES]
    names()
    with CaptureQueriesContext(connection) if is_watched else contextlib.nullcontext(), connection.cursor() as cursor:
        cursor.callproc("look")
        assert 0 == asked(names)
        cursor.callproc("rename", ["new"])
    assert (1, ["new"]) == (asked(names), names())


def test_what_only_reads_drops_nothing() -> None:
    """
    As it is declared, or comes with the database.
    """
    names()
    for sql in ("select look()", "select upper(name), random() from library_author", "select length('call rename()')"):
        run(sql)
        assert 0 == asked(names)


def test_what_is_to_be_kept_is_no_write() -> None:
    """
    Whoever wants rows to be kept says so that they may be.
    """
    renamed = Func(Value("kept"), function="rename")
    rows = Book.objects.using(POSTGRES).annotate(renamed=renamed)
    names()
    assert [1, 0, 0] == [asked(lambda: cached(rows)), asked(lambda: cached(rows)), asked(names)]
    list(Author.objects.using(POSTGRES).annotate(renamed=Func(F("name"), function="rename")))
    assert 1 == asked(names)


def test_effects_may_be_said(settings_of: Callable[..., None]) -> None:
    """
    Of functions, and of tables: of triggers, and views.
    """
    settings_of(CACHEGRID_EFFECTS={"rename": ["library_author"], "library_author": "library_shop"})
    connection = connections[POSTGRES]
    both = {"library_author", "library_shop"}
    assert [both, both, set()] == [
        set(changed_by(connection, sql))
        for sql in ("select rename('a')", "update library_author set name = 'a'", "select look()")
    ]
    with (
        override_settings(CACHEGRID_EFFECTS={"rename": ["nobody"]}),
        pytest.raises(ConfigError, match="CACHEGRID_EFFECTS.*'nobody'"),
    ):
        run("update library_author set name = 'a'")


@pytest.mark.parametrize(
    ("sql", "written"),
    [
        ("call f()", {"*"}),
        ("/* why */ DO $$ begin end $$", {"*"}),
        ("select ';do' from library_book", set()),
        ("select 1; -- nothing", set()),
        ("table library_book", set()),
        ("truncate library_shop", {"library_shop"}),
        ("truncate library_author cascade", {"library_author", "library_book", "library_shop_books"}),
        ("reset all", set()),
        ("insert into library_book (title) values (1) on conflict (id) do update set pages = 1", {"library_book"}),
        ('update "public"."library_book" set pages = 1', {"library_book"}),
        ("insert into library_book (title) values ('; call me')", {"library_book"}),
    ],
)
def test_what_is_written(sql: str, written: set[str]) -> None:
    """
    As far as words tell.
    """
    assert written == written_in(sql)
