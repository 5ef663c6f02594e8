"""The middleware: what is kept answers, and otherwise the application."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from cachegrid import SyncCache
from cachegrid.errors import CacheError, ConfigError
from cachegrid.integrations._http._sio import SyncShelf, purge
from cachegrid.integrations._http.answers import (
    MISSING,
    MISSING_HEAD,
    Answer,
    Verdict,
    Way,
    Wishes,
    answer_of,
    miss_of,
    serves_on_error,
    way_of,
    wishes_of,
)
from cachegrid.integrations._http.fields import joined
from cachegrid.integrations._http.records import Found
from cachegrid.integrations._http.settings import settings_for
from cachegrid.integrations._http.terms import Request
from cachegrid.integrations._http.trouble import Trouble
from cachegrid.integrations._http.uris import changed_by
from cachegrid.integrations.wsgi.asked import request_of
from cachegrid.integrations.wsgi.run import ExcInfo, Run, number_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["CachedResponses", "purge"]

_log = logging.getLogger("cachegrid")


class CachedResponses:
    """
    An application whose responses are kept where they say so, and served to all who may have them.

    `cache` is one of `connect()`. `default_ttl` is for a 200 that says nothing about its lifetime, to a request that
    does not show who asks; without it, such a response is not kept. A response of more than `max_body` is passed on and
    not kept. `who` names fields of requests, besides cookies and credentials, that show who asks. With
    `obey_clients=False` no client can have a response made anew. Where the grid cannot answer, the application does.
    """

    def __init__(
        self,
        app: WSGIApplication,
        cache: SyncCache,
        *,
        default_ttl: float | timedelta | str | None = None,
        max_body: int | str = "1MiB",
        who: Iterable[str] = (),
        obey_clients: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(cache, SyncCache):
            raise ConfigError("the cache of responses", cache, "one of cachegrid.connect(); asgi has the other one")
        self._app = app
        self._settings = settings_for(cache.policy, default_ttl, max_body, who, obeys_clients=obey_clients, clock=clock)
        self._shelf = SyncShelf(cache, self._settings)
        self._trouble = Trouble()
        self._refreshing: dict[tuple[bytes, ...], threading.Thread] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request from the grid, or with what the application says."""
        request = request_of(environ, self._settings)
        way = way_of(request)
        if way is Way.ASK:
            return self._answer(request, environ, start_response)
        return self._app(environ, start_response if way is Way.PASS else self._dropping(request, start_response))

    def settle(self) -> None:
        """Wait until all that is being made anew behind readers' backs has been."""
        for thread in list(self._refreshing.values()):
            thread.join()

    # Inside.

    def _answer(self, request: Request, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        wishes = wishes_of(request.fields) if self._settings.obeys_clients else Wishes()
        try:
            found = self._shelf.find(request, wishes)
        except CacheError as error:
            self._trouble.note(error)
            return self._app(environ, start_response)
        if found.page is not None and found.verdict is not Verdict.LOAD:
            if found.verdict is Verdict.REFRESH:
                self._refresh_soon(request, environ)
            return _say(start_response, answer_of(found.page, request, self._settings.clock(), is_kept=True))
        if wishes.only_kept:
            return _say(start_response, MISSING)
        if request.method == "HEAD":
            return self._app(environ, _telling(start_response))
        run = Run(self._app, request, environ, self._settings)
        return self._load(request, wishes, found, run, start_response)

    def _load(
        self, request: Request, wishes: Wishes, found: Found, run: Run, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer with what the application says now; it is asked once, whatever becomes of the grid meanwhile."""
        stale = found.page
        is_better = stale is not None and serves_on_error(stale, wishes, self._settings.clock())
        loaded = None
        try:
            loaded = self._shelf.load(request, wishes, found.record, run)
        except Exception as error:
            if error is run.error and is_better:
                _log.warning("a stale page is served, since making it anew failed", exc_info=True)
            elif error is run.error or not isinstance(error, CacheError):
                run.close()
                raise
            else:
                self._trouble.note(error)
        if loaded is not None:
            run.close()
            page, is_kept = loaded
            return _say(start_response, answer_of(page, request, self._settings.clock(), is_kept=is_kept))
        if stale is not None and is_better and run.has_failed:
            run.close()
            return _say(start_response, answer_of(stale, request, self._settings.clock(), is_kept=True))
        return run.pass_on(start_response)

    def _refresh_soon(self, request: Request, environ: WSGIEnvironment) -> None:
        thread = threading.Thread(
            target=self._refresh,
            args=(request, {**environ, "wsgi.input": io.BytesIO()}),
            name="cachegrid-pages",
            daemon=True,
        )
        if self._refreshing.setdefault(request.uri, thread) is thread:
            try:
                thread.start()
            except RuntimeError as error:  # there are too many already
                self._refreshing.pop(request.uri)
                self._trouble.note(error)

    def _refresh(self, request: Request, environ: WSGIEnvironment) -> None:
        run = Run(self._app, request._replace(method="GET"), {**environ, "REQUEST_METHOD": "GET"}, self._settings)
        try:
            self._shelf.load(request, Wishes(), None, run)
        except Exception:  # noqa: BLE001 - the application's own, and nobody waits for it
            _log.warning("a page could not be made anew behind its readers' backs", exc_info=True)
        finally:
            run.close()
            self._refreshing.pop(request.uri, None)

    def _dropping(self, request: Request, start_response: StartResponse) -> StartResponse:
        """Drop what is kept of a URI before its writer hears that it was changed."""

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: ExcInfo = None, /
        ) -> Callable[[bytes], object]:
            if 200 <= number_of(status) < 400:
                try:
                    self._shelf.drop(changed_by(request, joined(headers)))
                except CacheError as error:
                    self._trouble.note(error)
            return start_response(status, headers, exc_info)

        return start


def _telling(start_response: StartResponse) -> StartResponse:
    """Tell along with the head of a page that it was looked for."""

    def start(status: str, headers: list[tuple[str, str]], exc_info: ExcInfo = None, /) -> Callable[[bytes], object]:
        return start_response(status, [*headers, miss_of(MISSING_HEAD)], exc_info)

    return start


def _say(start_response: StartResponse, answer: Answer) -> Iterable[bytes]:
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", answer.fields)
    return [answer.body]
