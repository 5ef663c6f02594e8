"""The command `cachegrid`."""

from __future__ import annotations

from cachegrid.cli.app import main

__all__ = ["main"]
