"""Hosts for the tests of this folder; without what they need these are skipped, by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts import forking
from tests.hosts.namespaces import Network, missing, network


@pytest.fixture(scope="session", autouse=True)
def _forking() -> Iterator[None]:
    """What commands are children of does not outlive the tests."""
    yield
    forking.end()


@pytest.fixture
def net() -> Iterator[Network]:
    """Three hosts."""
    if lack := missing():
        pytest.skip(f"hosts of their own are needed: {lack}")
    with network(3) as made:
        yield made
