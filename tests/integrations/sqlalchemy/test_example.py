"""The example as a reader starts it: two processes, PostgreSQL, and a grid of several members."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tests.integrations.shops import two_shops
from tests.integrations.sqlalchemy.server import Postgres
from tests.integrations.sqlalchemy.shops import fill

APP = Path(__file__).resolve().parent.parent.parent.parent / "examples" / "queries" / "app.py"


@pytest.mark.grid
def test_what_one_process_asked_another_knows(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Until somebody writes, in whichever process.
    """
    engine = create_engine(postgres.url())
    fill(engine)
    engine.dispose()
    monkeypatch.setenv("SHOP_DATABASE_URL", postgres.url())
    with two_shops(APP, tmp_path) as (first, second):
        assert {"saw": ["blade", "grip"], "drill": []} == first.ask("/products").json()
        assert {"saw": ["blade", "grip"], "drill": []} == second.ask("/products").json()
        assert (2, 0) == (first.ask("/stats").json()["asked"], second.ask("/stats").json()["asked"])
        second.ask("/products/1/hacksaw", "PUT")
        assert ["hacksaw", "drill"] == list(first.ask("/products").json())
        assert ["hacksaw", "drill"] == list(second.ask("/products").json())
        assert (3, 0) == (first.ask("/stats").json()["asked"], second.ask("/stats").json()["asked"])
