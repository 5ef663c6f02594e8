"""Django's own tests of cache back ends, where DJANGO_SOURCE says where a source distribution was unpacked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent.parent
SOURCE = os.environ.get("DJANGO_SOURCE")

if SOURCE:  # they do not come with Django, and `test_backend` has what they promise

    @pytest.mark.grid
    @pytest.mark.slow
    @pytest.mark.parametrize("options", [[], ["near"]], ids=["plain", "near"])
    def test_the_tests_of_django_pass(options: list[str]) -> None:
        """
        All of them, with near copies and without.
        """
        command = [sys.executable, "-m", "tests.integrations.django.theirs", str(SOURCE), *options]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
        assert 0 == run.returncode, run.stderr
