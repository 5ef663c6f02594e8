"""Measures cachegrid beside other clients: one run, one grid, one table. Called by `cachegrid bench`."""

from __future__ import annotations

from cachegrid.bench.runs import lacking, run

__all__ = ["lacking", "run"]
