"""Runs of pytest within a test, in a process and a folder of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["run"]

ROOT = Path(__file__).resolve().parent.parent.parent


def run(pytester: pytest.Pytester, *plugins: str, options: Sequence[str] = ()) -> pytest.RunResult:
    """Run the tests in the folder of `pytester` with some of our plugins, and none that is installed: so in order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # to load them takes three times as long as the rest
        patch.setenv("PYTHONPATH", os.pathsep.join([str(pytester.path), str(ROOT), str(ROOT / "src")]))
        words = [word for name in plugins for word in ("-p", f"tests.plugins.{name}")]
        return pytester.runpytest_subprocess(*words, *options)
