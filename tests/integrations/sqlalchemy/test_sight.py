"""A transaction that sees other rows than others do is answered by the database, and what it finds is nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event, func, select, text, update

from cachegrid.integrations.sqlalchemy import cached
from tests.integrations.sqlalchemy.shop import Price, Product
from tests.integrations.sqlalchemy.shops import Shop, fill

NAMES = select(Product.name).order_by(Product.id).options(cached())
AMOUNTS = select(Price.id).options(cached())

pytestmark = pytest.mark.grid


@pytest.fixture
def shop(filled: str) -> Iterator[Shop]:
    """On a server where transactions may have every level."""
    with Shop(filled) as shop:
        yield shop


def _rename(shop: Shop, name: str) -> None:
    with shop.session.begin() as session:
        session.execute(update(Product).values(name=name))


def _names(connection: Connection) -> list[str]:
    return list(connection.scalars(NAMES))


def test_a_snapshot_is_nobody_else_s(shop: Shop) -> None:
    """
    What is read in one that has become old is not kept, and what is newer is not given to it.
    """
    with shop.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.execute(select(Price.id))
        _rename(shop, "new")
        assert ["saw", "drill"] == _names(connection)
        assert ["new", "new"] == shop.ask(NAMES)
        assert ["saw", "drill"] == _names(connection)
        connection.rollback()
        assert ["new", "new"] == _names(connection)
    shop.ran.clear()


def test_the_first_statement_of_a_snapshot_is_kept(shop: Shop) -> None:
    """
    It sees all that is committed; and what is answered from the grid begins none.
    """
    for _ in range(3):
        with shop.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            shop.ran.clear()
            connection.execute(AMOUNTS)
            _names(connection)
    assert [] == shop.ran


def test_serializable_transactions_are_answered_by_the_database(shop: Shop) -> None:
    """
    It has to know of all that they read.
    """
    shop.ask(NAMES)
    with shop.engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
        shop.ran.clear()
        _names(connection)
        assert 1 == len(shop.selected())


def test_levels_are_those_of_the_engine_too(shop: Shop) -> None:
    """
    And of the server, and of a text that sets one.
    """
    with Shop(shop.url, shop.store, options={"isolation_level": "SERIALIZABLE"}) as other:
        assert (1, 1) == (other.asked(NAMES), other.asked(NAMES))
    for level in ("REPEATABLE READ", "SERIALIZABLE"):
        shop.ask(NAMES)
        with shop.engine.connect() as connection:
            connection.execute(text(f"set transaction isolation level {level}"))
            shop.ran.clear()
            _names(connection)
            assert 1 == len(shop.selected())
    assert 0 == shop.asked(NAMES)


def test_read_uncommitted_is_read_committed_there(shop: Shop) -> None:
    """
    PostgreSQL has no dirty reads.
    """
    with shop.engine.connect().execution_options(isolation_level="READ UNCOMMITTED") as connection:
        connection.execute(select(Price.id))
        _names(connection)
    assert 0 == shop.asked(NAMES)


@pytest.mark.parametrize(
    ("setting", "asked"),
    [
        (text("set search_path to pg_catalog, public"), 1),
        (text("select set_config('app.name', 'ann', false)"), 1),
        (select(func.set_config("app.name", "ann", False)), 1),
        (text("set local app.name = 'ann'"), 0),
        (text("set statement_timeout to 10000"), 0),
    ],
    ids=str,
)
def test_a_connection_with_settings_of_its_own_is_nobody_else_s(filled: str, setting: Any, asked: int) -> None:
    """
    It may see other tables, or other rows, from then on; `vary` says which. Time-outs change no rows.
    """
    with Shop(filled, options={"pool_size": 1, "max_overflow": 0}) as shop:
        with shop.engine.connect() as connection:
            connection.execute(setting)
            _names(connection)
            connection.commit()
        shop.ask(NAMES)
        assert asked == shop.asked(NAMES)
        who = NAMES.options(cached(vary="ann"))
        assert (1, 0) == (shop.asked(who), shop.asked(who))


def _on_connect(connection: Any, _record: object) -> None:
    connection.execute("set search_path to elsewhere")
    connection.commit()


@pytest.mark.parametrize("way", ["an option", "an event"])
def test_an_engine_with_a_search_path_of_its_own_has_answers_of_its_own(shop: Shop, way: str) -> None:
    """
    So that one database may have several tables of a name; each writes to all of these.
    """
    with shop.engine.begin() as connection:
        connection.exec_driver_sql("drop schema if exists elsewhere cascade")
        connection.exec_driver_sql("create schema elsewhere")
        connection.exec_driver_sql("create table elsewhere.product as select id, name from product where id = 2")
    options: dict[str, Any] = {}
    if way == "an option":
        options["connect_args"] = {"options": "-csearch_path=elsewhere"}
    with Shop(shop.url, shop.store, options=options) as other:
        if way == "an event":
            event.listen(other.engine, "connect", _on_connect)
            other.engine.dispose()
        for _ in range(2):
            assert (["saw", "drill"], ["drill"]) == (shop.ask(NAMES), other.ask(NAMES))
        assert (0, 0) == (shop.asked(NAMES), other.asked(NAMES))
        _rename(other, "new")
        assert (["saw", "drill"], ["new"]) == (shop.ask(NAMES), other.ask(NAMES))


def test_a_search_path_of_a_transaction_is_not_taken_for_that_of_a_connection(filled: str) -> None:
    """
    The connection is used again, and has its own.
    """
    with Shop(filled, options={"pool_size": 1, "max_overflow": 0}) as shop:
        with shop.session() as session:
            session.execute(text("set local search_path to public, pg_catalog"))
            session.scalars(NAMES.options(cached(vary="ann"))).all()
        shop.ask(NAMES)
        with Shop(filled, shop.store) as other:
            assert 0 == other.asked(NAMES)


def test_rows_that_nobody_has_read_yet_hold_a_snapshot(tmp_path: Path) -> None:
    """
    In SQLite, and beyond the end of their transaction: what is read beside them is nobody else's.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    fill(engine)
    with Shop(str(engine.url)) as shop, Shop(str(engine.url), shop.store) as other:
        with shop.engine.connect() as connection:
            half_read = connection.execute(select(Product.name).order_by(Product.id))
            assert ("saw",) == half_read.fetchone()
            connection.rollback()
            _rename(other, "new")
            assert ["saw", "drill"] == _names(connection)
            assert ["new", "new"] == other.ask(NAMES)
            _rename(other, "newer")
            assert ("drill",) == half_read.fetchone()
            assert half_read.fetchone() is None
            del half_read
            assert ["newer", "newer"] == _names(connection)
        assert 0 == other.asked(NAMES)


def test_prepared_transactions_drop_when_they_are_committed(shop: Shop) -> None:
    """
    By the program that prepared them, or by another one, which cannot tell what they wrote to.
    """
    before = shop.ask(NAMES)
    with shop.engine.connect() as connection:
        transaction = connection.begin_twophase("shop-own")
        connection.execute(update(Product).values(name="own"))
        transaction.prepare()
        assert before == shop.ask(NAMES)
        transaction.commit()
    assert ["own", "own"] == shop.ask(NAMES)
    engine = create_engine(shop.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as gone:
        for statement in ("begin", "update product set name = 'found'", "prepare transaction 'shop-found'"):
            gone.exec_driver_sql(statement)
    engine.dispose()
    with shop.engine.connect() as connection:
        connection.commit_prepared("shop-found", recover=True)
    assert ["found", "found"] == shop.ask(NAMES)
    assert 0 == shop.asked(NAMES)
