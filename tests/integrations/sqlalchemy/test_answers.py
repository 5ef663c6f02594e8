"""What is answered from the grid is what the database would answer, as SQLAlchemy would hand it out."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import bindparam, func, literal, select, text, union_all
from sqlalchemy.orm import joinedload, selectinload, sessionmaker

from cachegrid.integrations.sqlalchemy import cached, uncached
from tests.integrations.sqlalchemy.shop import MADE, Kind, Part, Price, Product
from tests.integrations.sqlalchemy.shops import Shop

ALL = select(Product).order_by(Product.id).options(cached("queries", ttl="5m"))
ONE = select(Product).where(Product.id == bindparam("id")).options(cached("queries"))


def test_another_session_is_answered_without_the_database(shop: Shop) -> None:
    """
    Objects come as from the database: of the session, with the types of their columns.
    """
    assert 1 == shop.asked(ALL)
    shop.ran.clear()
    with shop.session() as session:
        saw, drill = session.scalars(ALL)
        assert [] == shop.ran
        assert ("saw", Kind.TOOL, MADE) == (saw.name, saw.kind, saw.made)
        assert saw is session.get(Product, 1)
        assert session.is_modified(drill) is False


def test_rows_of_tables_are_kept_too(shop: Shop) -> None:
    """
    In a session, and on a connection that belongs to none; one is answered with what the other kept.
    """
    rows = select(Price.__table__).options(cached())
    with shop.session() as session:
        assert [(1, Decimal("9.90"))] == session.execute(rows).all()
    shop.ran.clear()
    with shop.engine.connect() as connection:
        result = connection.execute(rows)
        assert ["id", "amount"] == list(result.keys())
        assert [{"id": 1, "amount": Decimal("9.90")}] == [dict(row) for row in result.mappings()]
    for _ in range(2):
        with shop.engine.connect() as connection:
            assert Decimal("9.90") == connection.scalar(select(Price.__table__.c.amount).options(cached()))
    assert 1 == len(shop.selected())


@pytest.mark.parametrize("eager", [joinedload(Product.parts), selectinload(Product.parts)], ids=["joined", "select in"])
def test_what_is_loaded_along_is_kept_along(shop: Shop, eager: Any) -> None:
    """
    Eagerly, by a join or by a statement of its own.
    """
    shop.ask(ALL.options(eager), is_unique=True)
    shop.ran.clear()
    saw, drill = shop.ask(ALL.options(eager), is_unique=True)
    assert (["blade", "grip"], []) == ([part.name for part in saw.parts], drill.parts)
    assert [] == shop.ran


def test_what_is_loaded_later_is_kept_too(shop: Shop) -> None:
    """
    Lazily, by the objects that a cached statement gave.
    """
    for _ in range(2):
        shop.ran.clear()
        with shop.session() as session:
            assert ["blade", "grip"] == [part.name for part in session.scalars(ONE, {"id": 1}).one().parts]
    assert [] == shop.ran


def test_what_a_session_has_changed_stays(shop: Shop) -> None:
    """
    An answer never overwrites the changes of objects that the session has, as no query does.
    """
    shop.ask(ALL)
    with shop.session() as session:
        saw = session.get_one(Product, 1)
        with session.no_autoflush:
            saw.name = "mine"
            assert ["mine", "drill"] == [product.name for product in session.scalars(ALL)]
        assert ["mine", "drill"] == [product.name for product in session.scalars(ALL)]
        session.rollback()
    assert ["saw", "drill"] == [product.name for product in shop.ask(ALL)]


def test_values_tell_statements_apart(shop: Shop) -> None:
    """
    And so do their types: of what is bound, and of what is listed.
    """
    assert ["saw"] == [product.name for product in shop.ask(ONE, id=1)]
    assert ["drill"] == [product.name for product in shop.ask(ONE, id=2)]
    assert [] == shop.ask(ONE, id=None)
    listed = select(Product.name).where(Product.id.in_(bindparam("ids", expanding=True))).options(cached())
    assert [["saw"], ["saw", "drill"], []] == [shop.ask(listed, ids=ids) for ids in ([1], [1, 2], [])]
    assert [["saw"], ["saw", "drill"], []] == [shop.ask(listed, ids=ids) for ids in ([1], [1, 2], [])]
    shown = select(Product.name, literal(1)).where(Product.id == 1)
    assert [1, 2] == [shop.ask(shown.with_only_columns(literal(n), Product.id).options(cached()))[0] for n in (1, 2)]


def test_who_asks_can_be_said(shop: Shop) -> None:
    """
    Where the database answers users differently, and the statement does not show it.
    """
    for user in ("ann", "bob", "ann"):
        shop.ask(select(Product.name).options(cached(vary=("user", user))))
    assert 2 == len(shop.selected())


def test_statements_of_all_kinds_are_kept(shop: Shop) -> None:
    """
    Subqueries, unions, common table expressions, functions, and texts whose tables are said.
    """
    totals = select(Part.product_id, func.count().label("parts")).group_by(Part.product_id).cte()
    kinds: list[Any] = [
        select(Product.name).where(Product.id.in_(select(Part.product_id))),
        select(Product.name, totals.c.parts).join(totals, totals.c.product_id == Product.id),
        select(union_all(select(Product.name), select(Part.name)).subquery()),
        select(func.max(Price.amount)),
        text("select name from product").columns(Product.name),
    ]
    for statement in kinds:
        asked = statement.options(cached(tables="product" if statement is kinds[-1] else ()))
        assert (shop.ask(asked), 0) == (shop.ask(asked), shop.asked(asked)), statement


def test_a_session_can_choose_for_all_that_it_selects(shop: Shop) -> None:
    """
    But for what says otherwise, what is refreshed, and what cannot be kept or told.
    """
    shop.session = sessionmaker(shop.engine, info={"cachegrid": cached("queries", ttl=60)})
    plain = select(Product).order_by(Product.id)
    assert (1, 0) == (shop.asked(plain), shop.asked(plain))
    assert (1, 1) == (shop.asked(plain.options(uncached())), shop.asked(plain.options(uncached())))
    unknown = select(text("name")).select_from(text("product"))
    assert (1, 1) == (shop.asked(unknown), shop.asked(unknown))
    assert (1, 1) == (shop.asked(select(func.random())), shop.asked(select(func.random())))
    shop.ran.clear()
    with shop.session() as session:
        saw = session.get_one(Product, 1)
        session.refresh(saw)
        session.expire(saw)
        assert "saw" == saw.name
    assert 3 == len(shop.selected())


def test_what_locks_or_streams_is_the_database_s(shop: Shop) -> None:
    """
    Nobody else's rows are locked, nor read at once.
    """
    for statement in (ALL.with_for_update(), ALL.execution_options(yield_per=1)):
        assert (1, 1) == (shop.asked(statement), shop.asked(statement))


def test_many_who_ask_at_once_ask_the_database_once(shop: Shop) -> None:
    """
    64 threads, each with a connection of its own.
    """
    found: list[list[str]] = []
    names = select(Product.name).order_by(Product.id).options(cached())
    with Shop(shop.url, shop.store, options={"pool_size": 64}) as many:
        gate = threading.Barrier(64)

        def ask() -> None:
            with many.engine.connect() as connection:
                gate.wait(30)
                found.append(list(connection.scalars(names)))

        threads = [threading.Thread(target=ask) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [["saw", "drill"]] * 64 == found
        assert 1 == len(many.selected())
