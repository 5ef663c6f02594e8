"""
Flask-Caching on a grid: what one process caches or drops, all do.

    app.config["CACHE_TYPE"] = "cachegrid.integrations.flask_caching.CacheGridCache"
    app.config["CACHE_CACHEGRID_URL"] = "valkey://a:7001,b:7001"
    cache = Cache(app)
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

try:
    from flask_caching.backends.base import BaseCache
except ModuleNotFoundError as error:
    message = "cachegrid.integrations.flask_caching needs Flask-Caching: pip install 'cachegrid[flask-caching]'"
    raise ModuleNotFoundError(message) from error

from cachegrid.integrations import cachelib

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["CacheGridCache"]

_SALT: Final = b"cachegrid.integrations.flask_caching"


class CacheGridCache(cachelib.CacheGridCache, BaseCache):
    """
    A back end for `CACHE_TYPE`, on a named cache of a grid.

    `CACHE_CACHEGRID_URL` is the URL of the grid (without it, the grid of this host), `CACHE_KEY_PREFIX` the name of the
    cache, and `CACHE_OPTIONS` what else the cachelib back end takes. Where the application has a `SECRET_KEY`, values
    may be any objects: they are pickled, and signed with a key made of it. Else they are kept by type.
    """

    @classmethod
    def factory(cls, app: Flask, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> CacheGridCache:
        """The back end that the configuration of an application says. Raises ConfigError."""
        said = {"cache": config["CACHE_KEY_PREFIX"]}
        if "grid" not in kwargs:
            said["url"] = config.get("CACHE_CACHEGRID_URL")
            if app.secret_key:
                said |= {"codec": "pickle", "secret": _secret(app.secret_key)}
        return cls(*args, **(said | kwargs))


def _secret(key: str | bytes) -> str:
    """A secret of the cache's own: who learns it cannot sign cookies."""
    return hmac.digest(key.encode() if isinstance(key, str) else key, _SALT, hashlib.sha256).hex()
