"""Hears what changes at every owner: RESP3 tracking in broadcast mode, on connections of its own."""

from __future__ import annotations

from cachegrid.engines.valkey.watch.watch import Watch

__all__ = ["Watch"]
