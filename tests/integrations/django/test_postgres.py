"""On PostgreSQL transactions go on at the same time, and what each of them sees depends on how it was begun."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from cachegrid.integrations.django import cached
from tests.integrations.django.conftest import POSTGRES as DATABASE
from tests.integrations.django.library.models import Author
from tests.integrations.sqlalchemy.server import Postgres

pytestmark = [pytest.mark.grid, pytest.mark.slow, pytest.mark.usefixtures("_counter")]
SECONDS = 0.7


@pytest.fixture
def _counter(caches: Callable[..., dict[str, Any]], server: Postgres) -> Iterator[None]:
    """One author, whose name is a number."""
    with override_settings(CACHES={"default": caches()}):
        Author.objects.using(DATABASE).update_or_create(pk=1, defaults={"name": "0"})
        yield
        connections.close_all()


def number() -> int:
    """What the cache says."""
    return int(cached(Author.objects.using(DATABASE))[0].name)


def is_asked(table: str = "library_author") -> bool:
    """Whether the database is asked for it."""
    with CaptureQueriesContext(connections[DATABASE]) as queries:
        number()
    return any(table in query["sql"] for query in queries)


def test_a_transaction_fills_where_it_sees_what_is_committed() -> None:
    """
    That is what transactions do here if nothing else is said, and not those that see what was at their begin.
    """
    with transaction.atomic(using=DATABASE):
        with connections[DATABASE].cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert [True, True] == [is_asked(), is_asked()]
    with transaction.atomic(using=DATABASE):
        assert [True, False] == [is_asked(), is_asked()]
    assert not is_asked()


def test_nobody_reads_what_is_older_than_a_commit() -> None:
    """
    That is over when they begin to read, however many write; nor what was rolled back.
    """
    committed = [0]
    lock = threading.Lock()
    end = time.monotonic() + SECONDS

    def write(worker: int, turn: int) -> None:
        is_kept = (turn + worker) % 3 > 0
        with transaction.atomic(using=DATABASE):
            author = Author.objects.using(DATABASE).select_for_update().get()
            value = int(author.name) + 1 if is_kept else -1
            Author.objects.using(DATABASE).update(name=str(value))
            assert value == number()
            if not is_kept:
                transaction.set_rollback(True, using=DATABASE)
        if is_kept:
            with lock:
                committed[0] = max(committed[0], value)

    def read(worker: int, turn: int) -> None:
        with lock:
            oldest = committed[0]
        with transaction.atomic(using=DATABASE) if worker % 2 else contextlib.nullcontext():
            assert oldest <= number()

    def work(job: Callable[[int, int], None], worker: int) -> None:
        try:
            for turn in itertools.count(1):
                job(worker, turn)
                if time.monotonic() > end:
                    return
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        works = [pool.submit(work, job, worker) for job in (write, read, read) for worker in range(2)]
        for one in works:
            one.result()
    assert committed[0] == number() > 0
