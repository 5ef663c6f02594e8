"""Requests, as servers and what stands before the middleware tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from cachegrid.integrations._http.settings import Settings
from cachegrid.integrations._http.signs import is_somebody, shows_who
from cachegrid.integrations._http.terms import Request
from cachegrid.integrations._http.uris import host_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["is_known", "request_of"]

# By which a server, or what stands before the middleware, says that it knows who asks.
_SIGNS: Final = (
    *("REMOTE_USER", "REDIRECT_REMOTE_USER", "REMOTE_IDENT", "AUTH_TYPE", "AUTH_USER", "LOGON_USER"),
    *("SSL_CLIENT_CERT", "SSL_CLIENT_S_DN", "Shib-Session-ID", "OIDC_CLAIM_sub"),
    *("repoze.who.identity", "beaker.session", "werkzeug.session"),
)


def request_of(environ: WSGIEnvironment, settings: Settings) -> Request:
    """What of a request decides about its page."""
    fields = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_LENGTH"):
        fields["content-length"] = environ["CONTENT_LENGTH"]
    place = [environ.get(name, "").encode("latin-1") for name in ("SCRIPT_NAME", "PATH_INFO")]
    path = quote(b"".join(place))
    host = fields.get("host") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    scheme = environ["wsgi.url_scheme"]
    parts = (scheme, host_of(scheme, host), path, environ.get("QUERY_STRING", ""))
    is_personal = shows_who(fields, settings) or is_known(environ)
    uri = tuple([part.encode("latin-1") for part in parts])
    return Request(environ["REQUEST_METHOD"], uri, fields, is_personal, tuple(place))


def is_known(environ: WSGIEnvironment) -> bool:
    """
    Whether somebody has found out who asks: the server, or what stands before the middleware.

    Asked again when the application has answered: also what stands behind it may have found out.
    """
    return any(is_somebody(environ.get(sign)) for sign in _SIGNS)
