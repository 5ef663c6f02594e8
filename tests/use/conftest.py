"""Tests of what is built on caches run where those of the flow do."""

from __future__ import annotations

from tests.flow.conftest import backing, kind, loopback, near

__all__ = ["backing", "kind", "loopback", "near"]
