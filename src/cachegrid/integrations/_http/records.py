"""What is known of a URI, beside its pages: what they vary on, and in which generation they are."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from cachegrid.integrations._http.answers import Verdict
from cachegrid.integrations._http.pages import Page, mark_of
from cachegrid.integrations._http.terms import Request

__all__ = ["AT_LEAST", "PURGED", "Found", "Record", "record_in"]

PURGED: Final = ("purged",)  # where the mark of the last purge of a tag lies
AT_LEAST: Final = 86_400  # seconds that a record is kept; what it tells costs a request to find out

_FORMAT: Final = "uri 1"


class Record(NamedTuple):
    """What is known of a URI."""

    generation: bytes
    has_pages: bool | None = None  # None: that is being found out
    is_for_all: bool = False  # whether those who show who they are may have any of them
    vary: tuple[str, ...] = ()

    def leaves_alone(self, request: Request) -> bool:
        """Whether what is said to a request is for nobody else, as far as is known."""
        return self.has_pages is False or (request.is_personal and not self.is_for_all)

    def page_key(self, uri: bytes, request: Request) -> tuple[str, bytes, bytes, bytes]:
        """Where the page for a request lies."""
        return "page", uri, self.generation, mark_of(uri, self.vary, request)

    def with_news(self, news: Record) -> Record:
        """What is known then: never less, so that no two requests are taken for one which once were two."""
        if not news.has_pages:
            return self if self.has_pages else news
        vary = tuple(sorted({*self.vary, *news.vary}))
        return Record(self.generation, has_pages=True, is_for_all=self.is_for_all or news.is_for_all, vary=vary)

    def packed(self) -> tuple[Any, ...]:
        """What a grid keeps of it: plain values."""
        return (_FORMAT, *self)


class Found(NamedTuple):
    """What is on the shelf for a request."""

    record: Record | None
    page: Page | None
    verdict: Verdict = Verdict.LOAD


def record_in(value: Any) -> Record | None:
    """The record; None for what was not packed by this version."""
    is_one = isinstance(value, tuple) and value[:1] == (_FORMAT,) and len(value) == 1 + len(Record._fields)
    return Record(*value[1:]) if is_one else None
