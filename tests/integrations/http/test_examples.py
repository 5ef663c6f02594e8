"""The examples of responses, each as two servers that share a grid."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integrations.shops import Shop, shops_of, two_shops

pytestmark = [pytest.mark.grid, pytest.mark.slow]
EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "responses"


class Menu(NamedTuple):
    """What was served."""

    dishes: list[str]
    made_by: int
    is_hit: bool


def menu(shop: Shop, **fields: str) -> Menu:
    reply = shop.ask("/menu", **fields)
    said = reply.json()
    return Menu(said["dishes"], said["made_by"], "; hit" in reply.fields["cache-status"])


@pytest.mark.parametrize("name", ["asgi_app.py", "wsgi_app.py"])
def test_what_one_process_has_made_all_serve(name: str, tmp_path: Path) -> None:
    """
    Until one of them changes it; and what is for one is made for him each time.
    """
    with two_shops(EXAMPLES / name, tmp_path) as (first, second):
        made = menu(first)
        assert Menu(["bread", "tea"], made.made_by, is_hit=False) == made
        assert made._replace(is_hit=True) == menu(second) == menu(first, Cookie="id=ann")
        assert 204 == second.ask("/dishes/soup", "POST").status
        fresh = menu(second)
        assert (["bread", "soup", "tea"], False) == (fresh.dishes, fresh.is_hit)
        assert made.made_by != fresh.made_by
        assert fresh._replace(is_hit=True) == menu(first)
        carts = [first.ask("/cart", Cookie=f"id={name}") for name in ("ann", "bob", "ann")]
        assert ["ann", "bob", "ann"] == [reply.json()["of"] for reply in carts]
        assert 304 == first.ask("/menu", If_None_Match="*").status
        head = second.ask("/menu", "HEAD")
        assert ("public, max-age=60, stale-while-revalidate=30", b"") == (head.fields["cache-control"], head.body)


def test_the_two_examples_share_nothing(tmp_path: Path) -> None:
    """
    Each makes its own menu, on one grid.
    """
    with shops_of([EXAMPLES / "asgi_app.py", EXAMPLES / "wsgi_app.py"], tmp_path) as shops:
        assert [False, False, True, True] == [menu(shop).is_hit for shop in [*shops, *shops]]
