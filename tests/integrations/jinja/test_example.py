"""The example of templates, as two servers that share a grid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integrations.shops import Shop, two_shops

pytestmark = [pytest.mark.grid, pytest.mark.slow]
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "templates" / "app.py"


def page(shop: Shop, name: str) -> tuple[str, list[str], str]:
    """Whom a page greets, what there is to eat, and who rendered that."""
    text = shop.ask(f"/{name}").body.decode()
    greeted, process = re.findall("day, (.*)</h1>", text) + re.findall("by ([0-9]+)", text)
    return greeted, re.findall("<li>(.*?)</li>", text), process


def test_what_one_process_has_rendered_all_show(tmp_path: Path) -> None:
    """
    Until one of them changes it; what is around it is for one guest.
    """
    with two_shops(EXAMPLE, tmp_path) as (first, second):
        *_, process = page(first, "ann")
        assert ("bob", ["bread", "tea"], process) == page(second, "bob")
        first.ask("/dishes/soup", "POST")
        name, dishes, other = page(second, "bob")
        assert ("bob", ["bread", "soup", "tea"]) == (name, dishes)
        assert process != other
        assert ("ann", ["bread", "soup", "tea"], other) == page(first, "ann")
