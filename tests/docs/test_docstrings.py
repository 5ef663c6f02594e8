"""Every example of every docstring runs."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil

import pytest

import cachegrid
from tests.docs.examples import Program

MODULES = sorted(module.name for module in pkgutil.walk_packages(cachegrid.__path__, "cachegrid."))


@pytest.mark.usefixtures("_ends_grids")
@pytest.mark.parametrize("name", ["cachegrid", *(name for name in MODULES if not name.endswith("__main__"))])
def test_the_examples_of_a_module_run(name: str) -> None:
    """
    Each docstring by itself, with the names of its module.
    """
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        program = Program(name)
        program.names |= test.globs
        try:
            program.run_session(test.docstring or "", os.path.relpath(test.filename or name), (test.lineno or 0) + 1)
        finally:
            program.close()
