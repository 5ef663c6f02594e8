"""The command `cachegrid`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that the program's arguments say; Ctrl-C ends it quietly, also while modules are loaded."""
    try:
        from cachegrid.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
