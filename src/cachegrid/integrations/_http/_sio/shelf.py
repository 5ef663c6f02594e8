# Generated from src/cachegrid/integrations/_http/_aio/shelf.py by tools/colour.py. Edit that file, then run `make colour`.
"""
The shelf: where pages lie in a grid, and how they come there.

A URI has a *record*, which says what its pages vary on, and in which *generation* they are; a page lies under the
URI, the generation, and what the record says. The record is there before the application is asked, so that whoever
drops it drops what is being made, too: that can only be put under a generation which nobody looks at any more.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, Final, Protocol

from cachegrid import SyncCache
from cachegrid.integrations._http.answers import Verdict, Wishes, judge
from cachegrid.integrations._http.pages import Offer, Page, is_for, mark_of, packed, page_from, unpacked, uri_digest
from cachegrid.integrations._http.records import AT_LEAST, PURGED, Found, Record, record_in
from cachegrid.integrations._http.settings import Settings
from cachegrid.integrations._http.terms import Request

__all__ = ["SyncOrigin", "SyncShelf"]

_UNREAD: Final = object()  # in place of the mark of the last purge
_WHILE_UNKNOWN: Final = 60  # seconds until it is found out anew whether a URI has pages
_FLIGHT: Final = 1  # seconds; nothing is kept of it
_TRIES: Final = 3


class SyncOrigin(Protocol):
    """The application at work on a request; None: what it says is for this request only, or not known as a whole."""

    def ask_whole(self) -> Offer | None:
        """What it says, whatever the client may have already."""

    def ask_as_is(self) -> Offer | None:
        """What it says to the request as it came."""


class SyncShelf:
    """The pages of a cache. Every page that it gives has been asked whether it may be shown to this very request."""

    def __init__(self, cache: SyncCache, settings: Settings) -> None:
        self._cache, self._settings = cache, settings

    def find(self, request: Request, wishes: Wishes) -> Found:
        """What is there; near copies may answer."""
        uri = uri_digest(request.uri)
        record = record_in(self._cache.get(("uri", uri)))
        return self._found(request, wishes, uri, record)

    def _found(self, request: Request, wishes: Wishes, uri: bytes, record: Record | None) -> Found:
        if record is None or not record.has_pages or record.leaves_alone(request):
            return Found(record, None)
        page = unpacked(self._cache.get(record.page_key(uri, request)))
        if page is None or not is_for(page, request, uri):
            return Found(record, None)
        return Found(record, page, judge(page, wishes, self._settings.clock()))

    def load(
        self, request: Request, wishes: Wishes, record: Record | None, origin: SyncOrigin
    ) -> tuple[Page, bool] | None:
        """
        A page, and whether it is another request's; it is made by one caller in the grid for all that may have it.

        `record` is what `find` has found. None where the application has to be asked for this request alone, or was,
        and said nothing to keep. It is asked once at most.
        """
        uri = uri_digest(request.uri)
        for _ in range(_TRIES):
            record = record or self._begun(uri)
            is_alone = record.leaves_alone(request)
            # Of what is hardly ever kept the client's own question is asked, and nothing else of the grid.
            purged = _UNREAD if is_alone and not wishes.is_new else self._cache.get(PURGED)
            if is_alone or wishes.is_new:  # others cannot use it: nobody shall wait for it
                page = self._made(request, uri, record, purged, origin)
                return None if page is None else (page, False)
            made, page = self._shared(request, wishes, uri, record, purged, origin)
            if made or page is None:
                return None if page is None else (page, False)
            if is_for(page, request, uri) and judge(page, wishes, self._settings.clock()) is not Verdict.LOAD:
                return page, True
            # Somebody else's, of a URI of which it was not known what its pages vary on; it is now.
            record = None
        return None

    def _shared(
        self, request: Request, wishes: Wishes, uri: bytes, record: Record, purged: Any, origin: SyncOrigin
    ) -> tuple[bool, Page | None]:
        """What one of all who wait has made, and whether this was the one."""
        made: list[Page | None] = []

        def make() -> Any:
            found = self._found(request, wishes, uri, record_in(self._fresh(("uri", uri))))
            if found.page is not None and found.verdict is Verdict.SERVE:
                return packed(found.page)
            made.append(self._made(request, uri, record, purged, origin))
            return None if made[0] is None else packed(made[0])

        # What passes through here, from one request to another, is a page or nothing. Who comes after a change, or a
        # purge, does not wait for what was begun before it.
        flight = ("load", uri, record.generation, purged or b"", mark_of(uri, record.vary, request))
        shared = unpacked(self._cache.get_or_load(flight, make, ttl=_FLIGHT, when=_never))
        return (True, made[0]) if made else (False, shared)

    def drop(self, uris: Iterable[tuple[bytes, ...]]) -> None:
        """Drop all pages of these URIs, for everybody, and what is being made of them."""
        self._cache.delete_many([("uri", uri_digest(uri)) for uri in uris])

    def _fresh(self, key: tuple[str, ...] | tuple[str, bytes]) -> Any:
        """A value as its owner has it: no near copy will do."""
        entry = self._cache.entry(key)
        return None if entry is None else entry.value

    def _begun(self, uri: bytes) -> Record:
        """The record of a URI; made where there is none, before the application is asked."""
        key = ("uri", uri)
        while True:
            record = record_in(self._fresh(key))
            if record is not None:
                return record
            made = Record(secrets.token_bytes(8))
            if self._cache.add(key, made.packed(), ttl=_WHILE_UNKNOWN):
                return made
            if record_in(self._fresh(key)) is None:
                self._cache.delete(key)  # of another version of this program

    def _made(self, request: Request, uri: bytes, record: Record, purged: Any, origin: SyncOrigin) -> Page | None:
        """A page that the application makes now, kept if nobody dropped it meanwhile; None where it makes none."""
        offer = origin.ask_as_is() if purged is _UNREAD else origin.ask_whole()
        if offer is None:
            if record.has_pages is None and not request.is_personal:  # who says nothing of others
                self._told(uri, record.generation, Record(record.generation, has_pages=False), _WHILE_UNKNOWN)
            return None
        terms = offer.terms
        page = page_from(offer, mark_of(uri, terms.vary, request))
        left = terms.made + terms.ttl - self._settings.clock()
        known = Record(record.generation, has_pages=True, is_for_all=terms.is_for_all, vary=terms.vary)
        now_known = self._told(uri, record.generation, known, max(left, AT_LEAST)) if left > 0 else None
        # Where it is not known whether a tag was purged meanwhile, the next one is kept.
        if now_known is not None and not (purged is _UNREAD and terms.tags):
            self._put(now_known.page_key(uri, request), page, left, purged)
        return page

    def _told(self, uri: bytes, generation: bytes, news: Record, ttl: float) -> Record | None:
        """Note what became known of a URI; what is known then, or None where the generation has ended."""
        key = ("uri", uri)
        for _ in range(_TRIES):
            entry = self._cache.entry(key)
            known = None if entry is None else record_in(entry.value)
            if entry is None or known is None or known.generation != generation:
                return None
            merged = known.with_news(news)
            if merged == known and known.has_pages:
                return known if self._cache.touch(key, ttl) else None
            if self._cache.compare_and_set(key, entry.version, merged.packed(), ttl=ttl):
                return merged
        return None

    def _put(self, key: tuple[str, bytes, bytes, bytes], page: Page, left: float, purged: Any) -> None:
        tags = page.terms.tags
        if not tags:
            self._cache.set(key, packed(page), ttl=left)
            return

        def keep() -> Any:
            # The tags' epochs have been noted by now: a purge from here on drops the page, and one from before is seen.
            return packed(page) if self._fresh(PURGED) == purged else None

        if self._fresh(PURGED) == purged:  # else what is there may be newer
            self._cache.delete(key)
            self._cache.get_or_load(key, keep, ttl=left, tags=tags, when=_is_page)


def _never(_value: Any) -> bool:
    return False


def _is_page(value: Any) -> bool:
    return value is not None
