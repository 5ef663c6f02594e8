"""A sync cache with a source is a mapping."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest

import cachegrid
from cachegrid import NOTHING


def test_it_does_what_a_dict_does() -> None:
    """
    Through the cache to the source; what it goes through is what the cache has.
    """
    rows: dict[Any, Any] = {"a": 1}

    def write(changes: dict[Any, Any]) -> None:
        for key, value in changes.items():
            rows.pop(key, None)
            if value is not NOTHING:
                rows[key] = value

    with cachegrid.connect("memory://") as grid:
        stock = cachegrid.through(grid.cache("x"), loader=lambda key: rows.get(key, NOTHING), writer=write)
        assert isinstance(stock, MutableMapping)
        assert (1, True, False) == (stock["a"], "a" in stock, "b" in stock)
        stock["b"] = 2
        stock.update({"c": 3}, d=4)
        assert ({"a": 1, "b": 2, "c": 3, "d": 4}, 4) == (rows, len(stock))
        assert {"a", "b", "c", "d"} == set(stock) == set(dict(stock.items()))
        del stock["a"]
        assert (2, 5, 5) == (stock.pop("b"), stock.setdefault("e", 5), stock.setdefault("e", 6))
        assert {"c": 3, "d": 4, "e": 5} == rows
        for gone in (lambda: stock["a"], lambda: stock.__delitem__("a")):
            with pytest.raises(KeyError):
                gone()
        assert bool(stock) is True
        assert {stock: 1}[stock] == 1
