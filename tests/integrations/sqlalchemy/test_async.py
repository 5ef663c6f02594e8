"""In async code all is as in sync code: the same entries, the same drops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from cachegrid.errors import EngineError
from cachegrid.integrations.sqlalchemy import cached
from tests.integrations.sqlalchemy.conftest import filled_at
from tests.integrations.sqlalchemy.shop import Product
from tests.integrations.sqlalchemy.shops import AsyncShop, Shop

NAMES = select(Product.name).order_by(Product.id).options(cached())


@pytest.fixture(
    params=[
        "sqlite+aiosqlite",
        pytest.param("postgresql+psycopg", marks=pytest.mark.grid),
        pytest.param("postgresql+asyncpg", marks=pytest.mark.grid),
    ]
)
def driver(request: pytest.FixtureRequest) -> str:
    """What async code reaches a database by."""
    return str(request.param)


@pytest.fixture
def url(driver: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where that database is for sync code, with products."""
    if driver.startswith("sqlite"):
        return filled_at(f"sqlite:///{tmp_path / 'shop.db'}")
    return str(request.getfixturevalue("filled"))


@pytest.fixture
async def async_shop(driver: str, url: str) -> AsyncIterator[AsyncShop]:
    """A database with products, and an engine that follows a grid."""
    async with AsyncShop(f"{driver}:{url.partition(':')[2]}") as shop:
        yield shop


async def test_another_session_is_answered_without_the_database(async_shop: AsyncShop) -> None:
    """
    Objects with what was loaded along, and rows, on a connection as well.
    """
    products = select(Product).order_by(Product.id).options(cached(), selectinload(Product.parts))
    for _ in range(2):
        async_shop.ran.clear()
        saw, _drill = await async_shop.ask(products)
    assert ("saw", ["blade", "grip"], []) == (saw.name, [part.name for part in saw.parts], async_shop.ran)
    for _ in range(2):
        async_shop.ran.clear()
        async with async_shop.engine.connect() as connection:
            assert [("saw",), ("drill",)] == (await connection.execute(NAMES)).all()
    assert [] == async_shop.ran


async def test_a_commit_drops_what_was_read_of_its_tables(async_shop: AsyncShop) -> None:
    """
    What is flushed, and what many rows get at once.
    """
    for name in ("one", "two"):
        await async_shop.ask(NAMES)
        async with async_shop.session.begin() as session:
            (await session.get_one(Product, 2)).name = name
            if name == "two":
                await session.execute(update(Product).values(name=name))
            await session.flush()
            assert name == (await session.scalars(NAMES)).all()[1]
        assert name == (await async_shop.ask(NAMES))[1]


async def test_what_is_rolled_back_changes_nothing(async_shop: AsyncShop) -> None:
    """
    It is neither kept nor dropped for.
    """
    await async_shop.ask(NAMES)
    async_shop.ran.clear()
    async with async_shop.session() as session:
        await session.execute(update(Product).values(name="new"))
        assert ["new", "new"] == list(await session.scalars(NAMES))
        await session.rollback()
    assert ["saw", "drill"] == await async_shop.ask(NAMES)


async def test_sync_and_async_code_share_what_is_kept(async_shop: AsyncShop, url: str) -> None:
    """
    And each drops it for the other.
    """

    def rename(name: str) -> list[str]:
        with Shop(url, async_shop.store) as shop:
            shop.ask(NAMES)
            with shop.session.begin() as session:
                session.execute(update(Product).values(name=name))
            found = shop.ask(NAMES)
            assert 0 == shop.asked(NAMES)
            return found

    assert ["saw", "drill"] == await async_shop.ask(NAMES)
    assert ["new", "new"] == await asyncio.to_thread(rename, "new")
    assert ["new", "new"] == await async_shop.ask(NAMES)


async def test_many_who_ask_at_once_ask_the_database_once(async_shop: AsyncShop) -> None:
    """
    64 tasks, of which some give up.
    """
    async with AsyncShop(str(async_shop.engine.url), async_shop.store) as many:
        tasks = [asyncio.create_task(many.ask(NAMES)) for _ in range(64)]
        assert [["saw", "drill"]] * 64 == await asyncio.gather(*tasks)
        assert 1 == len(many.ran)


async def test_who_gives_up_leaves_the_rest_to_others(async_shop: AsyncShop) -> None:
    """
    Another one asks the database where he who did was cancelled.
    """
    tasks = [asyncio.create_task(async_shop.ask(NAMES)) for _ in range(4)]
    while not async_shop.ran:
        await asyncio.sleep(0)
    tasks[0].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [["saw", "drill"]] * 3 == found[1:]


async def test_streams_are_the_database_s(async_shop: AsyncShop) -> None:
    """
    They are not read at once.
    """
    for _ in range(2):
        async_shop.ran.clear()
        async with async_shop.session() as session:
            assert ["saw", "drill"] == [name async for name in await session.stream_scalars(NAMES)]
    assert 1 == len(async_shop.ran)


async def test_a_session_can_choose_for_all_that_it_selects(async_shop: AsyncShop) -> None:
    """
    As in sync code.
    """
    for _ in range(2):
        async_shop.ran.clear()
        async with AsyncSession(async_shop.engine, info={"cachegrid": cached()}) as session:
            assert "saw" == (await session.get_one(Product, 1)).name
    assert [] == async_shop.ran


async def test_no_commit_without_the_grid(async_shop: AsyncShop) -> None:
    """
    It is refused before it has begun.
    """
    async with async_shop.session() as session:
        await session.execute(update(Product).values(name="new"))
        await async_shop.grid.aclose()
        with pytest.raises(EngineError, match="closed"):
            await session.commit()
