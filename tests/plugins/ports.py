"""
Gives each process of a run ports of its own, from which it chooses those of members.

A member that is killed and started again has its port again: nobody else may have taken it meanwhile.
"""

from __future__ import annotations

import os

from cachegrid.cluster import ports

__all__: list[str] = []

LOWEST, HIGHEST = ports.LOWEST, ports.HIGHEST


def pytest_configure() -> None:
    """Leave a share of all ports."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = (HIGHEST - LOWEST) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports.LOWEST = LOWEST + number * share
    ports.HIGHEST = ports.LOWEST + share
