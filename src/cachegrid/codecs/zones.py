"""Time zones as bytes: none, UTC, a fixed offset, or the key of a zone in the time zone database."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cachegrid.codecs.refusal import Refused

__all__ = ["zone_from_bytes", "zone_to_bytes"]

_UTC_MARK: Final = b"u"
_OFFSET: Final = b"o"  # then the offset in microseconds, 6 bytes, and its name if it has one of its own
_KEY: Final = b"k"  # then the key
_MICROSECOND: Final = timedelta(microseconds=1)


def zone_to_bytes(zone: tzinfo | None) -> bytes:
    """A zone as bytes; `Refused` for a zone of somebody else's making, or one that came from a file."""
    if zone is None:
        return b""
    if zone is UTC:
        return _UTC_MARK
    if type(zone) is ZoneInfo and zone.key is not None:
        return _KEY + zone.key.encode()
    if type(zone) is timezone:
        return _fixed_to_bytes(zone)
    why = "of its time zone only the rules are known here, and no name to find them by again"
    raise Refused(type(zone), why, "use datetime.timezone or zoneinfo.ZoneInfo(key)")


def _fixed_to_bytes(zone: timezone) -> bytes:
    offset = zone.utcoffset(None)
    name = zone.tzname(None)
    shown = b"" if name == timezone(offset).tzname(None) else b"=" + name.encode("utf-8", "surrogatepass")
    return _OFFSET + (offset // _MICROSECOND).to_bytes(6, "big", signed=True) + shown


@lru_cache(maxsize=256)
def zone_from_bytes(body: bytes) -> tzinfo | None:
    """What `zone_to_bytes` wrote; raises whatever fits for anything else, or a key that this host does not know."""
    if not body:
        return None
    if body == _UTC_MARK:
        return UTC
    if body[:1] == _KEY:
        return ZoneInfo(body[1:].decode())
    if body[:1] == _OFFSET:
        offset = timedelta(microseconds=int.from_bytes(body[1:7], "big", signed=True))
        if body[7:8] == b"=":
            return timezone(offset, body[8:].decode("utf-8", "surrogatepass"))
        return timezone(offset)
    raise ValueError(f"no time zone is written {body[:16]!r}")
