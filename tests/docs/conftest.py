"""Examples start grids as a reader would, who would end them later; here that is seen to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cachegrid.cluster import stop
from cachegrid.cluster.state import names


@pytest.fixture
def _ends_grids(state_folder: Path) -> Iterator[None]:
    yield
    for name in names(state_folder):
        stop(name, purge=True, root=state_folder)
