"""What is kept of a response, and for whom it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from cachegrid.integrations._http.fields import Fields, joined, without
from cachegrid.integrations._http.signs import set_apart
from cachegrid.integrations._http.terms import Request, Terms

__all__ = ["Offer", "Page", "is_for", "is_whole", "mark_of", "packed", "page_from", "unpacked", "uri_digest"]

_FORMAT: Final = "page 1"


class Offer(NamedTuple):
    """A response that came whole and may be kept."""

    status: int
    fields: Fields
    body: bytes
    terms: Terms


class Page(NamedTuple):
    """A response that is kept. `mark` says for which requests: see `mark_of`."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    terms: Terms
    mark: bytes


# For whom.


def uri_digest(uri: Iterable[bytes]) -> bytes:
    """What stands for a URI in keys: no two have the same, and a long one takes no more than others."""
    return _digest(uri)


def mark_of(uri: bytes, vary: Iterable[str], request: Request) -> bytes:
    """What requests have in common that get the same page: the URI, and the fields that it varies on, said or not."""
    # Who sends a strange value of a field that no response names gets a page of his own, and leaves none for others.
    asked = [*[(name, request.fields.get(name)) for name in vary], *set_apart(request.fields)]
    parts = [uri, _digest(request.place)]
    for name, value in asked:
        parts += [name.encode("latin-1"), b"-" if value is None else b"+" + value.encode("utf-8", "surrogatepass")]
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


def page_from(offer: Offer, mark: bytes) -> Page:
    """What is kept of a response that came whole."""
    kept = without(offer.fields, {"age", "content-length", "cache-status"})
    return Page(offer.status, tuple(kept), offer.body, offer.terms, mark)


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
