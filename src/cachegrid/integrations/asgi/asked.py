"""Requests, as servers and what stands before the middleware tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from cachegrid.integrations._http.fields import joined
from cachegrid.integrations._http.settings import Settings
from cachegrid.integrations._http.signs import is_somebody, shows_who
from cachegrid.integrations._http.terms import Request
from cachegrid.integrations._http.uris import host_of

__all__ = ["decoded", "is_known", "request_of"]

_SIGNS: Final = ("user", "auth", "session")  # what others leave in a scope when they know who asks
_STATE: Final = ("user", "auth", "user_id", "current_user")  # likewise in its state, which has things of a server, too


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Fields as text."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def request_of(scope: Mapping[str, Any], settings: Settings) -> Request:
    """What of a request decides about its page."""
    fields = joined(decoded(scope["headers"]))
    root, path = scope.get("root_path") or "", scope["path"]
    raw = scope.get("raw_path") or quote(path).encode()
    start = quote(root).encode()
    whole = raw if not start or (raw + b"/").startswith(start + b"/") else start + raw
    scheme = scope.get("scheme", "http")
    uri = (scheme.encode(), host_of(scheme, fields.get("host", "")).encode(), whole, scope["query_string"])
    place = tuple([part.encode("utf-8", "surrogatepass") for part in (root, path)])
    return Request(scope["method"], uri, fields, shows_who(fields, settings) or is_known(scope), place)


def is_known(scope: Mapping[str, Any]) -> bool:
    """
    Whether somebody has found out who asks: the server, by a certificate, or what stands before the middleware.

    Asked again when the application has answered, of the same scope: also what stands behind it may have found out.
    """
    tls = (scope.get("extensions") or {}).get("tls") or {}
    found = [tls.get("client_cert_chain"), tls.get("client_cert_name"), *_held(scope, _SIGNS)]
    state = scope.get("state")
    if isinstance(state, Mapping):
        found += _held(state, _STATE)
    return any(map(is_somebody, found))


def _held(scope: Mapping[str, Any], names: tuple[str, ...]) -> list[Any]:
    return [scope[name] for name in names if scope.get(name) is not None]
