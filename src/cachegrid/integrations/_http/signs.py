"""What a request says of who asks, and of which place of a site it asks for, besides its cookies and its URI."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from cachegrid.integrations._http.settings import Settings

__all__ = ["is_somebody", "set_apart", "shows_who"]

# Words in the names of fields by which proxies and clients say who asks.
_WHO: Final = frozenset(
    {
        *("account", "apikey", "assertion", "auth", "authenticated", "authorization", "cert", "claims", "consumer"),
        *("cookie", "credential", "credentials", "csrf", "csrftoken", "dpop", "email", "groups", "identity", "jwt"),
        *("login", "oidc", "principal", "roles", "secret", "session", "sessionid", "sso", "subject"),
        *("tenant", "token", "user", "userid", "userinfo", "username", "xsrf"),
    }
)
_WHO_NAMES: Final = frozenset({"api-key", "x-api-key", "access-key", "x-access-key"})
# Words in the names of fields that frameworks and proxies take for parts of the URI, or for the method.
_WHERE: Final = frozenset(
    {
        *("destination", "destinationurl", "host", "hostname", "https", "method", "original", "origin", "override"),
        *("path", "prefix", "proto", "protocol", "rewrite", "scheme", "script", "server", "ssl", "uri", "url"),
    }
)
# Those that say so in other words, and those of pages that are put together in the browser, out of parts of pages.
_WHERE_NAMES: Final = frozenset(
    {
        *("cf-visitor", "forwarded", "x-forwarded", "x-forwarded-port", "x-original-port"),
        *("hx-boosted", "hx-history-restore-request", "hx-request", "hx-target", "turbo-frame", "x-inertia", "x-pjax"),
        *("x-pjax-container", "x-requested-with", "x-up-mode", "x-up-target", "x-up-version"),
    }
)
_OF_THE_CLIENT: Final = ("-for", "-ip", "-addr")  # the address of each is its own, and says nothing else
_FORWARDED: Final = frozenset({"forwarded", "x-forwarded"})
_HOP: Final = re.compile(r"\s*(?:for|by)=(?:[\w.:-]+|\"[\w.:\[\]-]+\")\s*", re.IGNORECASE | re.ASCII)


def shows_who(fields: Mapping[str, str], settings: Settings) -> bool:
    """Whether a request shows who asks."""
    return not settings.who.isdisjoint(fields) or any(map(_says_who, fields))


def set_apart(fields: Mapping[str, str]) -> list[tuple[str, str]]:
    """
    The fields that tell requests apart although no response says that it depends on them, in order.

    >>> set_apart({"x-forwarded-host": "a", "accept": "*", "forwarded": 'for="[::1]:5";host=b, for=c'})
    [('forwarded', 'host=b'), ('x-forwarded-host', 'a')]
    """
    found = {name: fields[name] for name in sorted(filter(_says_where, fields))}
    for name in _FORWARDED & found.keys():
        found[name] = _without_clients(found[name])
        if not found[name]:
            del found[name]
    return list(found.items())


def is_somebody(user: Any) -> bool:
    """Whether what somebody else has found out about who asks is more than that it is nobody."""
    try:
        if getattr(user, "is_authenticated", None) is False:
            return False
        scopes = getattr(user, "scopes", None)
        return bool(user if scopes is None else scopes)
    except Exception:  # noqa: BLE001 - of what is found out when it is looked at, and cannot be: it may be anybody
        return True


@lru_cache(maxsize=4096)
def _says_who(name: str) -> bool:
    name = name.replace("_", "-")
    return name in _WHO_NAMES or _has(name, _WHO)


@lru_cache(maxsize=4096)
def _says_where(name: str) -> bool:
    name = name.replace("_", "-")
    return name in _WHERE_NAMES or (not name.endswith(_OF_THE_CLIENT) and _has(name, _WHERE))


def _has(name: str, words: Iterable[str]) -> bool:
    # The host is in the URI. A user agent is no user, and what browsers say of themselves begins with `sec-`.
    is_plain = name == "host" or name.endswith("user-agent") or name.startswith("sec-")
    return not is_plain and not set(words).isdisjoint(name.split("-"))


def _without_clients(value: str) -> str:
    """What is left of a list of hops without the address of each, which is another one for every client."""
    hops = [[part for part in hop.split(";") if not _HOP.fullmatch(part)] for hop in value.split(",")]
    return ",".join([";".join(hop) for hop in hops if hop])
