"""Members come to agree, also with those that take their time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cachegrid.cluster import agreement, view
from cachegrid.cluster.admin import Loading
from cachegrid.cluster.state import Phase
from cachegrid.testing.loopback import LoopbackGrid

pytestmark = pytest.mark.grid


def test_a_replica_that_loads_its_data_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells nothing of itself until it has all, and has not failed."""
    asked: list[str] = []
    ask = view.node_rows

    def loading_at_first(admin: Any) -> Any:
        asked.append("again")
        if len(asked) in {3, 4}:  # after both were seen to know each other
            raise Loading("it is still loading its data")
        return ask(admin)

    with LoopbackGrid(owners=1, replicas=1) as grid:
        owner, replica = grid.state.members
        joining = replace(replica, phase=Phase.JOINING, follows=owner.index)
        monkeypatch.setattr(agreement, "node_rows", loading_at_first)
        monkeypatch.setattr(agreement, "_owner_to_follow", lambda *_: owner.id)
        agreement.introduce(replace(grid.state, members=(owner, joining)), 10.0)
    assert len(asked) >= 5
