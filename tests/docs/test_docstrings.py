"""Every example of every docstring runs."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import cachegrid
from tests.docs.examples import Program

SOURCE = Path(cachegrid.__file__).resolve().parent
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _examples(file: Path) -> Iterator[tuple[int, str]]:
    """The docstrings that hold examples, with their lines. Read, not asked for: some objects answer no question."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, DOCUMENTED):
            text = ast.get_docstring(node, clean=False)
            if text is not None and ">>> " in text:
                yield node.body[0].lineno, text


FILES = [file for file in sorted(SOURCE.rglob("*.py")) if any(_examples(file))]


@pytest.mark.usefixtures("_ends_grids")
@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(SOURCE)) for file in FILES])
def test_the_examples_of_a_module_run(file: Path) -> None:
    """
    Each docstring by itself, with the names of its module.
    """
    name = ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(name)
    for line, text in _examples(file):
        program = Program(name)
        program.names |= vars(module)
        try:
            program.run_session(text, str(file), line)
        finally:
            program.close()


def test_some_module_has_examples() -> None:
    """
    A search that finds nothing would always pass.
    """
    assert "_core/units.py" in {str(file.relative_to(SOURCE)) for file in FILES}
