"""What a request asks of a cache, whether a page that is kept will do, and what is sent of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, NamedTuple

from cachegrid.integrations._http.fields import date_in, directives, least
from cachegrid.integrations._http.pages import Page
from cachegrid.integrations._http.terms import Request

__all__ = [
    "MISSING",
    "MISSING_HEAD",
    "Answer",
    "Verdict",
    "Way",
    "Wishes",
    "answer_of",
    "judge",
    "miss_of",
    "serves_on_error",
    "way_of",
    "wishes_of",
]

_CONDITIONS: Final = ("if-none-match", "if-modified-since")
# What only the application can answer.
_ITS_OWN: Final = frozenset(
    {"range", "if-range", "if-match", "if-unmodified-since", "upgrade", "transfer-encoding", "expect"}
)
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_OF_THE_BODY: Final = frozenset({"content-encoding", "content-language", "content-type"})
_BODILESS: Final = frozenset({204, 304})


class Way(enum.Enum):
    """What becomes of a request."""

    ASK = enum.auto()  # a page may answer it, and its response may be kept
    PASS = enum.auto()  # the application answers it, and nothing is looked up or kept
    CHANGE = enum.auto()  # so it does, and what is kept of the URI is dropped


class Verdict(enum.Enum):
    """What becomes of a page."""

    SERVE = enum.auto()
    REFRESH = enum.auto()  # stale: serve it, and make it anew behind the reader's back
    LOAD = enum.auto()  # of no use but, perhaps, while making it anew fails


class Wishes(NamedTuple):
    """What a request says about the age of what it gets; seconds."""

    is_new: bool = False  # made for this very request
    max_age: int | None = None
    min_fresh: int = 0
    max_stale: int | None = None
    only_kept: bool = False  # rather nothing than to wait for the application


class Answer(NamedTuple):
    """A response as it is sent."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes


MISSING_HEAD: Final = "HEAD"  # why a response that was looked for is not kept
MISSING: Final = Answer(504, [("content-length", "0"), ("cache-status", "cachegrid; fwd=request")], b"")


def way_of(request: Request) -> Way:
    """What becomes of a request, by its method and what it says."""
    if request.method not in _SAFE:
        return Way.CHANGE
    fields = request.fields
    has_body = fields.get("content-length", "0").strip() != "0"
    if request.method not in {"GET", "HEAD"} or has_body or _ITS_OWN & fields.keys():
        return Way.PASS
    return Way.PASS if "no-store" in directives(fields.get("cache-control", "")) else Way.ASK


def wishes_of(fields: Mapping[str, str]) -> Wishes:
    """What a request says about the age of what it gets."""
    text = fields.get("cache-control")
    if text is None:
        return Wishes(is_new="no-cache" in directives(fields.get("pragma", "")))
    said = directives(text)
    max_stale = least(said, "max-stale")
    return Wishes(
        is_new="no-cache" in said,
        max_age=least(said, "max-age"),
        min_fresh=least(said, "min-fresh") or 0,
        max_stale=2**31 if said.get("max-stale") == [""] else max_stale,
        only_kept="only-if-cached" in said,
    )


def judge(page: Page, wishes: Wishes, now: float) -> Verdict:
    """What becomes of a page that is kept, for who has these wishes; `now` is seconds since 1970."""
    terms = page.terms
    age = max(0.0, now - terms.made)
    if wishes.is_new or (wishes.max_age is not None and age > wishes.max_age):
        return Verdict.LOAD
    left = terms.life - age
    if left > 0 and left >= wishes.min_fresh:
        return Verdict.SERVE
    if wishes.min_fresh:
        return Verdict.LOAD
    if wishes.max_stale is not None and -left <= wishes.max_stale and not terms.is_strict:
        return Verdict.SERVE
    return Verdict.REFRESH if -left < terms.revalidate else Verdict.LOAD


def serves_on_error(page: Page, wishes: Wishes, now: float) -> bool:
    """Whether a page is better than the news that making it anew has failed."""
    return not wishes.is_new and now - page.terms.made - page.terms.life < page.terms.on_error


def answer_of(page: Page, request: Request, now: float, *, is_kept: bool) -> Answer:
    """
    What is sent of a page: the whole of it, its head, or that the client has it already.

    `is_kept` says that it was there, and was not made for this request: then its age is told.
    """
    age = max(0, int(now - page.terms.made))
    ttl = int(page.terms.made + page.terms.life - now)
    status = f"cachegrid; hit; ttl={ttl}" if is_kept else "cachegrid; fwd=uri-miss; stored"
    own = [("cache-status", status), *([("age", str(age))] if is_kept or age else [])]
    if page.status == 200 and _has_it(page, request):
        return Answer(304, [*[pair for pair in page.fields if pair[0].lower() not in _OF_THE_BODY], *own], b"")
    if page.status not in _BODILESS:
        own.append(("content-length", str(len(page.body))))
    return Answer(page.status, [*page.fields, *own], b"" if request.method == "HEAD" else page.body)


def miss_of(why: str) -> tuple[str, str]:
    """What is told along with a response that was looked for, and is not kept; `why` is plain text."""
    return "cache-status", f'cachegrid; fwd=miss; detail="{why}"' if why else "cachegrid; fwd=miss"


def _has_it(page: Page, request: Request) -> bool:
    """Whether the client has this very page, as the conditions of its request say."""
    fields = {name.lower(): value for name, value in page.fields}
    wanted, since = [request.fields.get(name) for name in _CONDITIONS]
    if wanted is not None:
        etag = fields.get("etag", "")
        return wanted.strip() == "*" or (bool(etag) and _weak(etag) in map(_weak, _tags_in(wanted)))
    changed, known = date_in(fields.get("last-modified")), date_in(since)
    return changed is not None and known is not None and changed <= known


def _tags_in(text: str) -> list[str]:
    """The entity tags of a list; a comma may stand inside of one."""
    pieces = text.split('"')
    return [f'"{value}"' for value in pieces[1::2]]


def _weak(etag: str) -> str:
    return etag.strip().removeprefix("W/")
