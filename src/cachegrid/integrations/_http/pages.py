"""What is kept of a response, and whether it may be: nothing is, unless the response says so and is for everybody."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from cachegrid.integrations._http.fields import Fields, date_in, directives, joined, least, names_in, without

__all__ = [
    "Page",
    "Request",
    "Terms",
    "is_for",
    "is_whole",
    "mark_of",
    "packed",
    "page_from",
    "terms_of",
    "unpacked",
    "uri_digest",
]

# Final answers that say the same to all who ask; none of a server in trouble.
_KEPT: Final = frozenset({200, 203, 204, 300, 301, 302, 307, 308, 404, 405, 410, 414})
_PERSONAL: Final = frozenset({"set-cookie", "set-cookie2", "authentication-info", "www-authenticate", "content-range"})
_FORBIDDEN: Final = frozenset({"no-store", "no-cache", "private"})
# Fields that frameworks take for parts of the URI, and whose responses do not say so: who sends a strange value gets a
# page of his own, and leaves none for others.
_UNNAMED: Final = (
    *("x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-proto", "x-forwarded-scheme"),
    *("x-http-method-override", "x-original-url", "x-rewrite-url"),
)
_MOST_NAMES: Final = 16  # of fields that one URI varies on
_MOST_TAGS: Final = 64
_LONGEST_TAG: Final = 255  # bytes
_FORMAT: Final = "page 1"


class Request(NamedTuple):
    """What of a request decides. `is_personal` says that it shows who asks: by a cookie, by credentials."""

    method: str
    uri: tuple[bytes, ...]  # scheme, host, path and query
    fields: Mapping[str, str]  # by name in small letters
    is_personal: bool


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


class Page(NamedTuple):
    """A response that is kept. `mark` says for which requests: see `mark_of`."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    terms: Terms
    mark: bytes


def terms_of(
    request: Request, status: int, fields: Fields, now: float, default_ttl: float | None = None
) -> Terms | None:
    """
    On what terms a response to a request may be kept for others; None where it may not.

    This is the only way to terms, and there is no page without. `default_ttl` is for a 200 that says no lifetime.
    """
    found = joined(fields)
    said = directives(found.get("cache-control", ""))
    if request.method != "GET" or status not in _KEPT or _PERSONAL & found.keys() or _FORBIDDEN & said.keys():
        return None
    if "cache-control" not in found and "no-cache" in names_in(found.get("pragma", "")):
        return None
    is_for_all = "public" in said or "s-maxage" in said
    if request.is_personal and not is_for_all:
        return None
    vary = tuple(sorted(set(names_in(found.get("vary", "")))))
    tags = _tags_in(found)
    if "*" in vary or len(vary) > _MOST_NAMES or tags is None:
        return None
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
    return terms if life > 0 and terms.made + terms.ttl > now else None


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


# For whom.


def uri_digest(uri: Iterable[bytes]) -> bytes:
    """What stands for a URI in keys: no two have the same, and a long one takes no more than others."""
    return _digest(uri)


def mark_of(uri: bytes, vary: Iterable[str], request: Request) -> bytes:
    """What requests have in common that get the same page: the URI, and the fields that it varies on, said or not."""
    parts = [uri]
    for name in (*vary, *[name for name in _UNNAMED if name in request.fields]):
        value = request.fields.get(name)
        parts += [name.encode(), b"-" if value is None else b"+" + value.encode("utf-8", "surrogatepass")]
    return _digest(parts)


def _digest(parts: Iterable[bytes]) -> bytes:
    made = hashlib.sha256()
    for part in parts:
        made.update(b"%d:" % len(part) + part)  # so that no byte passes from one to the next
    return made.digest()


def is_for(page: Page, request: Request, uri: bytes) -> bool:
    """
    Whether a page may be shown to who makes a request.

    Asked of every page before it is handed out, wherever it came from: a wrong key, or a digest that two have in
    common, ends here.
    """
    return (page.terms.is_for_all or not request.is_personal) and page.mark == mark_of(uri, page.terms.vary, request)


# As entries.


def page_from(status: int, fields: Fields, body: bytes, terms: Terms, mark: bytes) -> Page:
    """A page of a response that came whole."""
    kept = without(fields, {"age", "content-length", "cache-status"})
    return Page(status, tuple(kept), body, terms, mark)


def is_whole(fields: Fields, body: bytes) -> bool:
    """Whether a body is as long as its response said that it would be, if it did."""
    return joined(fields).get("content-length", str(len(body))).strip() == str(len(body))


def packed(page: Page) -> tuple[Any, ...]:
    """What a grid keeps of a page: plain values."""
    return (_FORMAT, page.status, page.fields, page.body, tuple(page.terms), page.mark)


def unpacked(value: Any) -> Page | None:
    """The page; None for what was not packed by this version."""
    if not isinstance(value, tuple) or value[:1] != (_FORMAT,):
        return None
    try:
        _, status, fields, body, terms, mark = value
        return Page(status, fields, body, Terms(*terms), mark)
    except (TypeError, ValueError):
        return None
