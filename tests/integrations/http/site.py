"""A site whose pages say what a test wants, behind either middleware, and a client that asks it without a network."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import cachegrid
from cachegrid.integrations import asgi, wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["Clock", "Reply", "Said", "Site", "environ_of", "open_site"]

Fields = Mapping[str, str]
Names = str | Iterable[str] | None
Done = TypeVar("Done")


class Reply(NamedTuple):
    """What a client got; its fields by name in small letters."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def is_hit(self) -> bool:
        """Whether it came from the shelf."""
        return "; hit" in self.fields.get("cache-status", "")


class Said(NamedTuple):
    """What the site says."""

    fields: list[tuple[str, str]]
    body: bytes = b"page"
    status: int = 200


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


Page = Callable[[Fields, int], Said]


class Site:
    """`page` is what it says to a request: given its fields, and how many it was asked before."""

    def __init__(self) -> None:
        self.page: Page = lambda _fields, _count: Said([])
        self.asked: list[tuple[str, str]] = []
        self.seen: list[dict[str, str]] = []

    def says(self, cache_control: str = "", body: bytes | None = None, status: int = 200, **fields: str) -> None:
        """Say the same to all, with a number that tells responses apart."""
        named = [(name.replace("_", "-"), value) for name, value in fields.items()]
        named += [("cache-control", cache_control)] if cache_control else []
        self.page = lambda _fields, count: Said(named, b"%d" % count if body is None else body, status)

    def answer(self, method: str, path: str, fields: dict[str, str]) -> Said:
        """What it says now."""
        self.asked.append((method, path))
        self.seen.append(fields)
        return self.page(fields, len(self.asked))

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The site as a WSGI application; a body of several parts has them apart by a blank."""
        fields = {name[5:].replace("_", "-").lower(): str(it) for name, it in environ.items() if name[:5] == "HTTP_"}
        said = self.answer(environ["REQUEST_METHOD"], environ["PATH_INFO"], fields)
        start_response(f"{said.status} Said", said.fields)
        return iter(_parts(said.body))

    async def asgi(self, scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        """The site as an ASGI application."""
        fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        said = self.answer(scope["method"], scope["path"], fields)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in said.fields]
        await send({"type": "http.response.start", "status": said.status, "headers": headers})
        for part in _parts(said.body):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _parts(body: bytes) -> list[bytes]:
    return [part for part in body.partition(b" ") if part]


class WsgiClient:
    """Asks through WSGI."""

    def __init__(self, app: Any, url: str, policy: dict[str, Any], **settings: Any) -> None:
        self.url, self.grid = url, cachegrid.connect(url)
        self.cache = self.grid.cache("pages", **policy)
        self.app = wsgi.CachedResponses(app, self.cache, **settings)

    def __call__(self, path: str = "/", method: str = "GET", **fields: str) -> Reply:
        got: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc: object = None) -> Callable[[bytes], None]:
            got.append((status, headers))
            return lambda _part: None

        parts = self.app(environ_of(path, method, fields), start_response)
        try:
            body = b"".join(parts)
        finally:
            getattr(parts, "close", lambda: None)()
        status, headers = got[-1]
        return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, body)

    def clear(self) -> None:
        self.cache.clear()

    def settle(self) -> None:
        self.app.settle()

    def purge(self, tags: Names = None, *, urls: Names = None) -> int:
        return wsgi.purge(self.cache, tags, urls=urls)

    def close(self) -> None:
        self.grid.close()


def environ_of(path: str, method: str = "GET", fields: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a WSGI server tells of a request."""
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "site",
        "SERVER_PORT": "80",
        "HTTP_HOST": "site",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }
    return environ | {f"HTTP_{name.upper()}": value for name, value in (fields or {}).items()}


class AsgiClient:
    """Asks through ASGI, in an event loop of its own."""

    def __init__(self, app: Any, url: str, policy: dict[str, Any], **settings: Any) -> None:
        self.heard: Callable[[asgi.Message], object] = lambda _message: None  # is told what is sent to the client
        self.runner = asyncio.Runner()
        self.url, self.grid = url, cachegrid.aconnect(url)
        self.cache = self.grid.cache("pages", **policy)
        self.app = asgi.CachedResponses(app, self.cache, **settings)

    def __call__(self, path: str = "/", method: str = "GET", **fields: str) -> Reply:
        return self.runner.run(self.ask(path, method, None, **fields))

    async def ask(
        self, path: str = "/", method: str = "GET", scope: Mapping[str, Any] | None = None, **fields: str
    ) -> Reply:
        """What a call says, for who asks several at once; `scope` is told to the application."""
        sent: list[asgi.Message] = []

        async def send(message: asgi.Message) -> None:
            sent.append(message)
            self.heard(message)

        await self.app({**_scope(path, method, fields), **(scope or {})}, _no_body, send)
        start = next(message for message in sent if message["type"] == "http.response.start")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
        return Reply(start["status"], headers, b"".join(message.get("body", b"") for message in sent))

    def many(self, requests: list[dict[str, Any]]) -> list[Reply]:
        """What several at once say."""

        async def ask_all() -> list[Reply]:
            return list(await asyncio.gather(*[self.ask(**request) for request in requests]))

        return self.runner.run(ask_all())

    def clear(self) -> None:
        self.run(self.cache.clear())

    def settle(self) -> None:
        self.run(self.app.settle())

    def purge(self, tags: Names = None, *, urls: Names = None) -> int:
        return self.run(asgi.purge(self.cache, tags, urls=urls))

    def run(self, work: Awaitable[Done]) -> Done:
        async def wait() -> Done:
            return await work

        return self.runner.run(wait())

    def close(self) -> None:
        self.run(self.grid.aclose())
        self.runner.close()


async def _no_body() -> asgi.Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _scope(path: str, method: str, fields: Mapping[str, str]) -> asgi.Scope:
    path, _, query = path.partition("?")
    named = {"host": "site"} | {name.replace("_", "-").lower(): value for name, value in fields.items()}
    return {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()],
        "extensions": {},
    }


def open_site(
    colour: str, site: Site, url: str = "memory://", policy: dict[str, Any] | None = None, **settings: Any
) -> WsgiClient | AsgiClient:
    """A client of a site behind the middleware of a colour."""
    if colour == "wsgi":
        return WsgiClient(site.wsgi, url, policy or {}, **settings)
    return AsgiClient(site.asgi, url, policy or {}, **settings)
