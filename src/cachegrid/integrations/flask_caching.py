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

from cachegrid.errors import ConfigError
from cachegrid.integrations import cachelib
from cachegrid.integrations.places import KNOWN

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["CacheGridCache"]

_PREFIX: Final = "CACHE_CACHEGRID_"
_SALT: Final = b"cachegrid.integrations.flask_caching"


class CacheGridCache(cachelib.CacheGridCache, BaseCache):
    """
    A back end for `CACHE_TYPE`, on a named cache of a grid.

    `CACHE_CACHEGRID_URL` is the URL of the grid (without it, the grid of this host), `CACHE_KEY_PREFIX` the name of the
    cache. What else the cachelib back end takes is said in `CACHE_OPTIONS`, or as `CACHE_CACHEGRID_NAME` and so on.
    Where the application has a `SECRET_KEY`, values may be any objects: they are pickled, and signed with a key made of
    it. Else they are kept by type.
    """

    @classmethod
    def factory(cls, app: Flask, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> CacheGridCache:
        """The back end that the configuration of an application says. Raises ConfigError."""
        said: dict[str, Any] = {"cache": config["CACHE_KEY_PREFIX"]}
        variables = _said_in(config)
        if "grid" not in kwargs | variables and app.secret_key:
            said |= {"codec": "pickle", "secret": _secret(app.secret_key)}
        return cls(*args, **(said | variables | kwargs))


def _said_in(config: dict[str, Any]) -> dict[str, Any]:
    """What variables of ours say, those that are None left out. Raises ConfigError for one that nobody knows."""
    known = {f"{_PREFIX}{name.upper()}": name for name in KNOWN - {"ttl"}}
    said = {}
    for variable, value in config.items():
        if variable == f"{_PREFIX}TTL":
            raise ConfigError(variable, value, "said as CACHE_DEFAULT_TIMEOUT, which is what Flask-Caching calls it")
        if variable.startswith(_PREFIX) and variable not in known:
            raise ConfigError.unknown("unknown setting", variable, known)
        if variable in known and value is not None:
            said[known[variable]] = value
    return said


def _secret(key: str | bytes) -> str:
    """A secret of the cache's own: who learns it cannot sign cookies."""
    return hmac.digest(key.encode() if isinstance(key, str) else key, _SALT, hashlib.sha256).hex()
