"""URIs, and which of them a change changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urljoin, urlsplit

from cachegrid.errors import ConfigError
from cachegrid.integrations._http.terms import Request

__all__ = ["changed_by", "host_of", "uri_in"]

_PORTS: Final = {"http": ":80", "https": ":443"}


def changed_by(request: Request, fields: Mapping[str, str]) -> Iterator[tuple[bytes, ...]]:
    """The URIs that a successful change changes: its own, and those that its response names on the same host."""
    yield request.uri
    scheme, host, path, query = [part.decode("latin-1") for part in request.uri]
    own = f"{scheme}://{host}{path}?{query}"
    for name in ("location", "content-location"):
        if name in fields:
            try:
                named = uri_in(urljoin(own, fields[name]))
            except ValueError:
                continue  # it names nothing
            if named[:2] == request.uri[:2]:
                yield named


def host_of(scheme: str, host: str) -> str:
    """A host in small letters, and without the port that its scheme has anyway."""
    return host.lower().removesuffix(_PORTS.get(scheme, ""))


def uri_in(url: str) -> tuple[bytes, ...]:
    """
    Scheme, host, path and query of a URL. Raises ConfigError, a ValueError, for what is none.

    >>> uri_in("https://Shop.example:443/menu?page=2")
    (b'https', b'shop.example', b'/menu', b'page=2')
    """
    parts = urlsplit(url)
    if not (parts.scheme and parts.netloc):
        raise ConfigError("a URL", url, "whole, such as https://shop.example/menu: the pages of each host are its own")
    found = (parts.scheme, host_of(parts.scheme, parts.netloc), parts.path or "/", parts.query)
    return tuple([part.encode("latin-1") for part in found])
