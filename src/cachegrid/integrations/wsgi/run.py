"""The application at work on a request whose response may be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeAlias

from cachegrid.integrations._http.answers import miss_of
from cachegrid.integrations._http.pages import Offer, is_whole
from cachegrid.integrations._http.settings import Settings
from cachegrid.integrations._http.terms import PERSONAL, Request, Terms, terms_of
from cachegrid.integrations.wsgi.asked import is_known

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["ExcInfo", "Run", "number_of"]

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None
Head: TypeAlias = tuple[str, list[tuple[str, str]]]

# A condition of one client is none of those who come later: all of the response is asked for.
_CONDITIONS: Final = frozenset({"HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE"})


def number_of(status: str) -> int:
    """The number of a status line."""
    return int(status[:3])


class Run:
    """The application at work on one request: its response is held until it is known whether it is kept."""

    def __init__(self, app: WSGIApplication, request: Request, environ: WSGIEnvironment, settings: Settings) -> None:
        self._app, self._request, self._environ, self._settings = app, request, environ, settings
        self._head: Head | None = None
        self._held: list[bytes] = []
        self._parts: Iterable[bytes] | None = None
        self._rest: Iterator[bytes] = iter(())
        self._out: StartResponse | None = None
        self._writes: Callable[[bytes], object] | None = None
        self._has_read = False
        self._why = ""  # it is not kept
        self.error: BaseException | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the application raised, or says that it is in trouble."""
        return self.error is not None or bool(self._head and number_of(self._head[0]) >= 500)

    def ask_whole(self) -> Offer | None:
        """Its response to everybody, if that came whole and may be kept; raises what it raises."""
        return self._ask({name: it for name, it in self._environ.items() if name not in _CONDITIONS})

    def ask_as_is(self) -> Offer | None:
        """Its response to the request as it came, likewise."""
        return self._ask(self._environ)

    def _ask(self, environ: WSGIEnvironment) -> Offer | None:
        try:
            return self._asked(environ)
        except BaseException as error:
            self.error = error
            raise

    def _asked(self, environ: WSGIEnvironment) -> Offer | None:
        self._parts = self._app(environ, self._start)
        self._rest = iter(self._parts)
        if self._head is None:  # it may say how it begins along with the first part
            self._held += [part for part in [self._next()] if part is not None]
        if self._head is None:
            raise RuntimeError("the application gave a body, and did not call start_response")
        head = self._head
        settings = self._settings
        terms = terms_of(self._request, number_of(head[0]), head[1], settings.clock(), settings.default_ttl)
        if isinstance(terms, str):
            self._why = terms
            return None
        offer = self._whole(number_of(head[0]), head[1], terms)
        if is_known(environ) and not terms.is_for_all:
            self._why = self._why or PERSONAL
            return None
        return offer if self._head is head else None  # else it has said meanwhile that it failed

    def _whole(self, status: int, fields: list[tuple[str, str]], terms: Terms) -> Offer | None:
        size = sum(map(len, self._held))
        while size <= self._settings.max_body:
            part = self._next()
            if part is None:
                body = b"".join(self._held)
                self._why = "" if is_whole(fields, body) else "content-length"
                return None if self._why else Offer(status, fields, body, terms)
            self._held.append(part)
            size += len(part)
        self._why = "max_body"
        return None

    def _next(self) -> bytes | None:
        self._has_read = True
        return next(self._rest, None)

    def _start(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo = None, /
    ) -> Callable[[bytes], object]:
        if self._out is not None:  # it is too late to say anything but that it has failed
            return self._out(status, headers, exc_info)
        self._head = (status, list(headers))
        return self._write

    def _write(self, part: bytes) -> None:
        (self._writes or self._held.append)(part)

    def pass_on(self, start_response: StartResponse) -> Iterable[bytes]:
        """What it said, and goes on to say; it is asked now if it was not."""
        if self._head is None:
            return self._app(self._environ, start_response)
        status, fields = self._head
        self._out, self._writes = start_response, start_response(status, [*fields, miss_of(self._why)])
        # What nobody has read from is handed on as it is: servers know what to do with lists and files.
        return self if self._parts is None or self._has_read or self._held else self._parts

    def __iter__(self) -> Iterator[bytes]:
        yield from self._held
        yield from self._rest

    def close(self) -> None:
        """Tell it that its response is not read any further."""
        if (close := getattr(self._parts, "close", None)) is not None:
            close()
