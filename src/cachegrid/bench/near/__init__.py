"""Near copies beside caches that live in one process, and how soon the news of a change arrives."""

from __future__ import annotations
