"""Functions of the database drop what they may have written to when they are selected; others drop nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, func, literal_column, select, text
from sqlalchemy.exc import ProgrammingError

from cachegrid.integrations.sqlalchemy import cached
from tests.integrations.sqlalchemy.shop import Price, Product
from tests.integrations.sqlalchemy.shops import AsyncShop, Shop

NAMES = select(Product.name).order_by(Product.id).options(cached())
AMOUNTS = select(Price.id).options(cached())
MADE = """
create or replace function rename(name text) returns int as
'update product set name = rename.name; select 1' language sql;
create or replace function look() returns bigint as 'select count(*) from product' language sql stable;
create or replace function browse() returns setof text as 'select name from product order by id' language sql;
"""
WRITES: list[Any] = [
    select(func.rename("new")),
    select(func.public.rename("new")),
    select(literal_column("rename('new')")),
    text("select rename('new')"),
    text("select * from rename('new')"),
    select(func.count()).where(func.rename("new") == 1),
]


@pytest.fixture
def made(filled: str) -> Iterator[str]:
    """A database with functions."""
    engine = create_engine(filled)
    with engine.begin() as connection:
        connection.exec_driver_sql(MADE)
    yield filled
    with engine.begin() as connection:
        connection.exec_driver_sql("drop function rename, look, browse")
    engine.dispose()


@pytest.fixture
def shop(made: str) -> Iterator[Shop]:
    """An engine that follows it."""
    with Shop(made) as shop:
        yield shop


@pytest.mark.grid
@pytest.mark.parametrize("statement", WRITES, ids=str)
def test_a_function_that_may_write_drops_all(shop: Shop, statement: Any) -> None:
    """
    The database knows which, however it is called.
    """
    shop.ask(NAMES)
    with shop.session.begin() as session:
        session.execute(statement)
        assert ["new", "new"] == list(session.scalars(NAMES))
    assert ["new", "new"] == shop.ask(NAMES)


@pytest.mark.grid
@pytest.mark.parametrize(
    "statement",
    [
        select(func.look()),
        select(func.count(Product.id)),
        text("select pg_sleep(0), random()"),
        select(func.gen_random_uuid()),
    ],
    ids=str,
)
def test_a_function_that_only_reads_drops_nothing(shop: Shop, statement: Any) -> None:
    """
    Nor one that comes with the server.
    """
    shop.ask(AMOUNTS)
    for _ in range(2):
        shop.ask(statement)
    assert 0 == shop.asked(AMOUNTS)


@pytest.mark.grid
def test_a_function_whose_answer_is_to_be_kept_is_taken_to_read(shop: Shop) -> None:
    """
    Though it was not declared to be stable.
    """
    names = text("select browse() as name").columns(Product.name).options(cached(tables=[Product]))
    shop.ask(AMOUNTS)
    assert (["saw", "drill"], 0, 0) == (shop.ask(names), shop.asked(names), shop.asked(AMOUNTS))


@pytest.mark.grid
def test_what_a_function_writes_to_can_be_said(made: str) -> None:
    """
    Then no more is dropped than that, and nobody asks the database.
    """
    with Shop(made, follows={"effects": {"Rename": Product, "browse": []}}) as shop:
        for statement, asked in ((select(func.rename("new")), 1), (select(func.browse()), 0)):
            shop.ask(AMOUNTS)
            shop.ask(NAMES)
            with shop.session.begin() as session:
                session.execute(statement)
            assert (asked, 0) == (shop.asked(NAMES), shop.asked(AMOUNTS))


def test_it_can_be_said_of_any_database(url: str) -> None:
    """
    Also of one that does not tell.
    """
    with Shop(url, follows={"effects": {"abs": "product"}}) as shop:
        shop.ask(NAMES)
        with shop.session.begin() as session:
            session.execute(select(func.abs(1)))
        assert (1, 0) == (shop.asked(NAMES), shop.asked(NAMES))


@pytest.mark.grid
async def test_functions_are_asked_for_in_async_code(made: str) -> None:
    """
    Once for each of them.
    """
    async with AsyncShop(made) as shop:
        for name in ("one", "two"):
            await shop.ask(NAMES)
            async with shop.session.begin() as session:
                await session.execute(select(func.rename(name)))
            assert [name, name] == await shop.ask(NAMES)


@pytest.mark.grid
def test_it_is_told_what_a_function_costs(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """
    Once, since it may only have been forgotten to declare it.
    """
    for _ in range(2):
        shop.ask(select(func.look()))
        shop.ask(select(func.browse()))
    [message] = caplog.messages
    assert "'browse' may write" in message


@pytest.mark.grid
def test_what_nobody_has_made_fails_as_ever(shop: Shop) -> None:
    """
    The question before it makes no difference.
    """
    with shop.session() as session, pytest.raises(ProgrammingError, match="nobody_made_it"):
        session.execute(select(func.nobody_made_it()))
