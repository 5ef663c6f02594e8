"""One process of the hammer: readers and a writer, in threads."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from django.core.cache import caches
from django.db import connections, models, transaction
from django.test import override_settings

from cachegrid.integrations._queries.drops import ALL, Drops
from cachegrid.integrations.django import cached, close, queries
from cachegrid.integrations.django.commits import drops_of
from tests.integrations.django import conftest
from tests.integrations.sqlalchemy.hammering import CRASHES, KEPT, PACE, POISON, STALENESS, WITHIN, Orders, Work

DATABASE: Final = conftest.POSTGRES
Rows = list[tuple[int, int, int]]


class Pair(NamedTuple):
    """Two tables that one process writes to: what one has of a row, the other has, too."""

    account: Any
    entry: Any


def _pair(number: int) -> Pair:
    """Models that exist here only."""
    account = type(
        f"Account{number}",
        (models.Model,),
        {
            "__module__": __name__,
            "version": models.BigIntegerField(),
            "id": models.IntegerField(primary_key=True),
            "Meta": type("Meta", (), {"app_label": "library", "db_table": f"hammer_account_{number}"}),
        },
    )
    entry = type(
        f"Entry{number}",
        (models.Model,),
        {
            "__module__": __name__,
            "version": models.BigIntegerField(),
            "account": models.OneToOneField(account, models.CASCADE, primary_key=True),
            "Meta": type("Meta", (), {"app_label": "library", "db_table": f"hammer_entry_{number}"}),
        },
    )
    return Pair(account.objects.using(DATABASE), entry.objects.using(DATABASE))  # type: ignore[attr-defined]


PAIRS: Final = [_pair(number) for number in range(6)]


class DjangoWork(Work):
    """What all threads of a process share."""

    def ask(self, row: int) -> Rows:
        """What is found of a row, and perhaps of others."""
        account, entry = PAIRS[self.orders.writer_of(row)]
        joined = entry.values_list("account_id", "account__version", "version")
        asks: Sequence[Callable[[], Rows]] = [
            lambda: [(found.id, found.version, found.version) for found in cached(account.filter(pk=row), ttl=60)],
            lambda: [(found.pk, found.version, found.version) for found in cached(entry.filter(pk=row), ttl=60)],
            lambda: cached(joined.filter(pk=row), ttl=60),
            lambda: cached(joined.order_by("account_id"), ttl=60),
        ]
        return self.chance.choice(asks)()

    def read(self) -> None:
        """Judge a read; until near copies must be new, at most."""
        row = self.chance.randrange(self.orders.rows)
        account = PAIRS[self.orders.writer_of(row)].account
        floor = self.board[row] if self.chance.random() < 0.5 else account.get(pk=row).version
        since = time.monotonic()
        is_within = self.chance.random() < 0.3
        while True:
            with transaction.atomic(using=DATABASE) if is_within else contextlib.nullcontext():
                found = self.ask(row)
            if self.judge(row, floor, found, since):
                return
            if not self.orders.is_near or time.monotonic() - since > STALENESS:
                return

    def look_on(self) -> None:
        """Ask with a snapshot that gets old: what is found then is nobody else's answer."""
        with transaction.atomic(using=DATABASE):
            with connections[DATABASE].cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            PAIRS[0].account.get(pk=0)
            time.sleep(PACE)
            for _ in range(10):
                self.ask(self.chance.randrange(self.orders.rows))
        self.counts["snapshots"] += 1

    def write_on(self) -> None:
        """Give a row its next version, in one of the ways there are."""
        row, pair = self.chance.choice(self.orders.own), PAIRS[self.orders.number]
        version = 1 + pair.account.get(pk=row).version
        if self.chance.random() < KEPT:
            self.chance.choice([_by_rows, _by_objects, _by_text, _by_savepoint])(pair, row, version)
            self.board[row] = version
            self.counts["written"] += 1
        else:
            with transaction.atomic(using=DATABASE):
                _by_rows(pair, row, version + POISON)
                # Within, it sees what it wrote; nobody else ever does.
                self.ask(row)
                transaction.set_rollback(True, using=DATABASE)
            self.counts["rolled back"] += 1
        time.sleep(PACE)


def _by_rows(pair: Pair, row: int, version: int) -> None:
    with transaction.atomic(using=DATABASE):
        for rows in pair:
            rows.filter(pk=row).update(version=version)


def _by_objects(pair: Pair, row: int, version: int) -> None:
    with transaction.atomic(using=DATABASE):
        for rows in pair:
            found = rows.get(pk=row)
            found.version = version
            found.save()


def _by_text(pair: Pair, row: int, version: int) -> None:
    """In one statement, which commits by itself."""
    account, entry = [rows.model._meta.db_table for rows in pair]
    first = f"update {account} set version = %s where id = %s"  # noqa: S608 - ours
    text = f"with a as ({first}) update {entry} set version = %s where account_id = %s"  # noqa: S608 - ours
    with connections[DATABASE].cursor() as cursor:
        cursor.execute(text, [version, row, version, row])


def _by_savepoint(pair: Pair, row: int, version: int) -> None:
    """After another try, which was rolled back."""
    with transaction.atomic(using=DATABASE):
        with transaction.atomic(using=DATABASE):
            pair.account.filter(pk=row).update(version=version + POISON)
            transaction.set_rollback(True, using=DATABASE)
        _by_rows(pair, row, version)


def _guarded(work: DjangoWork, job: Callable[[], None]) -> None:
    try:
        while work.goes_on:
            job()
    except BaseException as error:  # noqa: BLE001 - it is told, and fails the run
        work.wrong.append(f"failed: {error!r}")
    finally:
        connections.close_all()


# Rules, and what is without them.


def leave_out(rule: str) -> None:
    """Do as if nobody had thought of a rule."""
    if rule == "marks":  # nothing is done before COMMIT
        Drops._announce = lambda *_: []  # type: ignore[method-assign]
        Drops.is_written = lambda *_: False  # type: ignore[method-assign]
    elif rule == "epochs":  # those of the tags are taken after the statement
        queries._kept = _kept_late
    elif rule == "uncommitted":  # what this transaction wrote itself is answered, and kept, as anything else
        queries.pending = lambda _: frozenset()  # type: ignore[attr-defined,assignment] # there
    elif rule == "snapshots":  # every statement is thought to see all that is committed
        queries._sees_what_is_committed = lambda _: True  # type: ignore[assignment]


def _kept_late(cache: Any, key: Any, load: Any, names: Any, **_: Any) -> Any:
    drops, found = drops_of(cache), cache.native.get(key)
    if found is None:
        is_written, found = drops.is_written(names), load()
        if not is_written:
            cache.native.set(key, found, tags=[*map(drops.tag, (*names, ALL))])
    return found


def _die_at_times(chance: random.Random) -> None:
    """Let this process be killed between COMMIT and what comes after it."""
    conclude = Drops._conclude

    def dying(*args: Any) -> None:
        if chance.random() < CRASHES:
            os.kill(os.getpid(), signal.SIGKILL)
        conclude(*args)

    Drops._conclude = dying  # type: ignore[method-assign,assignment]


def main(line: str) -> None:
    """Do what was ordered, and tell what came of it."""
    orders = Orders(**json.loads(line))
    work = DjangoWork(orders if orders.until else orders._replace(until=time.time() + orders.seconds))
    leave_out(orders.without)
    jobs = [work.write_on]
    if orders.colour == "crash":
        _die_at_times(work.chance)
    else:
        jobs += [work.read] * 3 + [work.look_on]
    connections[DATABASE].settings_dict.update(HOST="127.0.0.1", PORT=orders.url)
    options = {"cache": "hammer", "near": orders.is_near}
    said = {"default": {"BACKEND": conftest.BACKEND, "LOCATION": orders.grid, "OPTIONS": options}}
    with override_settings(CACHES=said, CACHEGRID_COMMIT_WITHIN=WITHIN):
        threads = [threading.Thread(target=_guarded, args=(work, job)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        work.counts["hits"] = caches["default"].native.stats().hits
        close()
    sys.stdout.write(json.dumps({"counts": work.counts, "wrong": work.wrong}))


if __name__ == "__main__":
    main(sys.argv[1])
