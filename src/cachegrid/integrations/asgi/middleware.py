"""The middleware: what is kept answers, and otherwise the application."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from cachegrid import AsyncCache
from cachegrid.errors import CacheError, ConfigError
from cachegrid.integrations._http._aio import AsyncShelf, purge
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
from cachegrid.integrations.asgi.asked import decoded, request_of
from cachegrid.integrations.asgi.run import App, Message, Receive, Run, Scope, Send

__all__ = ["CachedResponses", "purge"]

_log = logging.getLogger("cachegrid")


class CachedResponses:
    """
    An application whose responses are kept where they say so, and served to all who may have them.

    `cache` is one of `aconnect()`. `default_ttl` is for a 200 that says nothing about its lifetime, to a request that
    does not show who asks; without it, such a response is not kept. A response of more than `max_body` is passed on and
    not kept. `who` names fields of requests, besides cookies and credentials, that show who asks. With
    `obey_clients=False` no client can have a response made anew. Where the grid cannot answer, the application does.
    """

    def __init__(
        self,
        app: App,
        cache: AsyncCache,
        *,
        default_ttl: float | timedelta | str | None = None,
        max_body: int | str = "1MiB",
        who: Iterable[str] = (),
        obey_clients: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(cache, AsyncCache):
            raise ConfigError("the cache of responses", cache, "one of cachegrid.aconnect(); wsgi has the other one")
        self._app = app
        self._settings = settings_for(cache.policy, default_ttl, max_body, who, obeys_clients=obey_clients, clock=clock)
        self._shelf = AsyncShelf(cache, self._settings)
        self._trouble = Trouble()
        self._refreshing: dict[tuple[bytes, ...], asyncio.Task[None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request from the grid, or with what the application says."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = request_of(scope, self._settings)
        way = way_of(request)
        if way is Way.ASK:
            await self._answer(request, scope, receive, send)
        else:
            await self._app(scope, receive, send if way is Way.PASS else self._dropping(request, send))

    async def settle(self) -> None:
        """Wait until all that is being made anew behind readers' backs has been."""
        while tasks := list(self._refreshing.values()):
            await asyncio.wait(tasks)

    # Inside.

    async def _answer(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        wishes = wishes_of(request.fields) if self._settings.obeys_clients else Wishes()
        try:
            found = await self._shelf.find(request, wishes)
        except CacheError as error:
            self._trouble.note(error)
            await self._app(scope, receive, send)
            return
        if found.page is not None and found.verdict is not Verdict.LOAD:
            if found.verdict is Verdict.REFRESH:
                self._refresh_soon(request, scope)
            await _say(send, answer_of(found.page, request, self._settings.clock(), is_kept=True))
        elif wishes.only_kept:
            await _say(send, MISSING)
        elif request.method == "HEAD":
            await self._app(scope, receive, _telling(send))
        else:
            await self._load(request, wishes, found, Run(self._app, request, scope, receive, self._settings), send)

    async def _load(self, request: Request, wishes: Wishes, found: Found, run: Run, send: Send) -> None:
        """Answer with what the application says now; it is asked once, whatever becomes of the grid meanwhile."""
        stale = found.page
        is_better = stale is not None and serves_on_error(stale, wishes, self._settings.clock())
        loaded = None
        try:
            try:
                loaded = await self._shelf.load(request, wishes, found.record, run)
            except Exception as error:
                if error is run.error and is_better:
                    _log.warning("a stale page is served, since making it anew failed", exc_info=True)
                elif error is run.error or not isinstance(error, CacheError):
                    raise
                else:
                    self._trouble.note(error)
            if loaded is not None:
                page, is_kept = loaded
                await _say(send, answer_of(page, request, self._settings.clock(), is_kept=is_kept))
                await run.finish()
            elif stale is not None and is_better and run.has_failed:
                await _say(send, answer_of(stale, request, self._settings.clock(), is_kept=True))
            else:
                await run.pass_on(send)
        finally:
            await run.aclose()

    def _refresh_soon(self, request: Request, scope: Scope) -> None:
        key = request.uri
        if key not in self._refreshing:
            task = asyncio.create_task(self._refresh(request, dict(scope)))
            self._refreshing[key] = task
            task.add_done_callback(lambda _: self._refreshing.pop(key, None))

    async def _refresh(self, request: Request, scope: Scope) -> None:
        run = Run(
            self._app, request._replace(method="GET"), {**scope, "method": "GET"}, _nothing_more(), self._settings
        )
        try:
            await self._shelf.load(request, Wishes(), None, run)
            await run.finish()
        except Exception:  # noqa: BLE001 - the application's own, and nobody waits for it
            _log.warning("a page could not be made anew behind its readers' backs", exc_info=True)
        finally:
            await run.aclose()

    def _dropping(self, request: Request, send: Send) -> Send:
        """Drop what is kept of a URI before its writer hears that it was changed."""

        async def drop(message: Message) -> None:
            if message["type"] == "http.response.start" and 200 <= message["status"] < 400:
                message = {**message, "headers": list(message.get("headers", ()))}
                try:
                    await self._shelf.drop(changed_by(request, joined(decoded(message["headers"]))))
                except CacheError as error:
                    self._trouble.note(error)
            await send(message)

        return drop


def _telling(send: Send) -> Send:
    """Tell along with the head of a page that it was looked for."""

    async def tell(message: Message) -> None:
        if message["type"] == "http.response.start":
            name, value = miss_of(MISSING_HEAD)
            message = {**message, "headers": [*message.get("headers", ()), (name.encode(), value.encode())]}
        await send(message)

    return tell


async def _say(send: Send, answer: Answer) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.fields]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _nothing_more() -> Receive:
    """What a request says that has no client: nothing, and no good-bye."""
    said: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not said:
            await asyncio.Event().wait()
        return said.pop()

    return receive
