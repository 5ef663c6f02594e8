"""Whatever becomes of a process, a commit leaves nothing old: what is kept is dropped before it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.core.cache import cache
from django.db import connections, transaction
from django.db.utils import IntegrityError
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from cachegrid import SyncCache
from cachegrid.errors import EngineError, Unreachable
from cachegrid.integrations._queries.drops import Drops
from cachegrid.integrations.django import cached
from cachegrid.integrations.django.notes import pending
from tests.integrations.django.conftest import POSTGRES
from tests.integrations.django.dying import GATE
from tests.integrations.django.library.models import Author, Book

pytestmark = pytest.mark.grid
ROOT = Path(__file__).resolve().parent.parent.parent.parent
WITHIN = 0.3  # seconds
PATIENCE = 20.0


@pytest.fixture(params=["default", pytest.param(POSTGRES, marks=pytest.mark.slow)])
def alias(request: pytest.FixtureRequest, caches: Callable[..., dict[str, Any]]) -> Iterator[str]:
    """A database with one author, which is SQLite, or PostgreSQL."""
    request.getfixturevalue("database" if request.param == "default" else "server")
    with override_settings(CACHES={"default": caches()}, CACHEGRID_COMMIT_WITHIN=WITHIN):
        Book.objects.using(request.param).all().delete()
        Author.objects.using(request.param).update_or_create(pk=1, defaults={"name": "old"})
        yield request.param
        connections.close_all()


def name(alias: str) -> str:
    """What the cache says."""
    return str(cached(Author.objects.using(alias))[0].name)


def is_asked(alias: str) -> bool:
    """Whether the database is asked for it."""
    with CaptureQueriesContext(connections[alias]) as queries:
        name(alias)
    return any("library_author" in query["sql"] for query in queries)


@pytest.mark.parametrize("how", ["atomic", "plain", "by hand"])
def test_a_process_that_is_killed_after_a_commit_leaves_nothing_old(
    alias: str, how: str, caches: Callable[..., dict[str, Any]]
) -> None:
    """
    What was kept is gone before; what is read meanwhile is not kept; and that ends by itself.
    """
    assert "old" == name(alias)
    said = connections[alias].settings_dict
    connecting = {key: str(said[key]) for key in ("NAME", "HOST", "PORT")}
    orders = {"database": alias, "how": how, "caches": caches(), "within": WITHIN, "connecting": connecting}
    command = [sys.executable, "-m", "tests.integrations.django.dying", json.dumps(orders)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert GATE == process.stdout.readline()
        finally:
            process.kill()
    assert "new" == name(alias)
    assert is_asked(alias)
    deadline = time.monotonic() + PATIENCE
    while is_asked(alias):
        assert time.monotonic() < deadline
    assert "new" == name(alias)


def test_who_reads_while_a_commit_is_under_way_keeps_nothing(
    alias: str, caches: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    He may see what was before it, and others come after it; that he could not is not remembered as a failure.
    """
    with monkeypatch.context() as patch:
        patch.setattr(Drops, "_conclude", lambda *_: None)
        Author.objects.using(alias).update(name="new")
        patch.setattr(Drops, "is_busy", lambda *_: False)  # as for who has just come
        said = caches(OPTIONS={"failure_ttl": 60, "cache": f"{cache.native.name}-failures"})
        with override_settings(CACHES={"default": said}, CACHEGRID_COMMIT_WITHIN=60):
            Author.objects.using(alias).update(name="newer")
            assert [("newer", True)] * 3 == [(name(alias), is_asked(alias)) for _ in range(3)]


def _refuse(*_: object, **__: object) -> NoReturn:
    raise Unreachable("nobody answers", where="there")


@pytest.mark.parametrize("by_hand", [False, True])
def test_no_commit_without_the_grid(alias: str, by_hand: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a case
    """
    It is refused before it has begun, and what was written is rolled back; the connection goes on.
    """
    connection, authors = connections[alias], Author.objects.using(alias)
    with monkeypatch.context() as patch:
        patch.setattr(SyncCache, "invalidate", _refuse)
        with pytest.raises(EngineError, match="nobody answers"):
            authors.update(name="lost")
        if by_hand:
            transaction.set_autocommit(False, using=alias)
            authors.update(name="lost")
            with pytest.raises(EngineError, match="nobody answers"):
                transaction.commit(using=alias)
            transaction.set_autocommit(True, using=alias)
        else:
            with pytest.raises(EngineError, match="nobody answers"), transaction.atomic(using=alias):
                authors.update(name="lost")
    assert (frozenset(), ["old"]) == (pending(connection), [author.name for author in authors.all()])
    authors.update(name="new")
    assert "new" == name(alias)


def test_commits_go_on_where_that_is_said(
    alias: str, caches: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    By `on_outage="load"`, and they say so.
    """
    said = caches(OPTIONS={"on_outage": "load", "cache": f"{cache.native.name}-on"})
    with override_settings(CACHES={"default": said}):
        name(alias)
        with monkeypatch.context() as patch:
            for method in ("get", "get_many", "get_or_load", "invalidate"):
                real = getattr(SyncCache, method)
                patch.setattr(SyncCache, method, real if method == "get_or_load" else _refuse)
            Author.objects.using(alias).update(name="new")
            assert ["new"] == [author.name for author in cached(Author.objects.using(alias).order_by("pk"))]
    assert "could not be dropped" in caplog.text


def test_what_the_database_refuses_ends_as_it_should(alias: str) -> None:
    """
    Nothing is marked afterwards, whether a statement was refused, or the commit.
    """
    name(alias)
    with pytest.raises(IntegrityError):
        Author.objects.using(alias).create(pk=1, name="twice")
    assert [True, False] == [is_asked(alias), is_asked(alias)]
    with pytest.raises(IntegrityError):
        _lose(alias)
    assert [True, False] == [is_asked(alias), is_asked(alias)]
    assert "old" == name(alias)


def _lose(alias: str) -> None:
    with transaction.atomic(using=alias):
        Author.objects.using(alias).update(name="lost")
        Book(title="a", author_id=99).save(using=alias)  # of nobody: that is found at the commit


def test_a_transaction_by_hand_is_one(alias: str) -> None:
    """
    What it has written is nobody else's, and dropped for when it commits, also where that is said past Django.
    """
    connection, authors = connections[alias], Author.objects.using(alias)
    for end in ("rollback", "commit"):
        name(alias)
        transaction.set_autocommit(False, using=alias)
        try:
            authors.update(name=end)
            assert end == name(alias)
            getattr(transaction, end)(using=alias)
        finally:
            transaction.set_autocommit(True, using=alias)
        assert ("commit" if end == "commit" else "old") == name(alias)
    for end in ("rollback", "commit"):
        name(alias)
        with connection.cursor() as cursor:
            cursor.execute("begin")
            cursor.execute("update library_author set name = %s", [f"raw {end}"])
        assert f"raw {end}" == name(alias)
        with connection.cursor() as cursor:
            cursor.execute(end)
        assert ("raw commit" if end == "commit" else "commit") == name(alias)
        assert not is_asked(alias)
