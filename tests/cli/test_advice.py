"""A command that is advised is said so that it means the grid in question."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cachegrid

SOURCE = Path(cachegrid.__file__).parent
# Those that take --name.
COMMAND = re.compile(
    r"cachegrid (add|backup|doctor|down|failover|heal|leave|rebalance|remove|replace|restart|restore|status|token"
    r"|up|url)(?![a-z])"
)
NAMED = ("option", "command(", "options", "which", "--name", "--url", "--all")
# Of a grid that is not known, or of another than the one in question; and what is no advice.
ANY = (
    "{_where()}; start one with: cachegrid up",
    "cachegrid backup 1\n",
    "owners are replaced again and again",
    "on that host makes another",
    "has printed, all of it",
)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module that are no docstrings and no help, f-strings as they are written."""
    tree = ast.parse(text := path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            skipped |= {*ast.walk(node.value)} if isinstance(node.value, ast.Constant) else set()
        elif isinstance(node, ast.keyword) and node.arg in {"help", "epilog"}:
            skipped |= {*ast.walk(node.value)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            skipped |= {*ast.walk(node)}
            yield node.lineno, ast.get_source_segment(text, node) or ""
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


MODULES = [*sorted((SOURCE / "cluster").rglob("*.py")), *sorted((SOURCE / "cli").rglob("*.py"))]


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(SOURCE)) for path in MODULES])
def test_advice_names_the_grid(path: Path) -> None:
    """Wherever a command takes a name; the default grid's is empty there."""
    nameless = [
        f"{line}: {text}"
        for line, text in texts(path)
        if COMMAND.search(text) and not any(word in text for word in (*NAMED, *ANY))
    ]
    assert [] == nameless
