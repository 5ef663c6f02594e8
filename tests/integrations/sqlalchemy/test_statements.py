"""What a statement does can be told from its text as far as it matters; in doubt it writes to all."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, delete, insert, select, table, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased

from cachegrid.integrations._queries.drops import ALL
from cachegrid.integrations.sqlalchemy.effects import effect_of_text
from cachegrid.integrations.sqlalchemy.known import Known
from cachegrid.integrations.sqlalchemy.noting import noting
from tests.integrations.sqlalchemy.shop import Part, Product


@pytest.mark.parametrize(
    "statement",
    [
        "select 1",
        "  ( SELECT name from product)",
        "-- a note\nselect name from product",
        "/* a\nnote */ Select name from product",
        "with x as (select 1) select * from x",
        "explain select 1",
        "savepoint here",
        "show transaction isolation level",
        "prepare transaction 'x'",
        "select ';', \"a;\"; -- ; update\n /* ; */ select 1;",
    ],
)
def test_what_only_reads_is_known(statement: str) -> None:
    """
    Whatever stands before its first word.
    """
    assert frozenset() == effect_of_text(statement).writes


@pytest.mark.parametrize(
    "statement",
    [
        "insert into product values (1)",
        "-- select\ndelete from product",
        "with x as (delete from product returning *) select * from x",
        "explain analyze update product set name = 'x'",
        "call restock()",
        "truncate product",
        "copy product from stdin",
        "",
        "?",
        "set local statement_timeout = 0; update product set name = 'x'",
        "select 1; delete from product",
        "select 1 as \"it's\"; delete from product where name = 'x'",
        r"select '\'; delete from product",
        "/* /* */ select */ delete from product",
        "/*! delete from product */",
    ],
)
def test_what_may_write_writes_to_all(statement: str) -> None:
    """
    That which is not known, too.
    """
    assert frozenset({ALL}) == effect_of_text(statement).writes


@pytest.mark.parametrize(
    ("statement", "sets"),
    [
        ("set search_path to x", "connection"),
        ("reset role", "connection"),
        ("select set_config('a.b', 'c', false)", "connection"),
        ("set local role x", "transaction"),
        ("begin isolation level repeatable read", "transaction"),
        ("set session statement_timeout = 5", ""),
        ("update product set name = 'x'", ""),
        ("select 1; set search_path to x", "connection"),
        ("begin; set role x", "connection"),
    ],
)
def test_settings_are_seen(statement: str, sets: str) -> None:
    """
    Of a connection, of a transaction, and those that change nothing that is seen.
    """
    assert sets == effect_of_text(statement).sets


@pytest.mark.parametrize(
    ("statement", "ends"),
    [("COMMIT", True), ("end", True), ("select 1; commit", True), ("rollback", False), ("select 1", False)],
)
def test_ends_are_seen(statement: str, ends: bool) -> None:  # noqa: FBT001 - a parameter
    """
    Of those that commit.
    """
    assert ends is effect_of_text(statement).ends


@pytest.mark.parametrize("statement", ["select name from product for update", "select nextval('x')", "show tables"])
def test_some_rows_are_nobody_else_s(statement: str) -> None:
    """
    Those that are locked, or drawn, or not of tables.
    """
    assert not effect_of_text(statement).is_shareable


@pytest.mark.parametrize(
    ("statement", "calls"),
    [
        ("select count(*) from product where id in (1) and name = 'f(1)' -- g()", set()),
        ('select public."Order_it" (1), now() from h(2) x', {"order_it", "h"}),
        ("insert into product (name) values (f(%(name)s))", {"f"}),
        ("with x as (select f (1)) select * from x; select g()", {"f", "g"}),
    ],
)
def test_calls_are_seen(statement: str, calls: set[str]) -> None:
    """
    Of functions that somebody may have made.
    """
    assert calls == effect_of_text(statement).calls


def _noted(statement: object, *, dialect: object = postgresql) -> tuple[set[str], set[str]]:
    made = dialect.dialect()  # type: ignore[attr-defined] # a module of one
    made.statement_compiler = noting(made.statement_compiler, Known())
    noted = statement.compile(dialect=made).cachegrid_noted  # type: ignore[attr-defined] # a statement
    return noted.reads, noted.writes


def test_a_compiler_notes_its_tables() -> None:
    """
    Of aliases, joins, subqueries and common table expressions; those without a schema, and those with one.
    """
    other = aliased(Part)
    named = table("Elsewhere", schema="far")
    assert ({"product", "part"}, set()) == _noted(select(Product).join(other).where(other.id.in_(select(Part.id))))
    assert ({"elsewhere"}, set()) == _noted(select(named.alias()))
    changed = update(Part).values(name="x").returning(Part.id).cte()
    reads, writes = _noted(select(Product).join(changed, changed.c.id == Product.id))
    assert ({"product", "part"}, {"part"}) == (reads, writes)
    assert {"part"} == _noted(insert(Part).from_select(["name"], select(Product.name)), dialect=sqlite)[1]


def test_tables_that_follow_are_noted_at_any_remove() -> None:
    """
    As their foreign keys say; those that refuse change nothing.
    """
    meta = MetaData()
    Table("root", meta, Column("id", Integer, primary_key=True))
    for name, parent, action in (("a", "root", "CASCADE"), ("b", "a", "set null"), ("c", "root", None)):
        reference = ForeignKey(f"{parent}.id", ondelete=action)
        Table(name, meta, Column("id", Integer, primary_key=True), Column("parent", Integer, reference))
    for statement in (delete(meta.tables["root"]), update(meta.tables["root"]).values(id=2)):
        assert {"root", "a", "b"} == _noted(statement)[1]
    assert {"root"} == _noted(insert(meta.tables["root"]).values(id=1))[1]
