"""
Runs the tests that Django has for each of its cache back ends on ours, over a grid of three owners.

    python -m tests.integrations.django.theirs FOLDER [near]

FOLDER is where a source distribution of the Django that is installed was unpacked. Needs 15 seconds, of which most are
slept through. `near` runs them with near copies.
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.test import TestCase, override_settings
from django.test.runner import DiscoverRunner
from django.test.utils import setup_test_environment

from cachegrid.integrations.django import close
from cachegrid.testing.loopback import LoopbackGrid

__all__ = ["main"]

BACKEND = "cachegrid.integrations.django.CacheGridCache"
CULLED = {"cull", "zero_cull"}  # of a maximum of entries in one process, which a grid has none of


def main(folder: Path, options: dict[str, Any]) -> bool:
    """Whether all tests have passed."""
    sys.path.insert(0, str(folder / "tests"))
    with LoopbackGrid(owners=3, replicas=0) as grid:
        said = {"BACKEND": BACKEND, "LOCATION": grid.url, "OPTIONS": options}
        settings.configure(
            SECRET_KEY="a key that only these tests know",
            INSTALLED_APPS=["cache"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            CACHES={"default": said},
            DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        )
        django.setup()
        setup_test_environment()
        DiscoverRunner(verbosity=0).setup_databases()
        try:
            return unittest.TextTestRunner().run(_suite(said)).wasSuccessful()
        finally:
            close()


def _suite(said: dict[str, Any]) -> unittest.TestSuite:
    import cache.tests as theirs  # type: ignore[import-not-found] # in the folder

    caches = theirs.caches_setting_for_tests(exclude=CULLED, **said)
    ours = type("CacheGridTests", (theirs.BaseCacheTests, TestCase), {})
    return unittest.defaultTestLoader.loadTestsFromTestCase(override_settings(CACHES=caches)(ours))


if __name__ == "__main__":
    sys.exit(not main(Path(sys.argv[1]), {"near": True} if "near" in sys.argv[2:] else {}))
