"""On what terms a response is kept: on none, unless it says so and is for everybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from cachegrid.integrations._http.fields import Fields, date_in, directives, joined, least, names_in

__all__ = ["PERSONAL", "Request", "Terms", "terms_of"]

# Final answers that say the same to all who ask; none of a server in trouble.
_KEPT: Final = frozenset({200, 203, 204, 300, 301, 302, 307, 308, 404, 405, 410, 414})
_PERSONAL: Final = frozenset({"set-cookie", "set-cookie2", "authentication-info", "www-authenticate", "content-range"})
_FORBIDDEN: Final = frozenset({"no-store", "no-cache", "private"})
PERSONAL: Final = "the request shows who asks, and this is not public"  # why a response is not kept
_MOST_NAMES: Final = 16  # of fields that one URI varies on
_MOST_TAGS: Final = 64
_LONGEST_TAG: Final = 255  # bytes


class Request(NamedTuple):
    """
    What of a request decides.

    `is_personal` says that it shows who asks: by a cookie, by credentials. `place` is where an application finds itself
    in a site, and what it takes for the path: of two that share a URI each has pages of its own.
    """

    method: str
    uri: tuple[bytes, ...]  # scheme, host, path and query
    fields: Mapping[str, str]  # by name in small letters
    is_personal: bool
    place: tuple[bytes, ...] = ()


class Terms(NamedTuple):
    """On what terms a response is kept."""

    made: float  # when it was new: seconds since 1970
    life: float  # seconds for which it is fresh
    revalidate: float  # seconds for which it is served after that, while it is made anew
    on_error: float  # and while making it anew fails
    is_strict: bool  # never stale because a client would take it so
    is_for_all: bool  # also for those who show who they are
    vary: tuple[str, ...]  # fields of the request that it depends on, in order
    tags: tuple[str, ...]

    @property
    def ttl(self) -> float:
        """Seconds from `made` for which it is of any use."""
        return self.life + max(self.revalidate, self.on_error)


def terms_of(
    request: Request, status: int, fields: Fields, now: float, default_ttl: float | None = None
) -> Terms | str:
    """
    On what terms a response to a request may be kept for others; where it may not, why not, in plain words.

    This is the only way to terms, and there is no page without. `default_ttl` is for a 200 that says no lifetime.
    """
    found = joined(fields)
    said = directives(found.get("cache-control", ""))
    is_for_all = "public" in said or "s-maxage" in said
    vary = tuple(sorted(set(names_in(found.get("vary", "")))))
    tags = _tags_in(found)
    forbid = [*sorted(_PERSONAL & found.keys()), *sorted(_FORBIDDEN & said.keys())]
    reasons = {
        f"status {status}": request.method != "GET" or status not in _KEPT,
        ", ".join(forbid): bool(forbid),
        "pragma": "cache-control" not in found and "no-cache" in names_in(found.get("pragma", "")),
        PERSONAL: request.is_personal and not is_for_all,
        "vary": "*" in vary or len(vary) > _MOST_NAMES,
        "tags": tags is None,
    }
    if tags is None or any(reasons.values()):
        return next(why for why, holds in reasons.items() if holds)
    life = _life(found, said, now, default_ttl if status == 200 else None)
    is_strict = bool({"must-revalidate", "proxy-revalidate"} & said.keys())
    revalidate, on_error = [
        0 if is_strict else least(said, f"stale-{why}") or 0 for why in ("while-revalidate", "if-error")
    ]
    terms = Terms(
        made=now - _age(found, now),
        life=life,
        revalidate=revalidate,
        on_error=on_error,
        is_strict=is_strict or "s-maxage" in said,
        is_for_all=is_for_all,
        vary=vary,
        tags=tags,
    )
    if life <= 0:
        return "no lifetime"
    return terms if terms.made + terms.ttl > now else "its lifetime is over"


def _life(found: Mapping[str, str], said: Mapping[str, list[str]], now: float, default_ttl: float | None) -> float:
    """For how many seconds a response is fresh, from when it was new."""
    for name in ("s-maxage", "max-age"):
        if (seconds := least(said, name)) is not None:
            return seconds
    if "expires" in found:
        expires = date_in(found["expires"])
        return 0 if expires is None else expires - (date_in(found.get("date")) or now)
    return default_ttl or 0


def _age(found: Mapping[str, str], now: float) -> float:
    """How old a response is that has just come: somebody before us may have kept it."""
    told = least({"age": [found.get("age", "0").partition(",")[0].strip()]}, "age") or 0
    return max(0.0, told, now - (date_in(found.get("date")) or now))


def _tags_in(found: Mapping[str, str]) -> tuple[str, ...] | None:
    """The tags that a response names; None where entries cannot have them, so that nobody could purge it."""
    listed = [tag.strip() for tag in found.get("cache-tag", "").split(",")]
    tags = tuple(dict.fromkeys(tag for tag in [*listed, *found.get("surrogate-key", "").split()] if tag))
    return None if len(tags) > _MOST_TAGS or any(len(tag.encode()) > _LONGEST_TAG for tag in tags) else tags
