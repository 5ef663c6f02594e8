"""What every test of a use gets."""

from __future__ import annotations

import pytest

from tests.flow._aio.conftest import cache, flow, grid
from tests.flow._aio.flow import AsyncFlow
from tests.use._aio.source import AsyncSource

__all__ = ["cache", "flow", "grid", "source"]


@pytest.fixture
def source(flow: AsyncFlow) -> AsyncSource:
    """A source whose gate is open."""
    source = AsyncSource(flow.gate())
    source.gate.open()
    return source
