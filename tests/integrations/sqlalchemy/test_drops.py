"""When a transaction that wrote commits, in whichever way it wrote, what was read of its tables is gone for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, delete, exists, insert, literal, select, table, text, update
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable, DropTable

from cachegrid.integrations.sqlalchemy import cached
from cachegrid.testing.loopback import LoopbackGrid
from tests.integrations.sqlalchemy.shop import Part, Price, Product
from tests.integrations.sqlalchemy.shops import Shop

NAMES = select(Product.name).order_by(Product.id).options(cached())
AMOUNTS = select(Price.amount).options(cached())
PARTS = select(Part.name).order_by(Part.id).options(cached())
PATIENCE = 10.0  # seconds
TABLE: Any = Product.__table__


def _change(session: Session) -> None:
    session.get_one(Product, 1).name = "new"


def _remove(session: Session) -> None:
    session.delete(session.get_one(Product, 2))


def _within(session: Session) -> None:
    with session.begin_nested():
        session.execute(update(Product).values(name="new"))


def _again(session: Session) -> None:
    """Some of it is taken back."""
    session.add(Product(id=3, name="new"))
    with session.begin_nested() as inner:
        session.execute(update(Product).values(name="newer"))
        inner.rollback()


WRITES: dict[str, Callable[[Session], Any]] = {
    "an object is added": lambda session: session.add(Product(id=3, name="new")),
    "an object is changed": _change,
    "an object is removed": _remove,
    "many are changed": lambda session: session.execute(update(Product).values(name="new")),
    "many are removed": lambda session: session.execute(delete(Product).where(Product.id == 2)),
    "many are added": lambda session: session.execute(insert(Product), [{"id": n, "name": "new"} for n in (3, 4)]),
    "each is changed": lambda session: session.execute(update(Product), [{"id": n, "name": "new"} for n in (1, 2)]),
    "mappings are added": lambda session: session.bulk_insert_mappings(Product.__mapper__, [{"id": 3, "name": "new"}]),
    "a row is added": lambda session: session.execute(TABLE.insert().values(id=3, name="new")),
    "rows are changed": lambda session: session.execute(TABLE.update().values(name="new")),
    "rows are removed": lambda session: session.execute(TABLE.delete().where(TABLE.c.id == 2)),
    "rows are copied": lambda session: session.execute(
        insert(Product).from_select(
            ["id", "name", "kind", "made"], select(Product.id + 2, literal("new"), Product.kind, Product.made)
        )
    ),
    "a text is run": lambda session: session.execute(text("update product set name = :name"), {"name": "new"}),
    "the driver's text is run": lambda session: session.connection().exec_driver_sql(
        "delete from product where id = 2"
    ),
    "it is nested": _within,
    "some of it is taken back": _again,
}


@pytest.mark.parametrize("way", WRITES)
def test_a_commit_drops_what_was_read_of_its_tables(shop: Shop, way: str) -> None:
    """
    Nothing from before it is handed out afterwards; within, it sees what it wrote. What is rolled back changes nothing.
    """
    before = shop.ask(NAMES)
    for ends in (Session.rollback, Session.commit):
        with shop.session() as session:
            WRITES[way](session)
            session.flush()
            within = list(session.scalars(NAMES))
            assert before != within
            assert (before, 0) == (shop.ask(NAMES), shop.asked(NAMES))
            ends(session)
        after = before if ends is Session.rollback else within
        assert after == shop.ask(NAMES)
        assert 0 == shop.asked(NAMES)


def test_other_tables_are_left_alone(shop: Shop) -> None:
    """
    A commit drops what was read of its tables, and no more; a text may have written to all.
    """
    shop.ask(AMOUNTS)
    with shop.session.begin() as session:
        session.execute(update(Product).values(name="new"))
        assert [Decimal("9.90")] == list(session.scalars(AMOUNTS))
    assert 0 == shop.asked(AMOUNTS)
    with shop.session.begin() as session:
        session.execute(text("update product set name = 'newer'"))
    assert 1 == shop.asked(AMOUNTS)


def test_a_transaction_that_wrote_waits_for_nobody(shop: Shop) -> None:
    """
    It holds locks: what is kept of other tables it is given, and what is not it reads, and does not keep.
    """
    with shop.session.begin() as session:
        session.execute(update(Product).values(name="new"))
        session.scalars(AMOUNTS).all()
    assert (1, 0) == (shop.asked(AMOUNTS), shop.asked(AMOUNTS))


def test_foreign_keys_that_cascade_are_followed(shop: Shop) -> None:
    """
    What the database changes along with a row is dropped along with it.
    """
    assert ["blade", "grip"] == shop.ask(PARTS)
    with shop.session.begin() as session:
        if shop.engine.dialect.name == "sqlite":
            session.connection().exec_driver_sql("delete from part")  # it does so only if asked to
        session.execute(delete(Product).where(Product.id == 1))
    assert [] == shop.ask(PARTS)


def test_what_else_changes_can_be_said(url: str) -> None:
    """
    By triggers, or since it is a view: along with what it follows, at any remove.
    """
    effects = {"main.product": "part", "Part": [Price]}
    with Shop(url, follows={"effects": effects}) as shop:
        assert 1 == shop.asked(AMOUNTS)
        with shop.session.begin() as session:
            session.execute(update(Product).values(name="new"))
        assert 1 == shop.asked(AMOUNTS)


def _and_commits(connection: Connection) -> None:
    connection.execute(update(Product).values(name="one"))
    connection.commit()


def test_writes_outside_of_sessions_count(shop: Shop) -> None:
    """
    On a connection that commits as it goes, or of which each statement does; and so do texts that commit.
    """
    ways: list[Callable[[Connection], Any]] = [
        _and_commits,
        lambda connection: connection.execution_options(isolation_level="AUTOCOMMIT").execute(
            update(Product).values(name="two")
        ),
        lambda connection: (
            connection.execute(update(Product).values(name="three")),
            connection.exec_driver_sql("COMMIT"),
        ),
    ]
    for way, name in zip(ways, ["one", "two", "three"], strict=True):
        shop.ask(NAMES)
        with shop.engine.connect() as connection:
            way(connection)
            assert [name, name] == shop.ask(NAMES)


def test_an_engine_of_which_each_statement_commits_drops_too(url: str) -> None:
    """
    Not the connection says so, but the engine.
    """
    with Shop(url, options={"isolation_level": "AUTOCOMMIT"}) as shop:
        shop.ask(NAMES)
        with shop.engine.connect() as connection:
            connection.execute(update(Product).values(name="new"))
            assert ["new", "new"] == shop.ask(NAMES)
        assert 0 == shop.asked(NAMES)


def test_a_changed_schema_drops_all(shop: Shop) -> None:
    """
    Whatever is made or removed, an answer might look otherwise from then on.
    """
    for change in (DropTable(Part.__table__), CreateTable(Part.__table__)):  # type: ignore[arg-type] # which are tables
        shop.ask(AMOUNTS)
        with shop.session.begin() as session:
            session.execute(change)
        assert 1 == shop.asked(AMOUNTS)


def test_what_one_process_commits_is_gone_in_another(shop: Shop) -> None:
    """
    Which has another engine, and another connection to the grid; and reads that begin meanwhile see what was.
    """
    with Shop(shop.url, shop.store) as other:
        assert ["saw", "drill"] == other.ask(NAMES)
        assert 0 == shop.asked(NAMES)
        with shop.session.begin() as session:
            session.execute(update(Product).where(Product.id == 1).values(name="new"))
            assert ["saw", "drill"] == other.ask(NAMES)
        assert ["new", "drill"] == other.ask(NAMES)


def test_a_statement_of_two_tables_is_dropped_with_either(shop: Shop) -> None:
    """
    Those of its subqueries are among them, and those that it only counts.
    """
    statement = select(Product.name).where(exists().where(Part.product_id == Product.id)).options(cached())
    assert ["saw"] == shop.ask(statement)
    with shop.session.begin() as session:
        session.add(Part(id=3, name="bit", product_id=2))
    assert ["saw", "drill"] == shop.ask(statement.order_by(Product.id))
    assert ["saw", "drill"] == sorted(shop.ask(statement), reverse=True)


@pytest.mark.grid
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_copies_in_other_processes_go_too(url: str) -> None:
    """
    At once where it was committed, and elsewhere when the news is there.
    """
    near: Any = {"config": {"caches": {"queries": {"near": True}}}}
    with (
        LoopbackGrid(owners=1, replicas=0) as members,
        Shop(url, grid_url=members.url, settings=near) as shop,
        Shop(url, grid_url=members.url, settings=near) as other,
    ):
        for reader in (shop, other):
            deadline = time.monotonic() + PATIENCE
            while not reader.cache.stats().near_hits:
                assert ["saw", "drill"] == reader.ask(NAMES)
                assert time.monotonic() < deadline
        with shop.session.begin() as session:
            session.execute(update(Product).values(name="new"))
        assert ["new", "new"] == shop.ask(NAMES)
        deadline = time.monotonic() + PATIENCE
        while other.ask(NAMES) != ["new", "new"]:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("tables", ["product", "main.Product", 'main."product"', TABLE, Product, [Part, "product"]])
def test_what_a_text_reads_can_be_said(url: str, tables: Any) -> None:
    """
    By the names of tables, with or without a schema, by themselves, or by what is mapped to them.
    """
    with Shop(url) as shop:
        names = text("select name from product order by id").columns(Product.name).options(cached(tables=tables))
        assert (["saw", "drill"], 0) == (shop.ask(names), shop.asked(names))
        with shop.session.begin() as session:
            session.execute(update(Product).values(name="new"))
        assert ["new", "new"] == shop.ask(names)


def test_what_was_kept_with_wrong_tables_is_not_given_for_right_ones(shop: Shop) -> None:
    """
    Who mends a name asks anew.
    """
    names = text("select name from product order by id").columns(Product.name)
    shop.ask(names.options(cached(tables="price")))
    with shop.session.begin() as session:
        session.execute(update(Product).values(name="new"))
    assert ["new", "new"] == shop.ask(names.options(cached(tables="product")))


def test_a_table_that_nobody_knows_is_told_of(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    Once, with what may have been meant; not one that `effects` names, nor one that was given as it is.
    """
    names = text("select name from product order by id").columns(Product.name)
    with Shop(url, follows={"effects": {"product": "totals"}}) as shop:
        shop.ask(select(Product.name))
        for tables in ("totals", "part", table("elsewhere"), "prodct", "prodct"):
            shop.ask(names.options(cached(tables=tables)))
    assert 1 == len(caplog.messages)
    assert "'prodct'" in caplog.text
    assert "did you mean 'product'?" in caplog.text


def test_tags_of_a_statement_drop_it_too(shop: Shop) -> None:
    """
    Those that it was given, and those of its tables, for whoever writes past SQLAlchemy.
    """
    for tag in ("menu", "shop:product", "shop:*"):
        shop.ask(NAMES.options(cached(tags="menu")))
        past = create_engine(shop.url)
        with past.begin() as connection:
            connection.execute(update(Product).values(name=tag))
        past.dispose()
        shop.cache.invalidate(tag)
        assert [tag, tag] == shop.ask(NAMES.options(cached(tags="menu")))
