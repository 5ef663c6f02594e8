"""
SQLAlchemy: results of queries are kept in a grid, and dropped when a transaction that wrote to their tables commits.

    follow(engine, grid, database="shop")
    session.scalars(select(Product).options(cached("queries", ttl="5m")))
"""

from __future__ import annotations

try:
    import sqlalchemy as _sqlalchemy  # noqa: F401 - to say which extra is missing
except ModuleNotFoundError as error:
    needs = "cachegrid.integrations.sqlalchemy needs SQLAlchemy 2: pip install 'cachegrid[sqlalchemy]'"
    raise ModuleNotFoundError(needs) from error
from cachegrid.integrations.sqlalchemy.follower import follow
from cachegrid.integrations.sqlalchemy.options import cached, uncached

__all__ = ["cached", "follow", "uncached"]
