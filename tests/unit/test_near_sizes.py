"""What a value takes in this process, about."""

from __future__ import annotations

import sys

from cachegrid.near.nearby import size_of


def test_all_that_is_inside_counts() -> None:
    """
    A list takes itself and its members, to any depth that values have.
    """
    text = "x" * 1000
    assert sys.getsizeof([text]) + sys.getsizeof([[text]]) + sys.getsizeof(text) == size_of([[text]])


def test_half_of_the_names_of_fields_counts() -> None:
    """
    Records may have them in common, mappings may not.
    """
    record = {"field_a": 1.5, "field_b": 2.5}
    names = sum(map(sys.getsizeof, record))
    values = sum(map(sys.getsizeof, record.values()))
    assert sys.getsizeof(record) + names // 2 + values == size_of(record)
