# Generated from tests/use/_aio/conftest.py by tools/colour.py. Edit that file, then run `make colour`.
"""What every test of a use gets."""

from __future__ import annotations

import pytest

from tests.flow._sio.conftest import cache, flow, grid
from tests.flow._sio.flow import SyncFlow
from tests.use._sio.source import SyncSource

__all__ = ["cache", "flow", "grid", "source"]


@pytest.fixture
def source(flow: SyncFlow) -> SyncSource:
    """A source whose gate is open."""
    source = SyncSource(flow.gate())
    source.gate.open()
    return source
