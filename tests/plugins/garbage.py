"""
Collects the garbage of each test right after it, so that what was left open there is told of the test that left it.

Else it would be found whenever Python comes to look: in the middle of some other test, on some days.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Generator

import pytest

__all__: list[str] = []


def pytest_collection_finish() -> None:
    """Leave what was imported out of every search from now on: it stays, and there is much of it."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost, so that fixtures and the loop have ended
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """Fail a test that left something which warns when it is collected."""
    try:
        return (yield)
    finally:
        if told := _collect():
            found = f"the test left open what the garbage collector had to close: {'; '.join(told)}"
            warnings.warn(pytest.PytestUnraisableExceptionWarning(found), stacklevel=1)


def _collect() -> list[str]:
    """Collect the garbage; what it had to say."""
    told: list[str] = []

    def note(unraisable: sys.UnraisableHookArgs) -> None:
        told.append(f"{unraisable.exc_value!r} of {unraisable.object!r}")

    before, sys.unraisablehook = sys.unraisablehook, note
    try:
        gc.collect()
    finally:
        sys.unraisablehook = before
    gc.freeze()  # what is left is the run's own, grows with it, and would be gone through after every test to come
    return told
