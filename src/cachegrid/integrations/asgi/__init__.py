"""
ASGI: middleware that keeps responses in a grid, for all who ask, as HTTP says (RFC 9111).

    app = CachedResponses(app, grid.cache("pages"))
"""

from __future__ import annotations

from cachegrid.integrations.asgi.middleware import CachedResponses, purge
from cachegrid.integrations.asgi.run import App, Message, Receive, Scope, Send

__all__ = ["App", "CachedResponses", "Message", "Receive", "Scope", "Send", "purge"]
