"""What an application says of the pages that are kept, checked once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cachegrid import CachePolicy
from cachegrid.errors import ConfigError
from cachegrid.units import Duration, Size, bytes_of, seconds_of

__all__ = ["WHO", "Settings", "settings_for"]

# Fields that show who asks. Others that an application knows its users by are for it to name.
WHO: Final = (
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-auth-token",
    "x-forwarded-user",
    "x-remote-user",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How responses are kept; times are seconds, sizes bytes."""

    default_ttl: float | None = None
    max_body: int = 1 << 20
    who: frozenset[str] = frozenset(WHO)
    obeys_clients: bool = True
    clock: Callable[[], float] = time.time  # seconds since 1970


def settings_for(
    policy: CachePolicy,
    default_ttl: Duration | None,
    max_body: Size,
    who: Iterable[str],
    *,
    obeys_clients: bool,
    clock: Callable[[], float],
) -> Settings:
    """The settings, from what was said. Raises ConfigError, also for a cache whose policy keeps no pages."""
    if policy.codec not in {"plain", "pickle"}:
        raise ConfigError("the codec of the cache of responses", policy.codec, "plain, or pickle")
    if isinstance(who, str):
        raise ConfigError("who", who, "names of fields, in a list")
    return Settings(
        default_ttl=None if default_ttl is None else seconds_of("default_ttl", default_ttl),
        max_body=bytes_of("max_body", max_body),
        who=frozenset(WHO) | {name.lower() for name in who},
        obeys_clients=obeys_clients,
        clock=clock,
    )
