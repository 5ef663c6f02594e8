"""`python -m cachegrid` is the command `cachegrid`."""

from __future__ import annotations

from cachegrid.cli import main

# Guarded: programs that start others by `spawn` load this module a second time.
if __name__ == "__main__":
    main()
