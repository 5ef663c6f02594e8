"""
Jinja2: fragments of templates that are kept in a grid, and compiled templates that all processes share.

    cache_fragments(environment, grid.cache("fragments", ttl="5m"))

    {% cache "sidebar", user.id, ttl="1m", tags=["menu"] %} ... {% endcache %}
"""

from __future__ import annotations

try:
    import jinja2  # noqa: F401 - only to say what is missing
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("cachegrid.integrations.jinja2 needs Jinja2: pip install 'cachegrid[jinja2]'") from error

from cachegrid.integrations.jinja2.bytecode import GridBytecodeCache
from cachegrid.integrations.jinja2.fragments import CacheExtension, cache_fragments

__all__ = ["CacheExtension", "GridBytecodeCache", "cache_fragments"]
