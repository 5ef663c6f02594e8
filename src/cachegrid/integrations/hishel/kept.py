"""What is kept of a response, and where: decisions that are the same in both colours."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from hishel import AsyncBaseStorage, Headers, Request, Response
from hishel import BaseStorage as SyncBaseStorage

from cachegrid import Entry, Key

__all__ = [
    "AsyncBaseStorage",
    "Draft",
    "Listed",
    "SyncBaseStorage",
    "index_key",
    "listed",
    "packed",
    "response_key",
    "times_left",
    "times_of",
    "unpacked",
    "with_headers",
]

Packed = tuple[str, str, dict[str, list[str]], int, dict[str, list[str]], bytes]


class Listed(NamedTuple):
    """A response in the index of its key: when it ends, and how long it lives without being read; in seconds."""

    ends: float | None  # by the clock of whoever stored it
    idle: float | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A response whose body is still on the way."""

    id: UUID
    key: str  # hishel's
    request: Request
    response: Response
    times: Listed

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


def packed(draft: Draft, body: bytes) -> Packed:
    """What is stored of a response."""
    request, response = draft.request, draft.response
    answered = _lists(response.headers)
    # The others decide nothing any more, and may be credentials.
    varies_by = _varies_by(answered)
    asked = {name: values for name, values in _lists(request.headers).items() if name in varies_by}
    return request.method, request.url, asked, response.status_code, answered, body


def unpacked(stored: Packed) -> tuple[Request, Response, bytes]:
    """A response with its request, and its body."""
    method, url, asked, status, answered, body = stored
    request = Request(method=method, url=url, headers=Headers(asked))
    return request, Response(status_code=status, headers=Headers(answered)), body


def with_headers(stored: Packed, headers: Headers) -> Packed | None:
    """What is stored, with other headers of the response; None where they say that it varies by something else."""
    method, url, asked, status, before, body = stored
    answered = _lists(headers)
    return (method, url, asked, status, answered, body) if _varies_by(before) == _varies_by(answered) else None


def listed(index: Mapping[bytes, tuple[Any, ...]], draft: Draft, now: float) -> dict[bytes, tuple[Any, ...]]:
    """The index with one more response, without those that have ended; the newest is the last."""
    left = {raw: it for raw, it in index.items() if it[0] is None or it[0] > now}
    return left | {draft.id.bytes: tuple(draft.times)}


def times_of(index: Mapping[bytes, tuple[Any, ...]], now: float) -> dict[str, Any]:
    """The `ttl` and `idle` of an index: it lives as long as any response in it may."""
    ends, idle = zip(*index.values(), strict=True)
    return {"ttl": None if None in ends else max(ends) - now, "idle": None if None in idle else max(idle)}


def times_left(entry: Entry) -> dict[str, Any]:
    """The `ttl`, `idle` and `tags` of an entry that is stored anew, so that it ends when it would have."""
    left = None if entry.expires is None else max((entry.expires - datetime.now(UTC)).total_seconds(), 0.001)
    return {"ttl": left, "idle": entry.idle, "tags": entry.tags}


def _lists(headers: Headers) -> dict[str, list[str]]:
    return {name: list(headers.get_list(name) or ()) for name in headers}


def _varies_by(answered: Mapping[str, list[str]]) -> set[str]:
    return {name.strip().lower() for line in answered.get("vary", ()) for name in line.split(",")}
