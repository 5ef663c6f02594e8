"""What INSTALLED_APPS need where results of the ORM are cached: it watches what is written."""

from __future__ import annotations

from django.apps import AppConfig

from cachegrid.integrations.django import watch

__all__ = ["CacheGridConfig"]


class CacheGridConfig(AppConfig):  # type: ignore[misc] # Django ships no types
    """Has no models."""

    name = "cachegrid.integrations.django"
    label = "cachegrid"

    def ready(self) -> None:
        """Watch the connections of this process."""
        watch.begin()
