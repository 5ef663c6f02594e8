"""Functions that say yes or no of something."""

from __future__ import annotations

from typing import Any

import pytest

import cachegrid
from cachegrid.errors import ConfigError


class Whoever:
    """An object that can be called, and has to be awaited."""

    async def __call__(self, _it: object) -> bool:
        """No."""
        return False


async def nobody(_it: object) -> bool:
    """No; but a coroutine is true."""
    return False


@pytest.mark.parametrize("judge", [nobody, Whoever()])
def test_a_judge_that_has_to_be_awaited_is_refused(judge: Any) -> None:
    """
    It would drop every entry, and let every result be kept.
    """
    with cachegrid.connect("memory://") as grid:
        cache = grid.cache("prices")
        cache["key"] = 1
        with pytest.raises(ConfigError, match=r"where .* no async one"):
            cache.invalidate(where=judge)
        grid.settle()
        assert 1 == cache["key"]
        with pytest.raises(ConfigError, match=r"when .* no async one"):
            cache.get_or_load("other", list, when=judge)
        with pytest.raises(ConfigError, match=r"when .* no async one"):
            cache.cached(when=judge)
