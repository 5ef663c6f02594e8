"""Where the receipts of counts are, and for how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid.engines.valkey.receipts import kept_for, receipt_key
from cachegrid.engines.valkey.slots import slot_of


@given(st.binary(min_size=1, max_size=100), st.binary(min_size=8, max_size=8))
def test_a_receipt_is_in_the_slot_of_its_count(address: bytes, token: bytes) -> None:
    """
    Whatever is counted, and whatever the token: one script has both, and both move together.
    """
    key = receipt_key(address, token)
    assert slot_of(address) == slot_of(key)
    assert key.startswith(b"cg!receipt:")
    assert key.endswith(token)


@given(st.binary(min_size=1, max_size=100), st.lists(st.binary(min_size=8, max_size=8), min_size=2, unique=True))
def test_no_two_calls_have_one_receipt(address: bytes, tokens: list[bytes]) -> None:
    """
    Each token has a key of its own.
    """
    assert len({receipt_key(address, token) for token in tokens}) == len(tokens)


@pytest.mark.parametrize(("timeout", "kept"), [(5.0, b"10000"), (0.25, b"5250")])
def test_a_receipt_outlives_its_call(timeout: float, kept: bytes) -> None:
    """
    By as much as clocks may differ.
    """
    assert kept == kept_for(timeout)
