"""Everything that waits and is not a socket: sleep, locks, events, background tasks. By hand in both colours."""

from __future__ import annotations

from typing import Final

__all__ = ["LONGEST_REST", "LOOK"]

LONGEST_REST: Final = 0.5  # seconds between two steps of background work
LOOK: Final = 0.05  # seconds until who rests sees that somebody waits for the work
