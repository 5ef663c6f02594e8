"""The examples of dogpile.cache, hishel and py-key-value, each as two servers that share a grid."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.shops import shops_of, two_shops

pytestmark = [pytest.mark.grid, pytest.mark.slow]
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def test_what_one_process_has_created_all_have(tmp_path: Path) -> None:
    """
    Until one of them changes what it was made of.
    """
    with two_shops(EXAMPLES / "dogpile" / "app.py", tmp_path) as (first, second):
        made = first.ask("/reports/may").json()
        assert {"sales": 0, "total": 0, "made_by": made["made_by"]} == made
        assert made == second.ask("/reports/may").json()
        second.ask("/sales/may/250", "PUT")
        anew = second.ask("/reports/may").json()
        assert (1, 250) == (anew["sales"], anew["total"])
        assert made["made_by"] != anew["made_by"]
        assert anew == first.ask("/reports/may").json()


def test_another_server_is_asked_once_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Until its host is invalidated.
    """
    with shops_of([EXAMPLES / "hishel" / "supplier.py"], tmp_path) as [supplier]:
        monkeypatch.setenv("SHOP_SUPPLIER", supplier.address)
        with two_shops(EXAMPLES / "hishel" / "shop.py", tmp_path) as (first, second):
            said = {"prices": {"tea": "4.50", "jam": "3.20"}, "asked": 1}
            assert [said] * 3 == [shop.ask("/").json() for shop in (first, second, first)]
            second.ask("/prices/tea/5.00", "PUT")
            said = {"prices": {"tea": "5.00", "jam": "3.20"}, "asked": 2}
            assert [said] * 3 == [shop.ask("/").json() for shop in (first, second, first)]


def test_what_one_process_has_put_all_get(tmp_path: Path) -> None:
    """
    Until a collection is destroyed.
    """
    with two_shops(EXAMPLES / "key_value" / "app.py", tmp_path) as (first, second):
        assert {} == second.ask("/carts/ann").json()
        for shop, what in ((first, "tea/2"), (second, "jam/1")):
            assert 204 == shop.ask(f"/carts/ann/{what}", "PUT").status
        assert {"tea": 2, "jam": 1} == first.ask("/carts/ann").json()
        assert {} == first.ask("/carts/bob").json()
        assert 204 == first.ask("/carts", "DELETE").status
        assert {} == second.ask("/carts/ann").json()
