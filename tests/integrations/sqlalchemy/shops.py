"""A database with some products, an engine that follows a grid, and a list of what the database was really asked."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

import cachegrid
from cachegrid import AsyncCache, AsyncGrid, SyncCache, SyncGrid
from cachegrid.integrations.sqlalchemy import follow
from tests.integrations.sqlalchemy.shop import Base, Part, Price, Product

__all__ = ["AsyncShop", "Shop", "fill"]

_numbers = itertools.count()


def watch(engine: Engine, ran: list[str]) -> None:
    """Note each statement that comes to the driver."""
    dialect: Any = engine.dialect
    execute, execute_many = dialect.do_execute, dialect.do_executemany

    def do_execute(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        ran.append(statement)
        execute(cursor, statement, parameters, context)

    def do_executemany(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        ran.append(statement)
        execute_many(cursor, statement, parameters, context)

    dialect.do_execute, dialect.do_executemany = do_execute, do_executemany


def fill(engine: Engine) -> None:
    """Make the tables anew: two products, of which the first has two parts, and a price."""
    with Session(engine) as session:
        if engine.dialect.name == "sqlite":  # readers and a writer at once, as elsewhere
            session.connection().exec_driver_sql("pragma journal_mode=wal")
        Base.metadata.drop_all(session.connection())
        Base.metadata.create_all(session.connection())
        session.add_all([Product(id=1, name="saw"), Product(id=2, name="drill"), Price(id=1, amount=Decimal("9.90"))])
        session.flush()
        session.add_all([Part(id=1, name="blade", product_id=1), Part(id=2, name="grip", product_id=1)])
        session.commit()


@dataclass
class Shop:
    """For sync code. Another one of the same `url` and `store` is another process, as far as they can tell."""

    url: str
    store: str = ""
    grid_url: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    follows: dict[str, Any] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.store = self.store or f"queries-{next(_numbers)}"
        self.grid: SyncGrid = cachegrid.connect(self.grid_url or f"memory://{self.store}", **self.settings)
        self.cache: SyncCache = self.grid.cache("queries")
        self.engine = create_engine(self.url, **self.options)
        watch(self.engine, self.ran)
        follow(self.engine, self.grid, database="shop", **self.follows)
        self.session = sessionmaker(self.engine)
        self.engine.connect().close()  # with its questions about the server
        self.ran.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.dispose()
        self.grid.close()

    def ask(self, statement: Any, *, times: int = 1, is_unique: bool = False, **bound: Any) -> list[Any]:
        """What a new session finds, each time; the first column of each row, or of each that differs."""
        found: list[Any] = []
        for _ in range(times):
            with self.session() as session:
                result = session.scalars(statement, bound)
                found = list(result.unique() if is_unique else result)
        return found

    def asked(self, statement: Any, *, times: int = 1, **bound: Any) -> int:
        """How often that came to the database."""
        self.ran.clear()
        self.ask(statement, times=times, **bound)
        return len(self.selected())

    def selected(self) -> Sequence[str]:
        """The questions that came to the database."""
        return [statement for statement in self.ran if statement.lower().startswith("select")]


@dataclass
class AsyncShop:
    """For async code."""

    url: str
    store: str = ""
    ran: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self.store = self.store or f"queries-{next(_numbers)}"
        self.grid: AsyncGrid = cachegrid.aconnect(f"memory://{self.store}", config={})
        self.cache: AsyncCache = self.grid.cache("queries")
        self.engine: AsyncEngine = create_async_engine(self.url)
        watch(self.engine.sync_engine, self.ran)
        follow(self.engine, self.grid, database="shop")
        self.session: async_sessionmaker[AsyncSession] = async_sessionmaker(self.engine)
        async with self.engine.connect():  # with its questions about the server
            self.ran.clear()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.dispose()
        await self.grid.aclose()

    async def ask(self, statement: Any, **bound: Any) -> list[Any]:
        """What a new session finds; the first column of each row."""
        async with self.session() as session:
            return list(await session.scalars(statement, bound))
