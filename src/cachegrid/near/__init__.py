"""What is kept in this process: copies with their guards, and who is told when their entries change."""

from __future__ import annotations
