"""Integrations stay thin; that they stand on what is public, import-linter checks."""

from __future__ import annotations

from pathlib import Path

import cachegrid

LEAVES = Path(cachegrid.__file__).parent / "integrations"
MOST_LINES = 200


def test_no_module_of_an_integration_is_long() -> None:
    """
    Under 200 lines: a rule that more than one framework needs is no affair of a leaf.
    """
    lengths = {file.relative_to(LEAVES): file.read_text().count("\n") for file in LEAVES.rglob("*.py")}
    assert {} == {file: lines for file, lines in lengths.items() if lines >= MOST_LINES}
