"""How code that SQLAlchemy runs gets what a call of a grid returns, whatever its colour."""

from __future__ import annotations

from typing import Any

from sqlalchemy import util

from cachegrid.integrations._queries.drops import Wait

__all__ = ["waiter"]


def waiter(is_async: bool) -> Wait:  # noqa: FBT001 - as dialects say it
    """What gives the result of a call of a grid to code that SQLAlchemy runs, in a greenlet where it is async."""
    return (getattr(util, "await_", None) or util.await_only) if is_async else _itself


def _itself(result: Any) -> Any:
    return result
