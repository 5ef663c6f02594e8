"""The application at work on a request whose response may be kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from cachegrid.integrations._http.answers import miss_of
from cachegrid.integrations._http.pages import Offer, is_whole
from cachegrid.integrations._http.settings import Settings
from cachegrid.integrations._http.terms import PERSONAL, Request, Terms, terms_of
from cachegrid.integrations.asgi.asked import decoded, is_known

__all__ = ["App", "Message", "Receive", "Run", "Scope", "Send"]

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# A condition of one client is none of those who come later: all of the response is asked for.
_CONDITIONS: Final = frozenset({b"if-none-match", b"if-modified-since"})


class Run:
    """The application at work on one request, in a task: its response is held until it is known whether it is kept."""

    def __init__(self, app: App, request: Request, scope: Scope, receive: Receive, settings: Settings) -> None:
        self._app, self._request, self._settings = app, request, settings
        self._scope, self._receive = scope, receive
        self._held: list[Message] = []
        self._size = 0
        self._status = 0  # of its response, once that has begun
        self._is_over = False  # its response is held to the end
        self._terms: Terms | None = None
        self._why = ""  # it is not kept
        self._send: Send | None = None
        self._decided = asyncio.Event()
        self._passed_on = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.error: BaseException | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the application raised, or says that it is in trouble."""
        return self.error is not None or self._status >= 500

    async def ask_whole(self) -> Offer | None:
        """Its response to everybody, if that came whole and may be kept; raises what it raises."""
        headers = [(name, value) for name, value in self._scope["headers"] if name.lower() not in _CONDITIONS]
        return await self._ask({**self._scope, "headers": headers})

    async def ask_as_is(self) -> Offer | None:
        """Its response to the request as it came, likewise."""
        return await self._ask(self._scope)

    async def _ask(self, scope: Scope) -> Offer | None:
        self._task = asyncio.create_task(self._work(scope))
        await self._decided.wait()
        if self.error is not None and not self._is_over:
            raise self.error
        if self._terms is None:
            return None
        if is_known(scope) and not self._terms.is_for_all:
            self._why = PERSONAL
            return None
        fields = decoded(self._held[0]["headers"])
        body = b"".join([message.get("body", b"") for message in self._held[1:]])
        if is_whole(fields, body):
            return Offer(self._held[0]["status"], fields, body, self._terms)
        self._why = "content-length"
        return None

    async def pass_on(self, send: Send) -> None:
        """Send on what it said, and what it goes on to say; it is asked now if it was not."""
        if self._task is None:
            await self._app(self._scope, self._receive, send)
            return
        for message in self._held:
            await send(self._with_reason(message))
        self._send = send
        self._passed_on.set()
        await self.finish()

    def _with_reason(self, message: Message) -> Message:
        """The start of a response, and why it is not kept; other messages as they are."""
        if message["type"] != "http.response.start":
            return message
        name, value = miss_of(self._why)
        return {**message, "headers": [*message["headers"], (name.encode(), value.encode())]}

    async def finish(self) -> None:
        """Let it do what it does after its response; raises what it raises."""
        if self._task is not None:
            await asyncio.wait([self._task])
            self._task.result()
            if self.error is not None:
                raise self.error

    async def aclose(self) -> None:
        """End it, if it works still."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _work(self, scope: Scope) -> None:
        try:
            await self._app(scope, self._receive, self._hold)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self.error = error
        finally:
            if not self._is_over:
                self._terms = None
            self._decided.set()

    async def _hold(self, message: Message) -> None:
        """Hold a part of the response; once it is known that it is not kept, wait until it can be sent on."""
        if self._is_over:
            return
        if self._decided.is_set():
            await self._passed_on.wait()
            assert self._send is not None  # noqa: S101 - what is set before the event
            await self._send(message)
            return
        if message["type"] == "http.response.start":
            message = {**message, "headers": list(message.get("headers", ()))}
            fields, now, self._status = decoded(message["headers"]), self._settings.clock(), message["status"]
            found = terms_of(self._request, self._status, fields, now, self._settings.default_ttl)
            self._terms, self._why = (None, found) if isinstance(found, str) else (found, "")
        self._held.append(message)
        self._size += len(message.get("body", b""))
        if not self._status:
            return  # a hint ahead of the response, which is not known yet
        is_strange = (len(self._held) > 1 and message["type"] != "http.response.body") or message.get("trailers")
        is_large = self._size > self._settings.max_body
        if self._terms is None or is_strange or is_large:
            self._terms, self._why = None, self._why or ("max_body" if is_large else "more than a body")
            self._decided.set()
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self._is_over = True
            self._decided.set()
