"""One process of the hammer: readers and writers in threads, or in tasks."""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Connection, Engine, ForeignKey, create_engine, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import cachegrid
from cachegrid.integrations._queries import drops
from cachegrid.integrations._queries.drops import ALL
from cachegrid.integrations.sqlalchemy import answers, cached, follow, transactions
from cachegrid.integrations.sqlalchemy.results import Rows, rows_of

__all__ = ["PAIRS", "POISON", "Base", "Orders", "Work"]

POISON: Final = 1 << 40  # added to versions that are rolled back
STALENESS: Final = 1.5  # seconds for which near copies may be old, on a busy machine
CRASHES: Final = 0.05  # of the commits of a process that is to be killed
LEAST: Final = 2  # of what a process shall have done
LATEST: Final = 20.0  # seconds after which it ends without
KEPT: Final = 0.7  # of what is written is committed
PACE: Final = 0.02  # seconds between the writes of a process, and that a snapshot gets old
WITHIN: Final = 3.0  # seconds that a COMMIT may take


class Orders(NamedTuple):
    """What a process has to do."""

    url: str
    grid: str
    board: str
    colour: str
    number: int
    writers: int
    rows: int
    seconds: float
    without: str = ""
    is_near: bool = False
    until: float = 0.0  # wall time; or for so many seconds from the first moment on

    @property
    def own(self) -> list[int]:
        """The rows that this process alone writes to; a version is given once."""
        return [row for row in range(self.rows) if self.writer_of(row) == self.number]

    def writer_of(self, row: int) -> int:
        """The number of the process that writes to a row, and of its tables."""
        return row % (self.writers + 1)


class Base(DeclarativeBase):
    """All tables."""


class Pair(NamedTuple):
    """Two tables that one process writes to: what one has of a row, the other has, too."""

    account: Any
    entry: Any


def _pair(number: int) -> Pair:
    name = f"hammer_account_{number}"
    account = {
        "__tablename__": name,
        "id": mapped_column(primary_key=True),
        "version": mapped_column(BigInteger),
        "__annotations__": {"id": Mapped[int], "version": Mapped[int]},
    }
    entry = {
        "__tablename__": f"hammer_entry_{number}",
        "account_id": mapped_column(ForeignKey(f"{name}.id"), primary_key=True),
        "version": mapped_column(BigInteger),
        "__annotations__": {"account_id": Mapped[int], "version": Mapped[int]},
    }
    return Pair(type(f"Account{number}", (Base,), account), type(f"Entry{number}", (Base,), entry))


PAIRS: Final = [_pair(number) for number in range(6)]


class Work:
    """What all threads or tasks of a process share."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        with Path(orders.board).open("r+b") as file:
            self.board = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.chance = random.Random()

    @property
    def goes_on(self) -> bool:
        """Whether there is time left, or little was done on a busy machine; not when it is known what a rule is for."""
        if self.orders.without and self.wrong:
            self.board[-1] = 1  # for all
        late = time.time() - self.orders.until
        has_little = late < LATEST and any(self.counts[what] < LEAST for what in ("written", "rolled back"))
        return not self.board[-1] and (late < 0 or (has_little and self.orders.colour != "crash"))

    # What is asked.

    def question(self) -> tuple[int, Any]:
        """A row, and a statement that tells of it, and perhaps of others."""
        row = self.chance.randrange(self.orders.rows)
        account, entry = PAIRS[self.orders.writer_of(row)]
        joined = select(account.id, account.version, entry.version).join(entry)
        asked: list[Any] = [
            select(account.id, account.version, account.version).where(account.id == row),
            select(entry.account_id, entry.version, entry.version).where(entry.account_id == row),
            joined.where(account.id == row),
            joined.order_by(account.id),
        ]
        return row, self.chance.choice(asked).options(cached("hammer", ttl=60))

    def truth(self, connection: Connection, row: int) -> int:
        """A version that was committed before now; as the board has it, or the database."""
        if self.chance.random() < 0.5:
            return self.board[row]
        account = PAIRS[self.orders.writer_of(row)].account
        version: int = connection.scalars(select(account.version).where(account.id == row)).one()
        connection.rollback()
        return version

    def judge(self, row: int, floor: int, found: list[tuple[int, int, int]], since: float) -> bool:
        """Whether what was found may be; near copies may be old for a while."""
        self.counts["reads"] += 1
        for number, version, other in found:
            said = f"row {number} had version {version} and {other}; {floor} of row {row} was committed before"
            if max(version, other) >= POISON:
                self.wrong.append(f"uncommitted: {said}")
            elif version != other:
                self.wrong.append(f"torn: {said}")
            elif number == row and version < floor:
                if not self.orders.is_near or time.monotonic() - since > STALENESS:
                    self.wrong.append(f"stale: {said}")
                return False
        return True

    # What is written.

    def write(self, connection: Connection) -> tuple[int, int] | None:
        """Give a row its next version, in one of the ways there are; which, unless it was rolled back."""
        row = self.chance.choice(self.orders.own)
        pair = PAIRS[self.orders.number]
        version: int = 1 + connection.scalars(select(pair.account.version).where(pair.account.id == row)).one()
        is_kept = self.chance.random() < KEPT
        write = self.chance.choices([_by_core, _by_objects, _by_text], [10, 10, 1])[0]  # a text drops all
        write(connection, pair, row, version if is_kept else version + POISON)
        if not is_kept:
            # Within, it sees what it wrote; nobody else ever does.
            connection.execute(self.question()[1])
            connection.rollback()
            self.counts["rolled back"] += 1
            return None
        connection.commit()
        self.counts["written"] += 1
        return row, version

    def look(self, connection: Connection) -> None:
        """Ask with a snapshot that gets old: what is found then is nobody else's answer."""
        account = PAIRS[0].account
        connection.execute(select(account.id))
        time.sleep(PACE)
        for _ in range(10):
            connection.execute(self.question()[1])
        connection.rollback()
        self.counts["snapshots"] += 1


def _by_core(connection: Connection, pair: Pair, row: int, version: int) -> None:
    for table, key in ((pair.account.__table__, "id"), (pair.entry.__table__, "account_id")):
        connection.execute(update(table).where(table.c[key] == row).values(version=version))


def _by_text(connection: Connection, pair: Pair, row: int, version: int) -> None:
    said = {"row": row, "version": version}
    for table, key in ((pair.account.__tablename__, "id"), (pair.entry.__tablename__, "account_id")):
        connection.execute(text(f"update {table} set version = :version where {key} = :row"), said)  # noqa: S608 - ours


def _by_objects(connection: Connection, pair: Pair, row: int, version: int) -> None:
    with Session(connection, join_transaction_mode="rollback_only") as session:
        session.get_one(pair.account, row).version = version
        session.flush()
        session.execute(update(pair.entry).where(pair.entry.account_id == row).values(version=version))


# The two colours.


def work_in_threads(work: Work) -> None:
    """Readers and a writer, each in a thread."""
    orders = work.orders
    with cachegrid.connect(orders.grid) as grid:
        engine = create_engine(orders.url, pool_size=20)
        _follow(engine, grid, orders)
        jobs: list[Callable[[], None]] = [lambda: _write_on(work, engine)]
        if orders.colour != "crash":
            jobs += [lambda: _read_on(work, engine)] * 3 + [lambda: _look_on(work, engine)]
        threads = [threading.Thread(target=_guarded, args=(work, job)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        engine.dispose()
        work.counts["hits"] = grid.cache("hammer").stats().hits


def _guarded(work: Work, job: Callable[[], None]) -> None:
    try:
        job()
    except BaseException as error:  # noqa: BLE001 - it is told, and fails the run
        work.wrong.append(f"failed: {error!r}")


def _write_on(work: Work, engine: Engine) -> None:
    with engine.connect() as connection:
        while work.goes_on:
            done = work.write(connection)
            if done is not None:
                work.board[done[0]] = done[1]
            time.sleep(PACE)


def _read_on(work: Work, engine: Engine) -> None:
    with engine.connect() as plain, engine.connect() as connection:
        while work.goes_on:
            row, statement = work.question()
            floor, since = work.truth(plain, row), time.monotonic()
            while not work.judge(row, floor, _found(connection, statement), since):
                if not work.orders.is_near or time.monotonic() - since > STALENESS:
                    break


def _found(connection: Connection, statement: Any) -> list[tuple[int, int, int]]:
    with Session(connection, join_transaction_mode="control_fully") as session:
        return [tuple(row) for row in session.execute(statement)]


def _look_on(work: Work, engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        while work.goes_on:
            work.look(connection)


async def work_in_tasks(work: Work) -> None:
    """Readers and a writer, each in a task."""
    orders = work.orders
    async with cachegrid.aconnect(orders.grid) as grid:
        engine = create_async_engine(orders.url, pool_size=20)
        _follow(engine, grid, orders)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_awrite_on(work, engine))
            for _ in range(4):
                tasks.create_task(_aread_on(work, engine))
        await engine.dispose()
        work.counts["hits"] = grid.cache("hammer").stats().hits


async def _awrite_on(work: Work, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        while work.goes_on:
            done = await connection.run_sync(work.write)
            if done is not None:
                work.board[done[0]] = done[1]
            await asyncio.sleep(PACE)


async def _aread_on(work: Work, engine: AsyncEngine) -> None:
    async with engine.connect() as plain, engine.connect() as connection:
        while work.goes_on:
            row, statement = work.question()
            floor, since = await plain.run_sync(work.truth, row), time.monotonic()
            while not work.judge(row, floor, await _afound(connection, statement), since):
                if not work.orders.is_near or time.monotonic() - since > STALENESS:
                    break


async def _afound(connection: AsyncConnection, statement: Any) -> list[tuple[int, int, int]]:
    return await connection.run_sync(_found, statement)


# Rules, and what is without them.


def _follow(engine: Any, grid: Any, orders: Orders) -> None:
    grid.cache("hammer", near=orders.is_near)  # opened here, with its policy
    follow(engine, grid, database="hammer", caches="hammer", commit_within=WITHIN)


def leave_out(rule: str) -> None:
    """Do as if nobody had thought of a rule."""
    if rule == "marks":  # nothing is done before COMMIT
        drops.Drops._announce = lambda *_: []  # type: ignore[method-assign]
        drops.Drops.is_written = lambda *_: False  # type: ignore[method-assign]
    elif rule == "epochs":  # those of the tags are taken after the statement
        answers.Answers._loaded = _loaded_late  # type: ignore[method-assign]
    elif rule == "uncommitted":  # what this transaction wrote itself is answered, and kept, as anything else
        answers.Answers.give = _give_blindly  # type: ignore[method-assign]
    elif rule == "snapshots":  # every statement is thought to see all that is committed
        answers.sight_of = lambda *_: transactions.Sight.ALL  # type: ignore[attr-defined] # there


_give = answers.Answers.give


def _give_blindly(self: Any, it: Any, effect: Any, about: Any) -> bool:
    blank = transactions.Transaction()
    blank.level = about.level
    return _give(self, it, effect, blank)


def _loaded_late(self: Any, asked: Any) -> Rows | None:
    found: Rows | None = self._found(asked)
    if found is None and not self._is_written(asked):
        asked.it.run()
        found = rows_of(asked.it.cursor)
        tags = [*map(self._drops.tag, (*sorted(asked.tables), ALL))]
        self._wait(asked.cache.set(asked.key, list(found), tags=tags))
    return found


def _die_at_times(chance: random.Random) -> None:
    """Let this process be killed between COMMIT and what comes after it."""
    conclude = drops.Drops._conclude

    def dying(*args: Any) -> None:
        if chance.random() < CRASHES:
            os.kill(os.getpid(), signal.SIGKILL)
        conclude(*args)

    drops.Drops._conclude = dying  # type: ignore[method-assign,assignment]


def main(line: str) -> None:
    """Do what was ordered, and tell what came of it."""
    orders = Orders(**json.loads(line))
    work = Work(orders if orders.until else orders._replace(until=time.time() + orders.seconds))
    leave_out(work.orders.without)
    if work.orders.colour == "crash":
        _die_at_times(work.chance)
    if work.orders.colour == "async":
        asyncio.run(work_in_tasks(work))
    else:
        work_in_threads(work)
    sys.stdout.write(json.dumps({"counts": work.counts, "wrong": work.wrong}))


if __name__ == "__main__":
    main(sys.argv[1])
