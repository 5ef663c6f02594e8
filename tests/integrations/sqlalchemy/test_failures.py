"""Whatever breaks, nothing is handed out that a commit has changed, and an error says what to do."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any, NoReturn

import pytest
from sqlalchemy import cast, create_engine, select, text, update
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

import cachegrid
from cachegrid.errors import ConfigError, EngineError, KeyRefused, Unreachable, ValueRefused, ValueTooLarge
from cachegrid.integrations._queries.drops import Drops
from cachegrid.integrations.sqlalchemy import cached, follow
from tests.integrations.sqlalchemy.shop import Part, Product
from tests.integrations.sqlalchemy.shops import Shop

NAMES = select(Product.name).order_by(Product.id).options(cached())
PATIENCE = 10.0  # seconds


class Killed(BaseException):
    """Stands for the end of a process."""


def _die(*_: object) -> NoReturn:
    raise Killed


def _rename(shop: Shop, name: str) -> None:
    with shop.session.begin() as session:
        session.execute(update(Product).values(name=name))


def test_a_process_that_dies_after_a_commit_leaves_nothing_old(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What was kept is gone before; what is read meanwhile is not kept; and that ends by itself.
    """
    with (
        Shop(url, follows={"commit_within": 0.2}) as shop,
        Shop(url, shop.store, follows={"commit_within": 0.2}) as other,
    ):
        assert ["saw", "drill"] == other.ask(NAMES)
        monkeypatch.setattr(Drops, "_conclude", _die)
        with pytest.raises(Killed):
            _rename(shop, "new")
        monkeypatch.undo()
        assert ["new", "new"] == other.ask(NAMES)
        assert 1 == other.asked(NAMES)
        deadline = time.monotonic() + PATIENCE
        while other.asked(NAMES):
            assert time.monotonic() < deadline
        assert ["new", "new"] == other.ask(NAMES)


def test_who_reads_while_a_commit_is_under_way_keeps_nothing(shop: Shop) -> None:
    """
    He may see what was before it, and others come after it.
    """
    with Shop(shop.url, shop.store) as other:
        other.ask(NAMES)
        found: list[list[str]] = []
        with _before_commit(shop, lambda: found.append(other.ask(NAMES, times=2))):
            _rename(shop, "new")
        assert [["saw", "drill"]] == found
        assert ["new", "new"] == other.ask(NAMES)


def test_who_may_not_keep_what_he_reads_has_not_failed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where failures are remembered others would get that for an answer.
    """
    settings = {"config": {"caches": {"queries": {"failure_ttl": 60}}}}
    with Shop(url, settings=settings) as shop, Shop(url, shop.store, settings=settings) as other:
        monkeypatch.setattr(Drops, "_conclude", lambda *_: None)
        _rename(shop, "new")
        assert [["new", "new"]] * 2 == [shop.ask(NAMES), other.ask(NAMES)]


def test_a_mark_that_is_lost_is_made_up_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where a commit takes longer than it may, what was kept meanwhile is dropped after it.
    """
    with Shop(shop.url, shop.store) as other:

        def keep() -> None:
            with monkeypatch.context() as patch:
                patch.setattr(Drops, "is_written", lambda *_: False)
                other.ask(NAMES)
                assert 0 == other.asked(NAMES)

        with _before_commit(shop, keep):
            _rename(shop, "new")
        assert ["new", "new"] == other.ask(NAMES)


def test_a_commit_between_a_statement_and_its_answer_leaves_nothing_old(shop: Shop) -> None:
    """
    What was read before it is given to who asked before it, and to nobody else.
    """
    with Shop(shop.url, shop.store) as other:
        with _after_select(other, lambda: _rename(shop, "new")):
            assert ["saw", "drill"] == other.ask(NAMES)
        assert ["new", "new"] == other.ask(NAMES)


class _before_commit:  # noqa: N801 - used like a function
    """Do something when a commit has been marked, and before it reaches the driver."""

    def __init__(self, shop: Shop, act: Any) -> None:
        self.follower: Any = shop.engine.dialect.do_commit.__self__  # type: ignore[attr-defined] # a method of it
        self.commit, self.act = self.follower._commit, act

    def __enter__(self) -> None:
        def commit(connection: Any) -> None:
            self.act()
            self.commit(connection)

        self.follower._commit = commit

    def __exit__(self, *_: object) -> None:
        self.follower._commit = self.commit


class _after_select:  # noqa: N801 - as above
    """Do something once, when a statement has run, and before its rows are kept."""

    def __init__(self, shop: Shop, act: Any) -> None:
        self.dialect: Any = shop.engine.dialect
        self.execute, self.act = self.dialect.do_execute, act

    def __enter__(self) -> None:
        def execute(*args: Any) -> None:
            self.execute(*args)
            if args[1].startswith("SELECT"):
                self.dialect.do_execute = self.execute
                self.act()

        self.dialect.do_execute = execute

    def __exit__(self, *_: object) -> None:
        self.dialect.do_execute = self.execute


def test_a_commit_that_the_database_refuses_ends_as_it_should(filled: str) -> None:
    """
    Nothing is dropped for good, and what is read next is kept.
    """
    with Shop(filled) as shop:
        shop.ask(NAMES)
        with shop.session() as session:
            session.execute(text("alter table part alter constraint part_product_id_fkey deferrable"))
            session.commit()
        with shop.session() as session:
            session.execute(text("set constraints all deferred"))
            session.add(Part(id=9, name="lost", product_id=99))
            with pytest.raises(IntegrityError):
                session.commit()
        parts = select(Part.name).options(cached())
        assert (1, 0) == (shop.asked(parts), shop.asked(parts))


def test_no_commit_without_the_grid(shop: Shop) -> None:
    """
    It is refused before it has begun, and what was written is rolled back, whatever becomes of the connection.
    """
    shop.ask(NAMES)
    with shop.engine.connect() as connection:
        connection.execute(update(Product).values(name="new"))
        shop.grid.close()
        with pytest.raises(EngineError, match="closed"):
            connection.commit()
        connection.rollback()
        assert "saw" == connection.scalar(select(Product.name).where(Product.id == 1))


def test_a_cache_may_be_passed_by_in_an_outage(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    With `on_outage="load"` statements are answered by the database, and commits go on, and say so.
    """
    with Shop(url, settings={"config": {"caches": {"queries": {"on_outage": "load"}}}}) as shop:
        shop.ask(NAMES)
        with monkeypatch.context() as patch:
            for name in ("get", "get_or_load", "invalidate"):
                patch.setattr(type(shop.cache), name, _refuse)
            _rename(shop, "new")
            assert ["new", "new"] == shop.ask(NAMES)
        assert ["could not be dropped", "is kept"] == [
            said for said in ("could not be dropped", "is kept") if said in caplog.text
        ]


def _refuse(*_: object, **__: object) -> NoReturn:
    raise Unreachable("nobody answers", where="there")


def _told(url: str, statement: Any, **bound: Any) -> str:
    with Shop(url) as shop, pytest.raises((KeyRefused, ValueRefused)) as error:
        shop.ask(statement, **bound)
    return str(error.value)


def test_a_column_that_cannot_be_kept_is_named(filled: str) -> None:
    """
    And so is its type; where a session chose, the database answers.
    """
    column = cast("127.0.0.1", INET).label("address")
    statement = select(Product.id, column)
    said = _told(filled, statement.options(cached()))
    assert "the column 'address': its driver gives a ipaddress.IPv4Address" in said
    with Shop(filled) as shop, Session(shop.engine, info={"cachegrid": cached()}) as session:
        assert ["127.0.0.1"] * 2 == [str(row.address) for row in session.execute(statement)]


def test_a_value_that_cannot_be_in_a_key_is_named(filled: str) -> None:
    """
    And so is its type; where a session chose, the database answers.
    """
    statement = select(Product.id).where(cast({"a": 1}, JSONB) == cast({"a": 1}, JSONB))
    assert "psycopg.types.json.Jsonb, which cannot be part of a key" in _told(filled, statement.options(cached()))
    with Shop(filled) as shop, Session(shop.engine, info={"cachegrid": cached()}) as session:
        assert [1, 2] == sorted(session.scalars(statement))


def test_a_result_may_be_too_large(url: str) -> None:
    """
    That is an error, too; where a session chose, the database's answer is handed out.
    """
    with Shop(url, settings={"config": {"caches": {"queries": {"max_value": "16B"}}}}) as shop:
        with pytest.raises(ValueTooLarge):
            shop.ask(NAMES)
        with Session(shop.engine, info={"cachegrid": cached()}) as session:
            assert ["saw", "drill"] == list(session.scalars(select(Product.name).order_by(Product.id)))


def test_what_cannot_be_followed_is_refused(shop: Shop) -> None:
    """
    A text of which nobody said what it reads, a cache that is not followed, an engine without a follower.
    """
    with pytest.raises(ConfigError, match="tables=\\[...\\]"):
        shop.ask(select(text("name")).select_from(text("product")).options(cached()))
    with pytest.raises(ConfigError, match="one of those that `follow` was told of: queries"):
        shop.ask(select(Product.name).options(cached("other")))
    with Session(create_engine(shop.url)) as session, pytest.raises(ConfigError, match="`follow` was called for"):
        session.scalars(NAMES)


def test_settings_that_cannot_be_are_refused(shop: Shop) -> None:
    """
    When an engine is to be followed, and not later.
    """
    with pytest.raises(ConfigError, match="was not called for before"):
        follow(shop.engine, shop.grid, database="shop")
    engine = create_engine("sqlite://")
    with pytest.raises(ConfigError, match="cachegrid.connect"):
        follow(engine, cachegrid.aconnect("memory://"), database="shop")
    with pytest.raises(ConfigError, match=r"is None; it must be one of cachegrid\.connect\(\)"):
        follow(engine, None, database="shop")  # type: ignore[arg-type] # as somebody may
    for no_engine in (sessionmaker(engine), "sqlite://", engine.url):
        with pytest.raises(ConfigError, match="the engine to follow is .*; it must be that of create_engine"):
            follow(no_engine, shop.grid, database="shop")  # type: ignore[arg-type] # as above
    with pytest.raises(ConfigError, match="a table of effects is 5"):
        follow(engine, shop.grid, database="shop", effects={"product": 5})  # type: ignore[dict-item] # as above
    for database in ("", "a:b"):
        with pytest.raises(ConfigError, match="a name for the database"):
            follow(engine, shop.grid, database=database)
    with pytest.raises(ConfigError, match="more than 0 seconds"):
        follow(engine, shop.grid, database="shop", commit_within=0)
    for number, policy in enumerate([{"codec": "json"}, {"grace": 5}, {"early": 1.0}]):
        shop.grid.cache(f"cache-{number}", **policy)  # type: ignore[arg-type] # one of several
        with pytest.raises(ConfigError, match="to keep rows|without grace and early"):
            follow(engine, shop.grid, database="shop", caches=f"cache-{number}")


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"ttl": "zz"}, "ttl is 'zz'"),
        ({"ttl": 0}, "more than 0"),
        ({"tables": [5]}, "a table of `cached` is 5; it must be a table: its name, a Table, or a class that is mapped"),
        ({"tables": int}, "a class that is mapped"),
        ({"cache": Product}, "the name of a cache, in an option of a statement"),
    ],
)
def test_an_option_is_refused_where_it_is_said(said: dict[str, Any], match: str) -> None:
    """
    And not where a statement runs that has it.
    """
    with pytest.raises(ConfigError, match=match):
        cached(**said)


def test_without_sqlalchemy_the_extra_is_named() -> None:
    """
    And nothing of it is imported before it is asked for.
    """
    code = "import sys; sys.modules['sqlalchemy'] = None; import cachegrid.integrations.sqlalchemy"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'cachegrid[sqlalchemy]'" in done.stderr


def test_what_could_not_be_committed_is_not_committed_later(url: str) -> None:
    """
    Some databases let a transaction go on whose commit they refused, and its connection goes back to the pool.
    """
    with Shop(url, options={"pool_size": 1, "max_overflow": 0}) as shop:

        def refuse() -> NoReturn:
            raise shop.engine.dialect.loaded_dbapi.OperationalError("database is locked")

        with _before_commit(shop, refuse), pytest.raises(OperationalError):
            _rename(shop, "lost")
        with shop.session.begin() as session:
            session.add(Part(id=3, name="bit", product_id=1))
        assert ["saw", "drill"] == shop.ask(NAMES)
        assert 0 == shop.asked(NAMES)
