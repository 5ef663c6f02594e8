"""Asks pytest to show what a contract's failed assert compared, as it does for a project's own tests."""

from __future__ import annotations

import sys

__all__: list[str] = []

if "pytest" in sys.modules:  # else another runner runs the tests, and has its own ways
    import pytest

    pytest.register_assert_rewrite(
        "cachegrid.testing._aio", "cachegrid.testing._sio", "cachegrid.testing.codec_contract"
    )
