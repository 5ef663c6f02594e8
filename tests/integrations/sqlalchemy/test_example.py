"""The example as a reader starts it: two processes, a file or PostgreSQL, and a grid of several members."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tests.integrations.shops import two_shops
from tests.integrations.sqlalchemy.server import Postgres
from tests.integrations.sqlalchemy.shop import Base

APP = Path(__file__).resolve().parent.parent.parent.parent / "examples" / "queries" / "app.py"


@pytest.fixture(params=["sqlite", "postgresql"])
def _place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database without tables, as the example says it; the file is where it is started."""
    monkeypatch.delenv("SHOP_DATABASE_URL", raising=False)
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        engine = create_engine(server.url())
        Base.metadata.drop_all(engine)
        engine.dispose()
        monkeypatch.setenv("SHOP_DATABASE_URL", server.url())


@pytest.mark.grid
@pytest.mark.usefixtures("_place")
def test_what_one_process_asked_another_knows(tmp_path: Path) -> None:
    """
    Until somebody writes, in whichever process; the first finds empty shelves, and fills them.
    """
    with two_shops(APP, tmp_path) as (first, second):
        assert {"saw": ["blade", "grip"], "drill": []} == first.ask("/products").json()
        assert {"saw": ["blade", "grip"], "drill": []} == second.ask("/products").json()
        assert (2, 0) == (first.ask("/stats").json()["asked"], second.ask("/stats").json()["asked"])
        second.ask("/products/1/hacksaw", "PUT")
        assert ["hacksaw", "drill"] == list(first.ask("/products").json())
        assert ["hacksaw", "drill"] == list(second.ask("/products").json())
        assert (3, 0) == (first.ask("/stats").json()["asked"], second.ask("/stats").json()["asked"])
