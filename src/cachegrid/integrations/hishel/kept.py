"""What is kept of a response, and where: decisions that are the same in both colours."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from hishel import AsyncBaseStorage, Headers, Request, Response
from hishel import BaseStorage as SyncBaseStorage

from cachegrid import Key

__all__ = [
    "AsyncBaseStorage",
    "Draft",
    "SyncBaseStorage",
    "Times",
    "index_key",
    "listed",
    "packed",
    "response_key",
    "times_of",
    "unpacked",
    "with_headers",
]


class Times(NamedTuple):
    """When a response ends, and how long it lives without being read; in seconds."""

    ends: float | None  # by the clock of whoever stored it
    idle: float | None

    def left(self, now: float) -> dict[str, Any]:
        """As the cache takes them; what has ended does so at once."""
        return {"ttl": None if self.ends is None else max(self.ends - now, 0.001), "idle": self.idle}


class Packed(NamedTuple):
    """What is stored of a response, as a plain tuple. Of another form it needs another name in `response_key`."""

    method: str
    url: str
    asked: dict[str, list[str]]  # those headers of the request that the response varies by
    status: int
    answered: dict[str, list[str]]  # its headers
    body: bytes
    times: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Draft:
    """A response whose body is still on the way."""

    id: UUID
    key: str  # hishel's
    request: Request
    response: Response
    times: Times

    @property
    def tags(self) -> list[str]:
        """The host that it is from."""
        host = urlsplit(self.request.url).hostname
        return [host] if host else []


def index_key(key: str) -> Key:
    """Where the ids of the responses of one of hishel's keys are kept; that may be of any length."""
    return "index", hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def response_key(raw: bytes) -> Key:
    """Where a response is kept, by the bytes of its id."""
    return "response", raw


def packed(draft: Draft, body: bytes) -> tuple[Any, ...]:
    """What is stored of a response."""
    request, response = draft.request, draft.response
    answered = _lists(response.headers)
    # The others decide nothing any more, and may be credentials.
    varies_by = _varies_by(answered)
    asked = {name: values for name, values in _lists(request.headers).items() if name in varies_by}
    return request.method, request.url, asked, response.status_code, answered, body, tuple(draft.times)


def unpacked(stored: tuple[Any, ...]) -> tuple[Request, Response, bytes]:
    """A response with its request, and its body."""
    it = Packed(*stored)
    request = Request(method=it.method, url=it.url, headers=Headers(it.asked))
    return request, Response(status_code=it.status, headers=Headers(it.answered)), it.body


def with_headers(
    stored: tuple[Any, ...], headers: Headers, now: float
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """
    What is stored, with other headers of the response, and for how long: it ends when it would have.

    None where they say that it varies by something else: what it was asked with is not known any more.
    """
    it, answered = Packed(*stored), _lists(headers)
    if _varies_by(it.answered) != _varies_by(answered):
        return None
    return tuple(it._replace(answered=answered)), Times(*it.times).left(now)


def listed(index: Mapping[bytes, tuple[Any, ...]], draft: Draft, now: float) -> dict[bytes, tuple[Any, ...]]:
    """The index with one more response, without those that have ended; the newest is the last."""
    left = {raw: it for raw, it in index.items() if it[0] is None or it[0] > now}
    return left | {draft.id.bytes: tuple(draft.times)}


def times_of(index: Mapping[bytes, tuple[Any, ...]], now: float) -> dict[str, Any]:
    """The `ttl` and `idle` of an index: it lives as long as any response in it may."""
    ends, idle = zip(*index.values(), strict=True)
    return Times(None if None in ends else max(ends), None if None in idle else max(idle)).left(now)


def _lists(headers: Headers) -> dict[str, list[str]]:
    return {name: list(headers.get_list(name) or ()) for name in headers}


def _varies_by(answered: Mapping[str, list[str]]) -> set[str]:
    return {name.strip().lower() for line in answered.get("vary", ()) for name in line.split(",")}
