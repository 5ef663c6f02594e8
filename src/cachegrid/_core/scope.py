"""
What one request has read: asked for again, it is answered from here.

A scope keeps stored bytes, not values: whoever reads gets a copy of his own, and what kills an entry kills it here.
It belongs to the context that opened it, so to one request: other threads and tasks have none, or their own. Tasks that
a request begins share its scope for as long as that is open.
"""

from __future__ import annotations

from contextvars import ContextVar
from types import TracebackType
from typing import Final, Self

from cachegrid._core.units import Size, bytes_of

__all__ = ["OPEN", "UNREAD", "RequestScope", "forget", "request_scope", "scope_here"]

UNREAD: Final = b"\0unread"  # no frame, nor anything else that an engine has
OPEN: Final[set[object]] = set()  # the scopes of all threads and tasks: while it is empty, none is looked for
_ROOM: Final = "16MiB"
_OVERHEAD: Final = 200  # bytes that an address takes besides what is there: measured, and rounded up

_scope: ContextVar[RequestScope | None] = ContextVar("cachegrid_scope", default=None)


class RequestScope:
    """
    `with request_scope():` or `async with request_scope():`, around what belongs together.

    Within it a cache without near copies is asked once for each key, by `get`, `[]`, `in`, `get_many`, `get_or_load`
    and cached functions, until something is written to it there. An inner scope begins with nothing, and what is
    written in it is seen in the outer one. It keeps `max_bytes` at most, and nothing after its end.
    """

    def __init__(self, max_bytes: Size = _ROOM) -> None:
        self._room = bytes_of("max_bytes", max_bytes)
        self._outer: RequestScope | None = None
        self._frames: dict[object, dict[bytes, bytes | None]] = {}  # by engine, and address
        self._left = self._room
        self.writes = 0  # whatever was asked for before the last one may be older than it

    def frame(self, engine: object, address: bytes) -> bytes | None:
        """What was read at an address, None where nothing was; UNREAD if it has to be read."""
        frames = self._frames.get(engine)
        return UNREAD if frames is None else frames.get(address, UNREAD)

    def keep(self, engine: object, address: bytes, frame: bytes | None, writes: int) -> None:
        """Keep what was read, unless it was written to since the count was `writes`, or there is no room left."""
        size = _OVERHEAD + len(address) + len(frame or b"")
        if writes == self.writes and size <= self._left and self in OPEN:
            self._left -= size
            self._frames.setdefault(engine, {})[address] = frame

    def forget(self, address: bytes) -> None:
        """Let it be read anew: it was written to, or somebody has been told something newer."""
        self.writes += 1
        for frames in list(self._frames.values()):  # threads may share a scope
            frames.pop(address, None)
        if self._outer is not None:
            self._outer.forget(address)

    def __enter__(self) -> Self:
        if self in OPEN:
            raise RuntimeError("this scope is open already; call request_scope() for another one")
        self._outer = scope_here()
        self._frames, self._left = {}, self._room
        OPEN.add(self)
        _scope.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        OPEN.discard(self)  # first: tasks that were begun here may go on, and have it no longer
        self._frames = {}
        if _scope.get() is self:  # else it is closed from elsewhere
            _scope.set(self._outer)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def scope_here() -> RequestScope | None:
    """The scope of this task or thread, if one is open."""
    scope = _scope.get()
    while scope is not None and scope not in OPEN:
        scope = scope._outer  # noqa: SLF001 - its own kind
    return scope


def forget(address: bytes) -> None:
    """Let the scope of this task or thread, if one is open, read an address anew."""
    scope = scope_here()
    if scope is not None:
        scope.forget(address)


request_scope = RequestScope  # what it is called outside, where it stands beside `with`
