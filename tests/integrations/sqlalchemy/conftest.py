"""Databases for the tests: a file, and a server that is started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tests.integrations.sqlalchemy.server import Postgres
from tests.integrations.sqlalchemy.shops import Shop, fill


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    with Postgres() as server:
        yield server


@pytest.fixture
def filled(postgres: Postgres) -> str:
    """Where its database is, with products."""
    return filled_at(postgres.url())


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.grid)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a database with products is."""
    if request.param == "sqlite":
        return filled_at(f"sqlite:///{tmp_path / 'shop.db'}")
    return str(request.getfixturevalue("filled"))


def filled_at(url: str) -> str:
    """The URL of a database that has products now."""
    engine = create_engine(url)
    fill(engine)
    engine.dispose()
    return url


@pytest.fixture
def shop(url: str) -> Iterator[Shop]:
    """It, and an engine that follows a grid."""
    with Shop(url) as shop:
        yield shop
