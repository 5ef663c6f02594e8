"""
WSGI: middleware that keeps responses in a grid, for all who ask, as HTTP says (RFC 9111).

    app = CachedResponses(app, grid.cache("pages"))
"""

from __future__ import annotations

from cachegrid.integrations.wsgi.middleware import CachedResponses, purge

__all__ = ["CachedResponses", "purge"]
